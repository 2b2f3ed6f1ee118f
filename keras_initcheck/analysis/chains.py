"""Chains: weight layers in a row, so that the ratios of one multiply with those of the next.

A chain ends at a normalization, a merge, a fork, an embedding, a recurrent layer and wherever a
link is unknown. The product of He et al. (2015, section 2.2) does not hold across these.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from keras_initcheck.analysis.site_kinds import TRANSPARENT
from keras_initcheck.records.structure import Site


def find_chains(sites: Sequence[Site]) -> list[list[int]]:
    """Indices of the hidden weight layers of each chain, in order of execution.

    Every hidden weight layer is in one chain. Heads, which must be marked, are in none: no
    activation follows them, and their scale is the loss's business. Cost: linear in the sites.
    """
    before = _previous_weights(sites)
    followers = Counter(previous for previous in before.values() if previous is not None)
    found: dict[int, list[int]] = {}
    ordered: list[list[int]] = []
    for index, previous in before.items():
        if sites[index].is_head:
            continue
        chain = found.get(previous) if previous is not None and followers[previous] == 1 else None
        if chain is None:
            chain = []
            ordered.append(chain)
        chain.append(index)
        found[index] = chain
    return ordered


def mark_heads(sites: Sequence[Site]) -> list[Site]:
    """The sites with the heads marked.

    Heads are weight layers that no other weight layer, recurrent layer or normalization comes
    after.
    """
    reached: set[int] = set()
    for site in reversed(sites):
        if site.kind in ("weight", "recurrent", "normalization") or site.index in reached:
            reached.update(site.inputs)
            if not site.inputs_known and site.index:
                reached.add(site.index - 1)
    return [
        replace(site, is_head=site.kind == "weight" and site.index not in reached) for site in sites
    ]


def _previous_weights(sites: Sequence[Site]) -> dict[int, int | None]:
    """For each weight layer the one whose output it receives, directly or through other layers.

    The layers between only pass the signal on, and nobody else receives it. `None` at the start of
    a chain.
    """
    num_receivers = Counter(index for site in sites for index in site.inputs)
    carried: list[int | None] = []
    before: dict[int, int | None] = {}
    for site in sites:
        source = _source(site)
        is_sole = source is not None and num_receivers[source] <= 1
        arriving = carried[source] if source is not None and is_sole else None
        if site.kind == "weight":
            before[site.index] = arriving
        carried.append(_carried(site, arriving))
    return before


def _carried(site: Site, arriving: int | None) -> int | None:
    """The weight layer whose signal leaves the site."""
    if site.kind == "weight":
        return site.index
    return arriving if site.kind in TRANSPARENT else None


def _source(site: Site) -> int | None:
    if site.inputs_known and len(site.inputs) == 1:
        return site.inputs[0]
    return site.index - 1 if site.follows_previous else None
