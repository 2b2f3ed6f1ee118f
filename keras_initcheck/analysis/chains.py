"""Chains: weight layers in a row, so that the ratios of one multiply with those of the next.

A chain ends at a normalisation, a merge, a fork, an embedding, a recurrent layer and wherever a
link cannot be told. What happens there is another law than the product of He et al. (2015, section
2.2).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from keras_initcheck.records.sites import SiteStats
from keras_initcheck.theory.variance_ratios import log10_product

_TRANSPARENT = ("pass", "activation")


def assign(sites: Sequence[SiteStats]) -> tuple[SiteStats, ...]:
    """The sites with their chain and running gains filled in. Heads must be marked.

    The forward gain of a layer is the product of the measured forward ratios from the start of its
    chain through the layer itself; the backward gain that of the backward ratios from the end of
    the chain back through it. Heads belong to no product: no activation follows them, and their
    scale is the loss's business.
    """
    found = {site.index: site for site in sites}
    for number, chain in enumerate(chains(sites)):
        forward = [found[index].forward_ratio for index in chain]
        backward = [found[index].backward_ratio for index in chain]
        for position, index in enumerate(chain):
            found[index] = replace(
                found[index],
                chain=number,
                log10_forward_gain=_gain(forward[: position + 1]),
                log10_backward_gain=_gain(backward[position:]),
            )
    return tuple(found[index] for index in sorted(found))


def chains(sites: Sequence[SiteStats]) -> list[list[int]]:
    """Indices of the hidden weight layers of each chain, in order of execution. Every hidden
    weight layer is in one.
    """
    before = {site.index: _previous_weight(site, sites) for site in sites if site.kind == "weight"}
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


def _gain(ratios: Sequence[float | None]) -> float | None:
    known = [ratio for ratio in ratios if ratio is not None]
    return log10_product(known) if len(known) == len(ratios) and known else None


def _previous_weight(site: SiteStats, sites: Sequence[SiteStats]) -> int | None:
    """The weight layer whose output, through layers that only pass on, is this layer's input;
    `None` at the start of a chain.
    """
    consumers = Counter(index for other in sites for index in other.inputs)
    for previous in _upstream(site, sites):
        if consumers[previous.index] > 1:
            return None
        if previous.kind == "weight":
            return previous.index
        if previous.kind not in _TRANSPARENT:
            return None
    return None


def _upstream(site: SiteStats, sites: Sequence[SiteStats]) -> Iterator[SiteStats]:
    while True:
        if site.inputs_known and len(site.inputs) == 1:
            site = sites[site.inputs[0]]
        elif site.follows_previous:
            site = sites[site.index - 1]
        else:
            return
        yield site


def mark_heads(sites: Sequence[SiteStats]) -> tuple[SiteStats, ...]:
    """The sites with the heads marked: weight layers that no other weight layer, recurrent layer or
    normalisation comes after.
    """
    reached: set[int] = set()
    for site in reversed(sites):
        if site.kind in ("weight", "recurrent", "normalization") or site.index in reached:
            reached.update(site.inputs)
            if not site.inputs_known and site.index:
                reached.add(site.index - 1)
    return tuple(
        replace(site, is_head=site.kind == "weight" and site.index not in reached) for site in sites
    )
