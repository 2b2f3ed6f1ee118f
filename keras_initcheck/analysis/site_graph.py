"""Who receives a site's output: what a rule must know before it blames a layer for its scale."""

import math
from collections.abc import Sequence

from keras_initcheck.analysis.residual_stacks import blocks
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.records.statistics import Moments

_TRANSPARENT = ("pass", "activation")
_SCALED_OR_SHIFTED = (*_TRANSPARENT, "normalization", "other")
_WITH_TRAINABLE_WEIGHTS = ("weight", "recurrent", "embedding")
_JOINING = ("Concatenate", "Stack")  # merges that keep their operands apart
_SUMS = ("Add", "Subtract", "Average")
SKIP_DOMINANCE = 10.0
"""A merge whose result has ten times the second moment of an operand lives on the others. A
residual branch whose gain is far beyond any budget (e^-6 is 1/403) is below that, and two equal
operands are not."""

LOST_IN_EPSILON = math.exp(-6.0)
"""Second moment after a normalisation (1 where it works) below which it has not restored the scale:
SGD's budget of a gain.
"""


class Graph:
    """The sites of a profile with their consumers.

    Where a subclassed model does tensor arithmetic outside of layers, a consumer is not known. The
    site executed next serves then, if its own inputs are not known either.
    """

    def __init__(self, profile: Profile) -> None:
        """Cost: one pass over the sites."""
        self.sites = profile.sites
        self._consumers: dict[int, list[SiteStats]] = {}
        for site in profile.sites:
            for index in site.inputs:
                self._consumers.setdefault(index, []).append(site)
        self._in_branches = frozenset(index for block in blocks(profile) for index in block.sites)

    def consumers(self, site: SiteStats) -> Sequence[SiteStats]:
        """The sites that are known to receive this one's output."""
        return self._consumers.get(site.index, ())

    def is_last(self, site: SiteStats) -> bool:
        """Whether nothing is known to receive the output and nothing that is not known could: it
        leaves the model.
        """
        return not self.consumers(site) and self._guess(site) is None

    def is_normalised(self, site: SiteStats) -> bool:
        """Whether all that receives the output, directly or after activations, dropout and the
        like, is a normalisation.

        It takes the scale out again, in both directions: with batch normalisation
        `BN((aW)u) = BN(Wu)`, and the gradient that passes it is divided by `a`, so that the product
        with the layer's own factor stays (Ioffe & Szegedy 2015, section 3.3).
        """
        reached = self._reached(site, _TRANSPARENT)
        return bool(reached) and all(map(_restores_scale, reached))

    def is_beside_skip(self, site: SiteStats) -> bool:
        """Whether the output is added to something that carries the signal: then nothing is lost if
        it is small.

        That is so in a residual block, whose other operand is what the branch was made from, and
        where the sum is much larger.
        """
        if site.index in self._in_branches:
            return True
        reached = self._reached(site, (*_TRANSPARENT, "other"))
        return bool(reached) and all(self._dominates(merge, site) for merge in reached)

    def is_gate(self, site: SiteStats) -> bool:
        """Whether the output is multiplied into another signal: its size is a choice between open
        and shut.
        """
        return any(
            each.kind == "merge" and each.layer_type == "Multiply"
            for each in self._reached(site, _TRANSPARENT)
        )

    def is_branch(self, site: SiteStats) -> bool:
        """Whether the output goes into a merge, directly or after a normalisation, scale, dropout
        or activation.

        True as well where its consumer is not known: most arithmetic outside of layers is a
        residual sum.
        """
        seen, waiting = set(), [site]
        while waiting:
            current = waiting.pop()
            if not self.consumers(current) and self._guess(current) is not None:
                return True
            for consumer in self.consumers(current):
                if consumer.kind == "block" or (
                    consumer.kind == "merge" and consumer.layer_type not in _JOINING
                ):
                    return True
                if consumer.kind in _SCALED_OR_SHIFTED and consumer.index not in seen:
                    seen.add(consumer.index)
                    waiting.append(consumer)
        return False

    def is_fed_by_data(self, site: SiteStats) -> bool:
        """Whether no layer with weights comes before: the input's own scale enters here, and no
        gradient is needed further down.
        """
        seen, waiting = {site.index}, [site]
        while waiting:
            current = waiting.pop()
            if not current.inputs_known:
                return not any(map(_has_weights, self.sites[: site.index]))
            for index in set(current.inputs) - seen:
                if _has_weights(self.sites[index]):
                    return False
                seen.add(index)
                waiting.append(self.sites[index])
        return True

    def _guess(self, site: SiteStats) -> SiteStats | None:
        following = self.sites[site.index + 1] if site.index + 1 < len(self.sites) else None
        return following if following is not None and not following.inputs_known else None

    def _reached(self, site: SiteStats, through: Sequence[str]) -> list[SiteStats]:
        """The first sites downstream whose kind is not one of `through`, each once."""
        found: dict[int, SiteStats] = {}
        seen, waiting = set(), [site]
        while waiting:
            current = waiting.pop()
            guess = self._guess(current)
            for consumer in self.consumers(current) or ([guess] if guess is not None else []):
                if consumer.kind not in through:
                    found[consumer.index] = consumer
                elif consumer.index not in seen:
                    seen.add(consumer.index)
                    waiting.append(consumer)
        return list(found.values())

    def _dominates(self, merge: SiteStats, site: SiteStats) -> bool:
        """By size, since a skip connection may start at the model's input or hold a projection of
        its own.
        """
        result, branch = _sum_of(merge), site.activations.h
        return (
            result is not None
            and branch is not None
            and result.second_moment > SKIP_DOMINANCE * branch.second_moment
        )


def _sum_of(site: SiteStats) -> Moments | None:
    """What may be a residual sum: a merge's or a block's output, or an input that was made outside
    of layers.
    """
    if site.kind == "block" or (site.kind == "merge" and site.layer_type in _SUMS):
        return site.activations.h
    return None if site.inputs_known else site.activations.x


def _restores_scale(site: SiteStats) -> bool:
    """Keras' `Normalization` scales by constants. Others fail where the variance is far below their
    epsilon; zero is a gamma of zero.
    """
    if site.kind != "normalization" or site.layer_type == "Normalization":
        return False
    output = site.activations.h
    return (
        site.layer_type == "UnitNormalization"
        or output is None
        or not 0.0 < output.second_moment < LOST_IN_EPSILON
    )


def _has_weights(site: SiteStats) -> bool:
    return site.kind in _WITH_TRAINABLE_WEIGHTS or (
        site.kind == "other" and site.num_parameters > 0
    )
