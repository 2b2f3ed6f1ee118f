"""The receivers of each site's output, and what follows from them without any measurement."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.site_kinds import (
    JOINING_TYPES,
    SCALED_OR_SHIFTED,
    TRANSPARENT,
    has_weights,
    is_normalizing,
)
from keras_initcheck.records.structure import Site, SiteKind

BoolArray = npt.NDArray[np.bool_]


class SiteGraph:
    """The sites of a structure with their consumers.

    Where a subclassed model does tensor arithmetic outside of layers, a consumer is not known. The
    site executed next serves then, if its own inputs are not known either. Each property is one
    pass over the sites, made once.

    Args:
        sites: All sites, in execution order.
    """

    def __init__(self, sites: Sequence[Site]) -> None:
        self._sites = sites
        consumers: list[list[int]] = [[] for _ in sites]
        for site in sites:
            for index in dict.fromkeys(site.inputs):
                consumers[index].append(site.index)
        self.consumers: tuple[tuple[int, ...], ...] = tuple(map(tuple, consumers))
        """`(sites,)` indices of the sites that are known to receive each output."""

    def receivers(self, index: int) -> tuple[int, ...]:
        """The known consumers of a site, or else the site executed next if it may be one."""
        return self.consumers[index] or self._guess(index)

    def reached(self, index: int, through: Sequence[SiteKind]) -> list[int]:
        """Indices of the first sites downstream whose kind is not one of `through`, each once."""
        found: dict[int, None] = {}
        seen, waiting = set(), [index]
        while waiting:
            for consumer in self.receivers(waiting.pop()):
                if self._sites[consumer].kind not in through:
                    found[consumer] = None
                elif consumer not in seen:
                    seen.add(consumer)
                    waiting.append(consumer)
        return list(found)

    @cached_property
    def is_last(self) -> BoolArray:
        """`(sites,)`, whether the output leaves the model: nothing receives it, as far as known."""
        return np.array([not self.receivers(site.index) for site in self._sites], bool)

    @cached_property
    def is_gate(self) -> BoolArray:
        """`(sites,)`, whether the output is multiplied into another signal.

        The size of such an output is a choice between open and shut.
        """
        return self._downstream(self.receivers, TRANSPARENT, _multiplies)

    @cached_property
    def is_branch(self) -> BoolArray:
        """`(sites,)`, whether the output goes into a merge.

        A normalization, scale, dropout or activation may come between. True as well where a
        consumer is not known: most arithmetic outside of layers is a residual sum.
        """
        has_unknown = [not self.consumers[k] and self._guess(k) for k in range(len(self._sites))]
        return self._downstream(
            self.consumers.__getitem__, SCALED_OR_SHIFTED, _merges, list(map(bool, has_unknown))
        )

    @cached_property
    def meets_normalizations_only(self) -> BoolArray:
        """`(sites,)`, whether normalizations alone receive an output.

        They may receive it directly or after transparent layers.
        """
        meets_other = self._downstream(
            self.receivers, TRANSPARENT, lambda site: not is_normalizing(site)
        )
        meets_any = self._downstream(self.receivers, TRANSPARENT, is_normalizing)
        return meets_any & ~meets_other

    def meets(self, is_met: BoolArray) -> BoolArray:
        """`(sites,)`, whether one of some sites receives an output.

        It may receive it directly or after transparent layers.

        Args:
            is_met: `(sites,)`, whether a site is one of them.
        """
        return self._downstream(self.receivers, TRANSPARENT, lambda site: bool(is_met[site.index]))

    def comes_before(self, is_met: BoolArray) -> BoolArray:
        """`(sites,)`, whether one of some sites receives what becomes of an output.

        Args:
            is_met: `(sites,)`, whether a site is one of them.
        """
        found = np.zeros(len(self._sites), bool)
        for site in reversed(self._sites):
            ahead = self.receivers(site.index)
            found[site.index] = any(found[each] or is_met[each] for each in ahead)
        return found

    @cached_property
    def is_fed_by_data(self) -> BoolArray:
        """`(sites,)`, whether no layer with weights comes before.

        The input's own scale enters at such a site, and no gradient is needed further down.
        """
        num = len(self._sites)
        is_behind_weights, is_behind_unknown = [False] * num, [False] * num
        were_weights, found = False, np.zeros(num, bool)
        for site in self._sites:
            k = site.index
            is_behind_unknown[k] = not site.inputs_known
            for before in site.inputs:
                is_behind_weights[k] |= (
                    has_weights(self._sites[before]) or is_behind_weights[before]
                )
                is_behind_unknown[k] |= is_behind_unknown[before]
            # An unknown link may lead to any site that was executed before.
            found[k] = not (is_behind_weights[k] or (is_behind_unknown[k] and were_weights))
            were_weights |= has_weights(site)
        return found

    @cached_property
    def model_inputs(self) -> tuple[tuple[str, ...], ...]:
        """`(sites,)` names of the model's inputs that reach each site before any weights.

        Empty where a link on the way is not known.
        """
        found: list[tuple[str, ...]] = []
        for site in self._sites:
            before = [name for index in site.inputs for name in found[index]]
            is_behind_weights = any(has_weights(self._sites[index]) for index in site.inputs)
            names = dict.fromkeys([*site.model_inputs, *before])
            found.append(() if is_behind_weights else tuple(names))
        return tuple(found)

    def _guess(self, index: int) -> tuple[int, ...]:
        following = index + 1
        is_open = following < len(self._sites) and not self._sites[following].inputs_known
        return (following,) if is_open else ()

    def _downstream(
        self,
        receivers: Callable[[int], tuple[int, ...]],
        through: Sequence[SiteKind],
        is_met: Callable[[Site], bool],
        start: Sequence[bool] | None = None,
    ) -> BoolArray:
        """`(sites,)`, whether a site downstream is met, reached over sites of the kinds `through`.

        A site that is met itself is not looked behind, unless its kind is one of `through`.
        """
        found = np.array([False] * len(self._sites) if start is None else start, bool)
        for site in reversed(self._sites):
            found[site.index] |= any(self._met(receivers(site.index), found, through, is_met))
        return found

    def _met(
        self,
        receivers: Sequence[int],
        found: BoolArray,
        through: Sequence[SiteKind],
        is_met: Callable[[Site], bool],
    ) -> Iterator[bool]:
        for index in receivers:
            site = self._sites[index]
            is_passed = site.kind in through
            yield bool(found[index]) if is_passed else is_met(site)


def _multiplies(site: Site) -> bool:
    return site.kind == "merge" and site.layer_type == "Multiply"


def _merges(site: Site) -> bool:
    return site.kind == "block" or (site.kind == "merge" and site.layer_type not in JOINING_TYPES)
