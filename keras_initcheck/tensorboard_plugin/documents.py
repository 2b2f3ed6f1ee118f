"""Parses JSON from event files, which anybody may have written: size and depth are limited.

The meaning of the documents is not known here.
"""

import json
import zlib
from typing import Any

MOST_BYTES = 2**24
"""Bytes of one document. A description has 150 bytes a site, a finding 700 bytes."""


class NoDocumentError(ValueError):
    """The bytes are no document: cut off, of another kind, too long or too deeply nested."""


def parse(content: bytes) -> dict[str, Any]:
    """Parses a JSON object.

    Raises:
        NoDocumentError: The content is something else.
    """
    if len(content) > MOST_BYTES:
        raise NoDocumentError(
            f"A document in an event log must have {MOST_BYTES} bytes at most. Received:"
            f" {len(content)}."
        )
    try:
        document = json.loads(content, parse_constant=str)  # as this package writes NaN
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
    """Decompresses zlib data, of which a bomb is not unpacked beyond `MOST_BYTES`.

    Raises:
        NoDocumentError: The data are broken or too long.
    """
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(packed, MOST_BYTES)
    except zlib.error as error:
        raise NoDocumentError(
            f"The findings in an event log must be compressed with zlib. Received: {error}"
        ) from error
    if not unpacker.eof:
        raise NoDocumentError(
            f"The findings in an event log must be complete, and {MOST_BYTES} bytes at most."
        )
    return content
