"""Finds the residual stacks of a network: blocks `x + F(x)` one after the other, whose stream is
never normalised in between.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats

_TRANSPARENT = ("pass", "activation")
SHORTEST = 3
"""Blocks of a stack that is worth a word."""


@dataclass(frozen=True)
class Block:
    """One residual block.

    Attributes:
        merge: The site that adds branch and stream.
        skip: Index of the site whose output the stream is.
        stream: Second moment of the stream that enters.
        branch: Second moment of what the branch adds.
        is_normalised: Whether the branch holds a normalisation, so that what it adds does not
            depend on the stream's scale.
        last_layer: Path of the branch's last weight layer, or `None`.
        sites: Indices of the sites of the branch.
    """

    merge: SiteStats
    skip: int
    stream: float
    branch: float
    is_normalised: bool
    last_layer: str | None
    sites: frozenset[int]


def stacks(profile: Profile) -> list[list[Block]]:
    """The stacks of at least three blocks."""
    found: list[list[Block]] = []
    for block in blocks(profile):
        if found and _continues(profile, found[-1][-1], block):
            found[-1].append(block)
        else:
            found.append([block])
    return [stack for stack in found if len(stack) >= SHORTEST]


def blocks(profile: Profile) -> Iterator[Block]:
    """The blocks `x + F(x)`: one operand of the sum is what the other was made from."""
    for merge in profile.sites:
        if merge.layer_type != "Add" or len(merge.inputs) != 2:
            continue
        first, second = merge.inputs
        for skip, branch in ((first, second), (second, first)):
            path = _path(profile, branch, skip)
            stream, added = profile.sites[skip].activations.h, profile.sites[branch].activations.h
            if path is not None and stream is not None and added is not None:
                last = next((site.layer for site in path if site.kind == "weight"), None)
                is_normalised = any(site.kind == "normalization" for site in path)
                indices = frozenset(site.index for site in path)
                yield Block(
                    merge,
                    skip,
                    stream.second_moment,
                    added.second_moment,
                    is_normalised,
                    last,
                    indices,
                )
                break


def _path(profile: Profile, branch: int, skip: int) -> list[SiteStats] | None:
    """All sites between a branch's end and the site that it started from, last first; `None` if it
    did not start there.
    """
    waiting, seen, is_reached = [branch], set(), False
    while waiting:
        index = waiting.pop()
        if index == skip:
            is_reached = True
        elif index > skip and index not in seen:
            seen.add(index)
            waiting.extend(profile.sites[index].inputs)
    return [profile.sites[index] for index in sorted(seen, reverse=True)] if is_reached else None


def _continues(profile: Profile, before: Block, block: Block) -> bool:
    """Whether the stream of `block` is the sum of `before`, through layers that only pass on."""
    site = profile.sites[block.skip]
    while site.index != before.merge.index:
        if site.kind not in _TRANSPARENT or len(site.inputs) != 1:
            return False
        site = profile.sites[site.inputs[0]]
    return True
