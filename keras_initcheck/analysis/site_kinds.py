"""Kinds of sites by what they do to the scale of a signal, for all modules of this folder."""

from keras_initcheck.records.structure import Site, SiteKind

TRANSPARENT: tuple[SiteKind, ...] = ("pass", "activation")
"""Kinds that hand on what they receive, up to a factor of the order of 1."""
SCALED_OR_SHIFTED: tuple[SiteKind, ...] = (*TRANSPARENT, "normalization", "other")
"""Kinds that may stand between a residual branch and its merge."""
WITH_TRAINABLE_WEIGHTS: tuple[SiteKind, ...] = ("weight", "recurrent", "embedding")
"""Kinds of layers whose weights are drawn at random."""
JOINING_TYPES = ("Concatenate", "Stack")
"""Types of merges that keep their operands apart."""
SUM_TYPES = ("Add", "Subtract", "Average")
"""Types of merges whose result may be a residual sum."""
SCALED_BY_CONSTANTS = "Normalization"
"""Keras' layer of kind `"normalization"` that keeps whatever scale and scatter its input has."""


def has_weights(site: Site) -> bool:
    """Whether the layer has weights of its own other than a normalization's."""
    return site.kind in WITH_TRAINABLE_WEIGHTS or (site.kind == "other" and site.num_parameters > 0)


def is_normalizing(site: Site) -> bool:
    """Whether the layer divides by the scale of its own input."""
    return site.kind == "normalization" and site.layer_type != SCALED_BY_CONSTANTS


def sources(site: Site) -> tuple[int, ...]:
    """Indices of the sites behind the input; the site executed before where that is not known."""
    if site.inputs_known:
        return site.inputs
    return (site.index - 1,) if site.index else ()
