"""The console's table: its columns, and which of them there is room for. Numbers of one column end,
or have their slash, in one place.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from keras_initcheck.outputs.cell_text import pad, shorten
from keras_initcheck.outputs.cleaning import clean
from keras_initcheck.outputs.number_format import (
    format_count,
    format_number,
    format_power_of_ten,
    format_shape,
    format_share,
)
from keras_initcheck.records.profile import Moments, SiteStats


@dataclass(frozen=True)
class Density:
    """How generously a table is set, in cells: the gap and the slash, the longest number, type and
    shape, the name's least width.
    """

    gap: str
    slash: str
    number: int
    layer_type: int
    shape: int
    name: int


ROOMY = Density(gap="  ", slash=" / ", number=7, layer_type=18, shape=18, name=20)
TIGHT = Density(gap=" ", slash="/", number=6, layer_type=9, shape=10, name=11)
"""`TIGHT` is made so that the basic columns fit into 80 cells whatever they hold."""

LAST_BASIC = 6
"""Priority of the last column that the table should not do without."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title: Its head.
        priority: Columns with the lowest numbers are given room first.
        cells: Makes the cells of all rows at once, so that they can be aligned with each other.
        align: `"left"`, `"right"` or `"center"`.
    """

    title: str
    priority: int
    cells: Callable[[Sequence[SiteStats], Density], list[str]]
    align: str = "right"


@dataclass(frozen=True)
class Table:
    """A table as text: its head, a line for each site in order, and the titles of the columns there
    was room for.
    """

    head: str
    lines: tuple[str, ...]
    titles: tuple[str, ...]


def lay_out(sites: Sequence[SiteStats], marks: Sequence[str], width: int) -> Table:
    """The table of those sites in at most `width` cells, with as many columns as fit.

    Args:
        sites: The rows.
        marks: A sign of one cell for each row.
        width: Cells in a line, at least 40.
    """
    index = ["#", *(str(site.index) for site in sites)]
    names = ["layer", *(clean(site.name) for site in sites)]
    longest_index, longest_name = _width(index), _width(names)
    for density in (ROOMY, TIGHT):
        room = width - len("! ") - longest_index - len(" ")
        shortest_name = min(longest_name, density.name)
        blocks = _choose(
            sites, density, room - shortest_name, reserved=longest_name - shortest_name
        )
        if density is TIGHT or all(
            column.title in blocks for column in COLUMNS if column.priority <= LAST_BASIC
        ):
            break
    name_width = min(
        longest_name, room - sum(len(density.gap) + _width(block) for block in blocks.values())
    )
    lines = [
        density.gap.join(
            (
                (
                    f"{sign} {pad(number, longest_index, 'right')}"
                    f" {pad(shorten(name, name_width), name_width)}"
                ),
                *cells,
            )
        ).rstrip()
        for sign, number, name, *cells in zip(
            [" ", *marks], index, names, *blocks.values(), strict=True
        )
    ]
    return Table(
        lines[0],
        tuple(lines[1:]),
        tuple(title for title, block in blocks.items() if "".join(block[1:]).strip()),
    )


def _choose(
    sites: Sequence[SiteStats], density: Density, room: int, reserved: int
) -> dict[str, list[str]]:
    """The padded cells of the columns that fit into `room`, from left to right. Columns without
    content take no room.

    `reserved` are the cells that make the longest name fit: only the basic columns are more
    important than that.
    """
    blocks = {column.title: _block(column, sites, density) for column in COLUMNS}
    kept = set()
    for column in sorted(COLUMNS, key=lambda column: column.priority):
        needed = len(density.gap) + _width(blocks[column.title]) if blocks[column.title][0] else 0
        if needed > room - (reserved if column.priority > LAST_BASIC else 0):
            break
        room -= needed
        kept.add(column.title)
    return {title: block for title, block in blocks.items() if title in kept}


def _block(column: Column, sites: Sequence[SiteStats], density: Density) -> list[str]:
    """The column's head and cells, padded to one width; all empty if there is nothing to show."""
    cells = column.cells(sites, density)
    if not any(cells):
        return [""] * (len(cells) + 1)
    width = _width([column.title, *cells])
    align = "right" if column.align == "center" else column.align
    title = (
        column.title.center(width)
        if column.align == "center"
        else pad(column.title, width, column.align)
    )
    return [title, *(pad(cell, width, align) for cell in cells)]


