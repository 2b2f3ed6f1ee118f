"""The weights that a verdict is about: those of layers whose output was measured."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from keras_initcheck.records.measurement import SIZE, H
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.structure import NOT_CALLED, Structure, Weight


@dataclass(frozen=True)
class Coverage:
    """Layers that a profile leaves out.

    State that is not trained by construction, such as moving statistics, does not count.

    Attributes:
        share: Share of the parameters that belong to layers which were measured, 0..1.
        hidden: Paths of the layers that were not measured, the largest first.
        unused: Paths of the layers that the model did not call, the largest first.
    """

    share: float
    hidden: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every layer with weights was measured."""
        return not self.hidden and not self.unused


def coverage(profile: Profile) -> Coverage:
    """The share of the parameters that was judged, and the layers that were not."""
    structure = profile.structure
    reasons = dict(structure.not_probed)
    judged = set(_judged_layers(profile))
    total, missed = structure.num_unmeasured, Counter[str]()
    for weight in structure.weights:
        if weight.role == "state":
            continue
        total += math.prod(weight.shape)
        if not _is_judged(weight, structure, judged):
            missed[weight.layer] += math.prod(weight.shape)
    left = missed.total() + structure.num_unmeasured
    names = [name for name, _ in missed.most_common()]
    unused = tuple(name for name in names if reasons.get(name) == NOT_CALLED)
    return Coverage(
        share=1.0 - left / total if total else 1.0,
        hidden=tuple(name for name in names if name not in unused),
        unused=unused,
    )


def _judged_layers(profile: Profile) -> Iterator[str]:
    """Paths of the layers whose output was measured, and of all that hold them."""
    is_measured = ~np.isnan(profile.measurement.activations[:, H, SIZE])
    for site in profile.structure.sites:
        if is_measured[site.index]:
            parts = site.layer.split("/")
            yield from ("/".join(parts[:end]) for end in range(len(parts) + 1))


def _is_judged(weight: Weight, structure: Structure, judged: set[str]) -> bool:
    """Whether the layer that owns a weight was measured, or is the cell of one that was.

    The weights of a container act on what the layers in it receive. A wrapper that loops over its
    layer is measured as a whole, and says little of the layers inside.
    """
    if weight.site is None:
        return weight.layer in judged
    site = structure.sites[weight.site]
    is_part = weight.layer != site.layer and site.kind not in ("weight", "recurrent")
    return site.layer in judged and not is_part
