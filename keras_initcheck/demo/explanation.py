"""The words and the table of the story, made of measured numbers. Nothing is measured or printed here."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from keras_initcheck.demo.alexnet import POOLED
from keras_initcheck.demo.digits import Training
from keras_initcheck.outputs.numbers import format_number
from keras_initcheck.profile import Profile

QUESTION = "The question, from a forum: why do AlexNet's ReLU activations explode or die within a few layers, and what to do about it?"

MEAN_SUBTRACTION = math.sqrt(1 - 1 / math.pi)
"""Standard deviation of relu(z) over its root mean square, z ~ N(0,1): 0.826, the share that is left when the mean is subtracted."""

Spreads = Mapping[str, float]


def product(profile: Profile) -> str:
    """He et al.'s formula with the factors of this network."""
    sites = [site for site in profile.weight_sites if not site.is_head]
    factors = [(site.name, profile.kernels(site.layer)[0]) for site in sites]
    named = [f"{name} {format_number((kernel.fan_in or math.nan) * kernel.moments.variance / 2)}" for name, kernel in factors]
    return (
        "Why: each ReLU layer multiplies the signal's mean square by ½ n Var[w] (He et al. 2015), where n is the number of inputs to a unit: "
        f"{', '.join(named)}. Nothing but a factor near 1 survives being multiplied so often."
    )


def table(columns: Mapping[str, Spreads]) -> list[str]:
    """A line for each layer, a column for each way."""
    layers = list(next(iter(columns.values())))
    cells = {title: [format_number(spreads[layer]) for layer in layers] for title, spreads in columns.items()}
    widths = {title: max(len(title), *map(len, texts)) for title, texts in cells.items()}
    head = "   ".join(["  layer", *(f"{title:>{widths[title]}}" for title in columns)])
    rows = ["   ".join([f"  {layer:<5}", *(f"{cells[title][row]:>{widths[title]}}" for title in columns)]) for row, layer in enumerate(layers)]
    return [head, *rows]


def verdicts(columns: Mapping[str, Spreads]) -> list[str]:
    """A sentence on each way."""
    normal, subtracted, glorot, he = (list(spreads.values()) for spreads in columns.values())
    growth = f"{min(_steps(normal)):.0f} to {max(_steps(normal)):.0f}"
    kept = (subtracted[-1] / normal[-1]) ** (1 / (len(normal) - 1))
    pooled, plain = _split(columns["He"])
    return [
        f"N(0,1): every layer multiplies the numbers by {growth}.",
        f"Mean subtracted after each ReLU: takes {1 - kept:.0%} off at each layer (theory: {1 - MEAN_SUBTRACTION:.0%}, for that is all the "
        f"mean of a ReLU amounts to), against a growth by {growth}. It never turns millions into thousands: over the whole network it is "
        f"a factor of {normal[-1] / subtracted[-1]:.1f}.",
        "Glorot: made for units that are linear around 0. A ReLU drops half of the signal, so that the mean square about halves at each "
        f"layer; the numbers shrink by {_per_step(glorot):.2f} a layer, {glorot[-1] / glorot[0]:.2g} in all. Eight layers bear it, thirty do not.",
        f"He: Var[w] = 2/n makes ½ n Var[w] = 1. From layer to layer the numbers change by {_range(plain)}, and by {_range(pooled)} where a "
        "max pooling in between picks the larger ones: a drift of the architecture, and harmless.",
    ]


def trained(title: str, result: Training) -> str:
    """What `InitCheck` said of a training before it began, and how it ended."""
    said = "InitCheck said nothing" if result.report is None else "InitCheck, before the first step: " + _short(result.report.verdict)
    loss = "its loss became NaN" if math.isnan(result.loss) else f"loss {result.loss:.3g}"
    return f"{title}: {result.accuracy:.1%} of the test images right ({loss}). {said}"


def _short(verdict: str) -> str:
    """The first sentence."""
    return verdict.partition(". ")[0].rstrip(".") + "."


def _steps(spreads: Sequence[float]) -> list[float]:
    return [after / before for before, after in pairwise(spreads)]


def _per_step(spreads: Sequence[float]) -> float:
    return (spreads[-1] / spreads[0]) ** (1 / (len(spreads) - 1))


def _split(spreads: Spreads) -> tuple[list[float], list[float]]:
    """The steps from layer to layer: those over a max pooling, and the others."""
    steps = [(before, spreads[after] / spreads[before]) for before, after in pairwise(spreads)]
    return [step for layer, step in steps if layer in POOLED], [step for layer, step in steps if layer not in POOLED]


def _range(factors: Sequence[float]) -> str:
    return f"{min(factors):.2f} to {max(factors):.2f}"