def _width(cells: Sequence[str]) -> int:
    return max(cell_len(cell) for cell in cells)


def _types(sites: Sequence[SiteStats], density: Density) -> list[str]:
    return [shorten(clean(site.layer_type), density.layer_type) for site in sites]


def _shapes(sites: Sequence[SiteStats], density: Density) -> list[str]:
    return [shorten(format_shape(site.output_shape), density.shape) for site in sites]


def _parameters(sites: Sequence[SiteStats], density: Density) -> list[str]:
    return [format_count(site.num_parameters) if site.num_parameters else "" for site in sites]


def _gains(sites: Sequence[SiteStats], density: Density) -> list[str]:
    return [format_power_of_ten(site.log10_forward_gain, density.number) for site in sites]


def _standard_deviations(sites: Sequence[SiteStats], density: Density) -> list[str]:
    """Of the pre-activations, or of the output where there are none."""
    moments = [site.activations.z or site.activations.h for site in sites]
    return [
        format_number(math.sqrt(max(each.variance, 0.0)), density.number) if each else ""
        for each in moments
    ]


def _of_output(
    show: Callable[[Moments, Density], str],
) -> Callable[[Sequence[SiteStats], Density], list[str]]:
    """Cells that show something of each site's output."""

    def cells(sites: Sequence[SiteStats], density: Density) -> list[str]:
        return [show(site.activations.h, density) if site.activations.h else "" for site in sites]

    return cells


def _forward(sites: Sequence[SiteStats], density: Density) -> list[str]:
    return _ratios([(site.forward_ratio, site.predicted_forward_ratio) for site in sites], density)


def _backward(sites: Sequence[SiteStats], density: Density) -> list[str]:
    return _ratios(
        [(site.backward_ratio, site.predicted_backward_ratio) for site in sites], density
    )


def _second_moments(sites: Sequence[SiteStats], density: Density) -> list[str]:
    """Of the output: what was measured, and what the whole network before it lets expect."""
    pairs = [
        (
            h.log10_second_moment if (h := site.activations.h) else None,
            site.predicted_log10_second_moment,
        )
        for site in sites
    ]
    if all(predicted is None for _, predicted in pairs):
        return [""] * len(sites)
    return _pairs(
        [tuple(format_power_of_ten(number, density.number) for number in pair) for pair in pairs],
        density,
    )


def _ratios(pairs: Sequence[tuple[float | None, float | None]], density: Density) -> list[str]:
    return _pairs(
        [tuple(format_number(number, density.number) for number in pair) for pair in pairs], density
    )


def _pairs(shown: Sequence[tuple[str, ...]], density: Density) -> list[str]:
    """`measured / predicted`, the slashes below each other. A minus stands for the one that is not
    known.
    """
    texts = [tuple(text or "-" for text in pair) for pair in shown]
    longest = max((len(measured) for measured, _ in texts), default=0)
    longest_right = max((len(predicted) for _, predicted in texts), default=0)
    return [
        (
            f"{measured:>{longest}}{density.slash}{predicted:<{longest_right}}"
            if (measured, predicted) != ("-", "-")
            else ""
        )
        for measured, predicted in texts
    ]


COLUMNS = (
    Column("type", 5, _types, "left"),
    Column("output", 6, _shapes),
    Column("parameters", 8, _parameters),
    Column("mean", 9, _of_output(lambda h, density: format_number(h.mean, density.number))),
    Column("std z", 4, _standard_deviations),
    Column("zeros", 7, _of_output(lambda h, density: format_share(h.share_zero))),
    Column("largest", 10, _of_output(lambda h, density: format_number(h.largest, density.number))),
    Column(
        "batch", 11, _of_output(lambda h, density: format_number(h.batch_share, density.number))
    ),
    Column("forward", 1, _forward, "center"),
    Column("backward", 3, _backward, "center"),
    Column("gain", 2, _gains),
    Column("q(h)", 12, _second_moments, "center"),
)
