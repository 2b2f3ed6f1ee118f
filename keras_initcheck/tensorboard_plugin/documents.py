"""JSON out of event files, which anybody may have written: bounded in size and depth. Knows nothing
of what it says.
"""

import json
import zlib
from typing import Any

MOST_BYTES = 2**24
"""Of one document: a description has 150 bytes a site, findings 700 bytes each."""


class NoDocumentError(ValueError):
    """The bytes are none: cut off, of another kind, too long or too deep."""


def parse(content: bytes) -> dict[str, Any]:
    """The JSON object.

    Raises:
        NoDocumentError: It is none.
    """
    if len(content) > MOST_BYTES:
        raise NoDocumentError(
            f"A document in an event log must have {MOST_BYTES} bytes at most. Received:"
            f" {len(content)}."
        )
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NoDocumentError(
            f"A document in an event log must be JSON. Received: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(document, dict):
        raise NoDocumentError(
            "A document in an event log must be a JSON object. Received:"
            f" {type(document).__name__}."
        )
    return document


def inflate(packed: bytes) -> bytes:
    """What was packed with zlib. A bomb is not unpacked beyond `MOST_BYTES`.

    Raises:
        NoDocumentError: It is broken, or too long.
    """
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(packed, MOST_BYTES)
    except zlib.error as error:
        raise NoDocumentError(
            f"The findings in an event log must be packed with zlib. Received: {error}"
        ) from error
    if not unpacker.eof:
        raise NoDocumentError(
            f"The findings in an event log must be whole, and {MOST_BYTES} bytes at most."
        )
    return content
