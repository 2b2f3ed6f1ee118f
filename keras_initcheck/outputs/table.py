"""The terminal's table: which columns there is room for, and how their cells are aligned.

Numbers of one column end, or have their slash, in one place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from rich.cells import cell_len

from keras_initcheck.outputs import site_columns
from keras_initcheck.outputs.cell_text import pad, shorten
from keras_initcheck.outputs.cleaning import clean
from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.site_columns import Column


@dataclass(frozen=True)
class Density:
    """How generously a table is set, in cells.

    Attributes:
        gap: Blanks between columns.
        slash: What stands between a measured and a predicted number.
        number: Width of the longest number.
        words: Width of the longest cell of a column of words or shapes, by the column's title.
        name: Least width of the sites' names.
    """

    gap: str
    slash: str
    number: int
    words: Mapping[str, int]
    name: int


ROOMY = Density("  ", " / ", 7, MappingProxyType({"type": 18, "output": 18}), 20)
TIGHT = Density(" ", "/", 6, MappingProxyType({"type": 9, "output": 10}), 11)
"""`TIGHT` is made so that the basic columns fit into 80 cells whatever they hold."""

PRIORITIES: Mapping[str, int] = MappingProxyType(
    {
        "type": 5,
        "output": 6,
        "parameters": 8,
        "mean": 9,
        "std z": 4,
        "zeros": 7,
        "largest": 10,
        "batch": 11,
        "forward": 1,
        "backward": 3,
        "gain": 2,
        "size": 12,
        "gradient": 13,
        "drawn": 14,
    }
)
"""The terminal's columns from left to right. Those with the lowest numbers are given room first."""

LAST_BASIC = 6
"""Priority of the last column that the table should not do without."""

COMPARED = ("size", "gradient")
"""Columns that are shown only beside their predictions."""

LEFT = ("type", "drawn")
"""Columns of words."""

COLUMNS = tuple(
    column for title in PRIORITIES for column in site_columns.COLUMNS if column.title == title
)


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        head: The titles.
        lines: A line for each site, in order.
        columns: The columns that there was room for and that have content.
    """

    head: str
    lines: tuple[str, ...]
    columns: tuple[Column, ...]


def lay_out(data: FigureData, rows: Sequence[int], marks: Sequence[str], width: int) -> Table:
    """The table of some sites in at most `width` cells, with as many columns as fit.

    Args:
        data: The probe.
        rows: Indices of the sites to show.
        marks: A sign of one cell for each row.
        width: Cells in a line, at least 40.
    """
    index = ["#", *map(str, rows)]
    names = ["layer", *(clean(data.sites.names[row]) for row in rows)]
    longest_index, longest_name = _width(index), _width(names)
    for density in (ROOMY, TIGHT):
        room = width - len("! ") - longest_index - len(" ")
        shortest_name = min(longest_name, density.name)
        blocks = _choose(
            data, rows, density, room - shortest_name, reserved=longest_name - shortest_name
        )
        if density is TIGHT or all(
            title in blocks for title, priority in PRIORITIES.items() if priority <= LAST_BASIC
        ):
            break
    name_width = min(
        longest_name, room - sum(len(density.gap) + _width(block) for block in blocks.values())
    )
    starts = [
        f"{sign} {pad(number, longest_index, 'right')} {pad(shorten(name, name_width), name_width)}"
        for sign, number, name in zip([" ", *marks], index, names, strict=True)
    ]
    head, *lines = (
        density.gap.join(cells).rstrip() for cells in zip(starts, *blocks.values(), strict=True)
    )
    filled = {title for title, block in blocks.items() if "".join(block[1:]).strip()}
    return Table(head, tuple(lines), tuple(each for each in COLUMNS if each.title in filled))


def _choose(
    data: FigureData, rows: Sequence[int], density: Density, room: int, reserved: int
) -> dict[str, list[str]]:
    """The padded cells of the columns that fit into `room`, by title, from left to right.

    Columns without content take no room.

    Args:
        data: The probe.
        rows: Indices of the sites to show.
        density: How generously the table is set.
        room: Cells that the columns may take.
        reserved: Cells of `room` that make the longest name fit: only the basic columns are more
            important than that.
    """
    blocks = {column.title: _block(column, data, rows, density) for column in COLUMNS}
    kept = set()
    for title in sorted(PRIORITIES, key=PRIORITIES.__getitem__):
        needed = len(density.gap) + _width(blocks[title]) if blocks[title][0] else 0
        if needed > room - (reserved if PRIORITIES[title] > LAST_BASIC else 0):
            break
        room -= needed
        kept.add(title)
    return {title: block for title, block in blocks.items() if title in kept}


def _block(column: Column, data: FigureData, rows: Sequence[int], density: Density) -> list[str]:
    """The column's head and cells, padded to one width; all empty if there is nothing to show."""
    cells = _cells(column, data, rows, density)
    if not any(cells):
        return [""] * (len(cells) + 1)
    width = _width([column.title, *cells])
    align = "left" if column.title in LEFT else "right"
    is_pair = column.prediction is not None
    title = column.title.center(width) if is_pair else pad(column.title, width, align)
    return [title, *(pad(cell, width, align) for cell in cells)]


def _cells(column: Column, data: FigureData, rows: Sequence[int], density: Density) -> list[str]:
    texts = column.texts(data, density.number)
    measured = [texts[row] for row in rows]
    if column.predicted is None:
        width = density.words.get(column.title)
        return measured if width is None else [shorten(clean(each), width) for each in measured]
    others = column.predicted.texts(data, density.number)
    predicted = [others[row] for row in rows]
    if column.title in COMPARED and not any(predicted):
        return [""] * len(rows)
    return _pairs(measured, predicted, density)


def _pairs(measured: Sequence[str], predicted: Sequence[str], density: Density) -> list[str]:
    """`measured / predicted`, the slashes below each other; a minus for an unknown number."""
    longest = max((len(text or "-") for text in measured), default=0)
    longest_right = max((len(text or "-") for text in predicted), default=0)
    return [
        f"{left or '-':>{longest}}{density.slash}{right or '-':<{longest_right}}"
        if left or right
        else ""
        for left, right in zip(measured, predicted, strict=True)
    ]


def _width(cells: Sequence[str]) -> int:
    return max(cell_len(cell) for cell in cells)
