"""The error tree and the warning class of this package.

Every message names what was expected, what was received, and how to fix it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_initcheck.records.report import Report


class InitCheckError(Exception):
    """Base of this package's errors, apart from `ValueError` and `TypeError` for arguments."""


class ProbeError(InitCheckError):
    """The model cannot be probed.

    It does not run on this batch, or has no output from which a gradient could start.
    """


class DataError(InitCheckError):
    """The data yield no usable batch.

    They are empty, have a wrong shape or dtype, or do not fit the model's loss.
    """


class DriftError(InitCheckError):
    """A probe of `InitCheck(on_drift="raise")` reported a warning or an error.

    Args:
        message: The findings as text.
        report: The `keras_initcheck.Report` with the findings.

    Attributes:
        report: As given.
    """

    def __init__(self, message: str, report: "Report | None" = None) -> None:
        super().__init__(message)
        self.report: Report | None = report


class InitCheckWarning(UserWarning):
    """Findings of `InitCheck`, or the reason why it stepped aside while the training went on."""
