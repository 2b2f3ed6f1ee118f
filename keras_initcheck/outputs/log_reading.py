"""The JSON documents of an event log, read into records. Logs of version 1 are read, too."""

import reprlib
from typing import Any, TypeVar

from keras_initcheck.outputs.json_format import decode
from keras_initcheck.outputs.logged import Description, Judgement
from keras_initcheck.outputs.site_statistics import VERSION

Logged = TypeVar("Logged", Description, Judgement)

OLDEST = 1


def read_description(document: object) -> Description:
    """The description in an event log.

    Args:
        document: What `json.loads` gives of it.

    Raises:
        ValueError: A later version of this package wrote it, or something else.
    """
    version = document.get("version") if isinstance(document, dict) else None
    if (
        not isinstance(version, int)
        or isinstance(version, bool)
        or not OLDEST <= version <= VERSION
    ):
        raise ValueError(
            f"The event log must be of version {OLDEST} to {VERSION}. Received: version"
            f" {reprlib.repr(version)}. Upgrade keras_initcheck, or probe again."
        )
    return _read(Description, _upgraded(document, version), "description")


def read_judgement(document: object) -> Judgement:
    """The verdict and the findings beside a probe in an event log.

    Args:
        document: What `json.loads` gives of it.

    Raises:
        ValueError: A later version of this package wrote it, or something else.
    """
    return _read(Judgement, document, "judgement")


def _upgraded(document: Any, version: int) -> Any:
    """The document as this version writes it.

    Version 1 had two more columns of sites, and no reasons for predictions that are missing.
    """
    sites = document.get("sites")
    if (
        version == VERSION
        or not isinstance(sites, dict)
        or not isinstance(sites.get("names"), list)
    ):
        return document
    kept = {name: column for name, column in sites.items() if name not in ("depths", "stretches")}
    return {**document, "sites": {**kept, "unpredicted": [None] * len(sites["names"])}}


def _read(record: type[Logged], document: object, name: str) -> Logged:
    try:
        read: Logged = decode(record, document, name)
    except ValueError as error:
        raise ValueError(
            f"Another version of keras_initcheck wrote this log, or something else. {error}"
        ) from error
    return read
