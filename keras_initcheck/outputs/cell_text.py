"""Text that fits a terminal: shortened, padded and wrapped by the cells that it takes on screen.

A cell is the width of a Latin letter; other characters take none, one or two.
"""

from collections.abc import Iterable, Iterator

from rich.cells import cell_len, get_character_cell_size

from keras_initcheck.outputs.cleaning import ELLIPSIS, one_line

SHARE_OF_START = 0.4
"""Share of a shortened name that is its start, 0..1.

The end, which is the layer's own name, matters more than the parent's.
"""


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` cells, with an ellipsis in the middle.

    Both the parent's and the layer's own name can be recognized.

    >>> shorten("encoder/block_12/query_dense", 16)
    'encode…ery_dense'
    """
    if cell_len(text) <= width:
        return text
    start = round((width - 1) * SHARE_OF_START)
    head = _take(text, start)
    tail = _take(reversed(text), width - 1 - start)[::-1]
    return head + ELLIPSIS + tail


def cut_end(text: str, width: int) -> str:
    """`text` in at most `width` cells, with an ellipsis for what goes beyond.

    >>> cut_end("Twelve layers shrink", 12)
    'Twelve laye…'
    """
    if cell_len(text) <= width:
        return text
    return _take(text, width - 1).rstrip() + ELLIPSIS


def pad(text: str, width: int, align: str = "left") -> str:
    """`text` filled with blanks to `width` cells."""
    blanks = " " * (width - cell_len(text))
    return blanks + text if align == "right" else text + blanks


def wrap(text: str, width: int, indent: str = "", first: str | None = None) -> list[str]:
    """Lines of at most `width` cells. Words are kept whole where they fit on a line of their own.

    Args:
        text: Any text; white space of any kind separates words. What goes beyond `LONGEST`
            characters is counted, not shown.
        width: Cells in a line, indent included.
        indent: Put before each line.
        first: Put before the first line instead.
    """
    lines = [indent if first is None else first]
    cleaned = one_line(text)
    if cell_len(lines[0] + cleaned) <= width:
        return [lines[0] + cleaned]
    is_empty = True
    for word in _pieces(cleaned, width - cell_len(indent)):
        if not is_empty and cell_len(lines[-1]) + 1 + cell_len(word) > width:
            lines.append(indent)
            is_empty = True
        lines[-1] += word if is_empty else f" {word}"
        is_empty = False
    return lines


def _pieces(text: str, width: int) -> Iterator[str]:
    """The words of `text`, those that are too long in pieces."""
    for word in text.split():
        start = used = 0
        for place, character in enumerate(word):
            size = get_character_cell_size(character)
            if used + size > width and place > start:
                yield word[start:place]
                start, used = place, 0
            used += size
        yield word[start:]


def _take(characters: Iterable[str], width: int) -> str:
    """As many of the leading characters as fit into `width` cells."""
    taken, used = [], 0
    for character in characters:
        used += get_character_cell_size(character)
        if used > width:
            break
        taken.append(character)
    return "".join(taken)
