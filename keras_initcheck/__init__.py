"""Probes a Keras model before training, and reports where and why its signal is lost.

Names are loaded at their first use: importing this package imports neither Keras nor a framework.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_initcheck import initializers
    from keras_initcheck.api import assert_healthy, check, repair, trial
    from keras_initcheck.callback import InitCheck
    from keras_initcheck.records.errors import (
        DataError,
        DriftError,
        InitCheckError,
        InitCheckWarning,
        ProbeError,
    )
    from keras_initcheck.records.finding import Finding
    from keras_initcheck.records.report import Report
    from keras_initcheck.records.trial import Trial
    from keras_initcheck.repairs.options import RepairOptions
    from keras_initcheck.repairs.repair import Repair
    from keras_initcheck.rules.policy import Policy

__version__ = "0.1.0"

_HOMES = {
    "assert_healthy": "api",
    "check": "api",
    "repair": "api",
    "trial": "api",
    "InitCheck": "callback",
    "DataError": "records.errors",
    "DriftError": "records.errors",
    "InitCheckError": "records.errors",
    "InitCheckWarning": "records.errors",
    "ProbeError": "records.errors",
    "Finding": "records.finding",
    "Report": "records.report",
    "RepairOptions": "repairs.options",
    "Repair": "repairs.repair",
    "Policy": "rules.policy",
    "Trial": "records.trial",
}

__all__ = [
    "DataError",
    "DriftError",
    "Finding",
    "InitCheck",
    "InitCheckError",
    "InitCheckWarning",
    "Policy",
    "ProbeError",
    "Repair",
    "RepairOptions",
    "Report",
    "Trial",
    "assert_healthy",
    "check",
    "initializers",
    "repair",
    "trial",
]


def __getattr__(name: str) -> Any:
    if name == "initializers":
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
