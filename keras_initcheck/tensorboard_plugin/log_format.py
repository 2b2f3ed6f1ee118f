"""Names and encodings of an event log, shared by `outputs.events`, which writes it, and the tab.

TensorBoard imports this module when it starts, so it imports the standard library only. It belongs
to this folder, because TensorBoard must start even if the rest of the package is broken.
"""

import re
import zlib
from collections.abc import Mapping

PLUGIN = "initcheck"
"""Name of the tab, as TensorBoard's data provider knows it."""

RUN = "initcheck"
"""Name of a run's directory below the log directory; further runs are `initcheck_2` and so on."""

BY_DEPTH = "by_depth"
"""Name of the run inside a run whose step is the depth."""

FIRST, EACH = "init", "probe"
"""Kinds of tags.

The first probe of a run is written to both: TensorBoard keeps a sample of a tag's steps, and is
likely to drop the first one.
"""

OK = "ok"
SEVERITIES = (OK, "info", "warning", "error")
"""Severities of a probe, mildest first; `"ok"` means no findings."""

_MATRIX_TAG = re.compile(rf"{PLUGIN}/({FIRST}|{EACH})/([0-9a-f]{{12}})")


def matrix_tag(kind: str, sites: str) -> str:
    """Returns the tag of the matrix of numbers.

    Args:
        kind: `FIRST` or `EACH`.
        sites: Hash of the list of sites: twelve hexadecimal digits.
    """
    return f"{PLUGIN}/{kind}/{sites}"


def parse_matrix_tag(tag: str) -> tuple[str, str] | None:
    """Splits the tag of a matrix into its kind and hash of sites; `None` for any other tag."""
    found = _MATRIX_TAG.fullmatch(tag)
    return (found[1], found[2]) if found else None


def findings_tag(kind: str) -> str:
    """Returns the tag of the findings; `kind` is `FIRST` or `EACH`."""
    return f"{PLUGIN}/{kind}_findings"


FINDINGS_TAGS = tuple(findings_tag(kind) for kind in (FIRST, EACH))


def pack_findings(severity: str, document: str) -> list[bytes]:
    """Packs the findings of a probe into two strings: their severity, and the compressed document.

    Args:
        severity: One of `SEVERITIES`, which the tab shows for each step without decompression.
        document: Verdict and findings as JSON text.
    """
    return [severity.encode(), zlib.compress(document.encode())]


def split_findings(strings: list[object]) -> tuple[str | None, bytes]:
    """Splits what `pack_findings` made into the severity and the compressed document.

    Args:
        strings: The elements of a findings tag's tensor.

    Returns:
        The severity, which is `None` if the log does not contain it, as in version 1, and the
        document, which is empty if the tensor contains something else.
    """
    *before, packed = strings or [b""]
    if not isinstance(packed, bytes) or len(before) > 1:
        return None, b""
    severity = (
        before[0].decode("ascii", "replace") if before and isinstance(before[0], bytes) else ""
    )
    return (severity if severity in SEVERITIES else None), packed


def severity_of(document: Mapping[str, object]) -> str:
    """Returns the worst severity in a document with a verdict and findings.

    The document may lack findings, because their number is limited: if it contains none and is not
    `ok`, the severity is taken to be a warning.
    """
    findings = document.get("findings")
    present = findings if isinstance(findings, list) else []
    known = [str(each.get("severity")) for each in present if isinstance(each, dict)]
    worst = max((SEVERITIES.index(each) for each in known if each in SEVERITIES), default=0)
    return SEVERITIES[worst] if worst else OK if document.get("ok") is True else "warning"
