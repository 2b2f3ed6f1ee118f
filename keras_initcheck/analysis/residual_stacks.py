"""Residual blocks `x + F(x)`, and stacks of them whose stream is never normalized in between."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from keras_initcheck.analysis.site_kinds import TRANSPARENT
from keras_initcheck.records.structure import Site

SHORTEST = 3
"""Blocks of the shortest stack that is worth mentioning."""


@dataclass(frozen=True)
class Block:
    """One residual block.

    Attributes:
        merge: Index of the site that adds branch and stream.
        skip: Index of the site whose output the stream is.
        branch: Index of the site whose output is added to it.
        is_normalized: Whether the branch holds a normalization, so that what it adds does not
            depend on the stream's scale.
        last_layer: Path of the branch's last weight layer, or `None`.
        sites: Indices of the sites of the branch.
    """

    merge: int
    skip: int
    branch: int
    is_normalized: bool
    last_layer: str | None
    sites: frozenset[int]


def blocks(sites: Sequence[Site]) -> Iterator[Block]:
    """The blocks `x + F(x)`: one operand of the sum is what the other was made from."""
    for merge in sites:
        if merge.layer_type != "Add" or len(merge.inputs) != 2:
            continue
        first, second = merge.inputs
        for skip, branch in ((first, second), (second, first)):
            path = _path(sites, branch, skip)
            if path is not None:
                yield Block(
                    merge=merge.index,
                    skip=skip,
                    branch=branch,
                    is_normalized=any(site.kind == "normalization" for site in path),
                    last_layer=next((site.layer for site in path if site.kind == "weight"), None),
                    sites=frozenset(site.index for site in path),
                )
                break


def stacks(found: Iterable[Block], sites: Sequence[Site]) -> list[list[Block]]:
    """Groups blocks into the stacks of at least three, each on the stream of the one before."""
    grouped: list[list[Block]] = []
    for block in found:
        if grouped and _continues(sites, grouped[-1][-1], block):
            grouped[-1].append(block)
        else:
            grouped.append([block])
    return [stack for stack in grouped if len(stack) >= SHORTEST]


def _path(sites: Sequence[Site], branch: int, skip: int) -> list[Site] | None:
    """All sites between the end of a branch and the site it started from, last first.

    `None` if the branch did not start there.
    """
    waiting, seen, is_reached = [branch], set(), False
    while waiting:
        index = waiting.pop()
        if index == skip:
            is_reached = True
        elif index > skip and index not in seen:
            seen.add(index)
            waiting.extend(sites[index].inputs)
    return [sites[index] for index in sorted(seen, reverse=True)] if is_reached else None


def _continues(sites: Sequence[Site], before: Block, block: Block) -> bool:
    """Whether the stream of `block` is the sum of `before`, through transparent layers."""
    index = block.skip
    while index != before.merge:
        site = sites[index]
        if site.kind not in TRANSPARENT or len(site.inputs) != 1:
            return False
        index = site.inputs[0]
    return True
