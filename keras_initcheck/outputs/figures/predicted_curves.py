"""What the weights alone predict for signal and gradient at each layer, and how far chance moves
it. Only numbers, nothing is drawn.

Along a chain the logarithm of the second moment is where it began plus the sum of the predicted
log ratios, plus what the layers in between that only pass on (pooling, dropout) were measured to
do. Chance makes each log ratio of a healthy layer scatter with the variance `log_ratio_variance`;
the product of ratios has mean 1 (Hanin & Nica 2020), hence the median lies half the summed variance
lower.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from keras_initcheck.outputs.figure_data import Column, FigureData

TWO_SIDED_99 = 2.576
"""Normal quantile: 99% of healthy networks lie in the band."""

INPUT = -1
"""Position of the model's input on the depth axis."""

GRADIENTS = ("random", "loss")
"""The random cotangent's gradient first: a zero-initialised head makes that of the loss zero for
good reasons.
"""


@dataclass(frozen=True)
class Curve:
    """A predicted curve with its band, as four lists of one length in log10 units; `nan` between
    chains.
    """

    positions: list[float]
    median: list[float]
    low: list[float]
    high: list[float]


def gradient_column(frame: FigureData, what: str, place: str) -> Column:
    """`(sites,)` numbers of the random cotangent's gradient, or of the loss's where that was not
    measured.
    """
    return frame.first_measured(*(what.format(gradient, place) for gradient in GRADIENTS))


def gradient_moments(frame: FigureData, place: str) -> Column:
    """`(sites,)` log10 of the gradient's second moment at `place`, `"x"` or `"h"`."""
    return gradient_column(frame, "log10_{}_gradient_second_moment_{}", place)


def source_position(frame: FigureData, index: int) -> int:
    """Where on the depth axis the site's input comes from."""
    if frame.inputs_known[index]:
        return frame.inputs[index][0] if frame.inputs[index] else INPUT
    return index - 1


def predict_forward(frame: FigureData) -> Curve:
    """The predicted log10 second moment of the signal at each `h`, from the start of each chain
    on.
    """
    at_x, at_h = frame.column("log10_second_moment_x"), frame.column("log10_second_moment_h")
    ratios = frame.column("log10_predicted_forward_ratio")
    curves = []
    for chain in chains(frame):
        passed = [
            0.0,
            *(
                _difference(at_x[index], at_h[before])
                for before, index in itertools.pairwise(chain)
            ),
        ]
        steps = [
            (index, ratios[index], between) for index, between in zip(chain, passed, strict=True)
        ]
        curves.append(_accumulate(frame, source_position(frame, chain[0]), at_x[chain[0]], steps))
    return _join(curves)


def predict_backward(frame: FigureData) -> Curve:
    """The predicted log10 second moment of the gradient at each `h`, from the end of each chain
    back.
    """
    at_x, at_h = gradient_moments(frame, "x"), gradient_moments(frame, "h")
    ratios = frame.column("log10_predicted_backward_ratio")
    curves = []
    for chain in chains(frame):
        before = [source_position(frame, chain[0]), *chain[:-1]]
        passed = [
            0.0,
            *(
                _difference(at_h[previous], at_x[index])
                for previous, index in itertools.pairwise(chain)
            ),
        ]
        steps = [
            (position, ratios[index], between)
            for position, index, between in zip(before, chain, passed, strict=True)
        ]
        variances = [frame.column("log_ratio_variance")[index] for index in chain]
        curves.append(_accumulate(frame, chain[-1], at_h[chain[-1]], steps[::-1], variances[::-1]))
    return _join(curves)


def chains(frame: FigureData) -> list[list[int]]:
    """Indices of the hidden weight layers of each chain, in order of execution."""
    found: dict[int, list[int]] = {}
    for index, chain in enumerate(frame.chains):
        if chain is not None:
            found.setdefault(chain, []).append(index)
    return list(found.values())


def band_of_ratio(variance: Column, predicted: Column) -> tuple[Column, Column]:
    """`(sites,)` lower and upper end of each layer's own band around its predicted log10 ratio."""
    half = TWO_SIDED_99 * np.sqrt(variance)
    return predicted + (-variance / 2 - half) / math.log(10), predicted + (
        -variance / 2 + half
    ) / math.log(10)


def _accumulate(
    frame: FigureData,
    position: int,
    start: float,
    steps: Iterable[tuple[int, float, float]],
    variances: Sequence[float] | None = None,
) -> Curve:
    """The curve of one chain: `steps` are position, predicted log10 ratio, and what is passed on
    in between.
    """
    curve = Curve([position], [start], [start], [start])
    steps = list(steps)
    own = frame.column("log_ratio_variance")
    known = [own[step[0]] for step in steps] if variances is None else variances
    level, variance = start, 0.0
    for (where, ratio, between), chance in zip(steps, known, strict=True):
        level += ratio + between
        variance += _finite(chance)
        middle, half = (
            level - variance / 2 / math.log(10),
            TWO_SIDED_99 * math.sqrt(variance) / math.log(10),
        )
        for values, value in zip(
            (curve.positions, curve.median, curve.low, curve.high),
            (where, middle, middle - half, middle + half),
            strict=True,
        ):
            values.append(value)
    return curve


def _join(curves: Sequence[Curve]) -> Curve:
    """The curves one behind the other, those that begin with no number left out."""
    joined = Curve([], [], [], [])
    for curve in curves:
        if math.isfinite(curve.median[0]):
            for values, more in zip(vars(joined).values(), vars(curve).values(), strict=True):
                values.extend([*more, math.nan])
    return joined


def _difference(first: float, second: float) -> float:
    """`first - second`, or 0 where one of them is dead or unknown."""
    return float(first - second) if math.isfinite(first) and math.isfinite(second) else 0.0


def _finite(number: float) -> float:
    return float(number) if math.isfinite(number) else 0.0
