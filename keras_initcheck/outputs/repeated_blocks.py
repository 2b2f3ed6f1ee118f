"""Selects the rows of a table: repeated blocks are folded, so that deep networks fit on a page.

A row with a warning or an error is never folded as a repetition; of dozens of them in a table that
is left out in the middle, the first are shown. No text is made here.
"""

import itertools
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from keras_initcheck.records.sites import SiteStats

SHORT = 40
"""A table of at most this many rows is shown whole."""

LONG = 60
"""A table is brought down to about this many lines: two screens, or one printed page."""

LONGEST_BLOCK = 40
"""Rows of the longest block whose repetition is looked for; a transformer block has about 15, an
Inception block 20 to 30.
"""

KEPT_AT_EACH_END = 20
"""Rows at the start, at the end, and with findings in between that stay where nothing repeats."""


@dataclass(frozen=True)
class RepeatedBlock:
    """A line that stands for sites that are not shown.

    Attributes:
        sites: The sites.
        num_blocks: Number of blocks like the one above; 0 if they repeat nothing.
    """

    sites: tuple[SiteStats, ...]
    num_blocks: int = 0


Item = SiteStats | RepeatedBlock


@dataclass(frozen=True)
class _Node:
    """A site, or a repeated block.

    Equal keys mean equal structure, whatever the number of repetitions.
    """

    key: Hashable
    sites: tuple[SiteStats, ...]
    items: tuple[Item, ...]


def fold(sites: Sequence[SiteStats], loud: frozenset[int] = frozenset()) -> list[Item]:
    """The sites to show, with a `RepeatedBlock` wherever some were left out.

    Args:
        sites: The rows of the table.
        loud: Indices of sites that must be shown.

    Returns:
        All sites where they are at most `SHORT`. Otherwise the mildest of these that needs at most
        `LONG` lines: blocks that repeat with the same layer types and shapes are folded; with the
        same types; the same two without the sites that have no ratio (normalizations, merges); the
        middle is left out.
    """
    if len(sites) <= SHORT:
        return list(sites)
    with_ratio = [site for site in sites if site.forward_ratio is not None or site.index in loud]
    for kept, key in (
        (sites, _type_and_shape),
        (sites, _type),
        (with_ratio, _type_and_shape),
        (with_ratio, _type),
    ):
        items = _fold_repetitions(kept, loud, key)
        if kept and len(items) <= LONG:
            return items
    return _leave_out_middle(sites, loud)


def _type(site: SiteStats) -> Hashable:
    return site.layer_type


def _type_and_shape(site: SiteStats) -> Hashable:
    return site.layer_type, site.output_shape


def _fold_repetitions(
    sites: Iterable[SiteStats], loud: frozenset[int], key: Callable[[SiteStats], Hashable]
) -> list[Item]:
    """Folds blocks, then blocks of blocks (the stages of a ResNet), until nothing repeats."""
    nodes = [
        _Node(("loud", site.index) if site.index in loud else key(site), (site,), (site,))
        for site in sites
    ]
    before = None
    while len(nodes) != before:
        before = len(nodes)
        nodes = _merge_repetitions(nodes)
    return [item for node in nodes for item in node.items]


def _merge_repetitions(nodes: list[_Node]) -> list[_Node]:
    """`nodes` with every immediate repetition replaced by one node."""
    merged, start = [], 0
    while start < len(nodes):
        length, count = _longest_repetition(nodes, start)
        block = nodes[start : start + length * count]
        merged.append(_join(block, length) if count > 1 else nodes[start])
        start += len(block)
    return merged


def _longest_repetition(nodes: list[_Node], start: int) -> tuple[int, int]:
    """Length and count of the repetition at `start` that covers most nodes.

    Of several that cover as many, the shortest block is taken.
    """
    best = (1, 1)
    for length in range(1, min(LONGEST_BLOCK, (len(nodes) - start) // 2) + 1):
        count = _count_repetitions(nodes, start, length)
        if count > 1 and count * length > best[0] * best[1]:
            best = (length, count)
    return best


def _count_repetitions(nodes: list[_Node], start: int, length: int) -> int:
    """How often the `length` nodes at `start` come in a row."""
    stop = start + length
    while stop < len(nodes) and nodes[stop].key == nodes[stop - length].key:
        stop += 1
    return (stop - start) // length


def _join(nodes: list[_Node], length: int) -> _Node:
    """One node for all of `nodes`: the first block, what was left out, the last block."""
    first, middle, last = nodes[:length], nodes[length:-length], nodes[-length:]
    left_out = tuple(site for node in middle for site in node.sites)
    folded: list[Item] = [RepeatedBlock(left_out, len(middle) // length)]
    if sum(len(node.items) for node in middle) <= 1:
        folded = [item for node in middle for item in node.items]
    items = (
        [item for node in first for item in node.items]
        + folded
        + [item for node in last for item in node.items]
    )
    sites = tuple(site for node in nodes for site in node.sites)
    return _Node(tuple(node.key for node in first), sites, tuple(items))


def _leave_out_middle(sites: Sequence[SiteStats], loud: frozenset[int]) -> list[Item]:
    """The first and the last sites, and the first ones with a finding in between."""
    kept = {site.index for site in (*sites[:KEPT_AT_EACH_END], *sites[-KEPT_AT_EACH_END:])}
    between = [site.index for site in sites if site.index in loud and site.index not in kept]
    kept.update(between[:KEPT_AT_EACH_END])
    runs = itertools.groupby(sites, key=lambda site: site.index in kept)
    return [
        item for is_kept, run in runs for item in (run if is_kept else [RepeatedBlock(tuple(run))])
    ]
