"""The table of a probe's sites for a page that can sort it: columns of values, each with the text
that shows it. No layout.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from keras_initcheck.outputs.figure_data import Column, FigureData
from keras_initcheck.outputs.number_format import (
    format_count,
    format_number,
    format_power_of_ten,
    format_shape,
    format_share,
)

Value = str | float | None


@dataclass(frozen=True)
class SiteColumn:
    """One column.

    Attributes:
        title: Its head.
        hint: What it means, in a sentence.
        is_number: Whether it is a column of numbers.
        values: What to sort by, one for each site; `None` where there is nothing.
        texts: What to show, one for each site.
    """

    title: str
    hint: str
    is_number: bool
    values: tuple[Value, ...]
    texts: tuple[str, ...]


def site_columns(frame: FigureData) -> tuple[SiteColumn, ...]:
    """The columns that hold anything, the most telling ones first."""
    columns = [*_names(frame), *(_numbers(frame, *each) for each in NUMBERS), _sizes(frame)]
    return tuple(column for column in columns if any(value is not None for value in column.values))


def _names(frame: FigureData) -> list[SiteColumn]:
    order = range(len(frame))
    shapes = [
        format_shape((0, *shape)) if shape is not None else ""
        for shape in frame.sites.output_shapes
    ]
    areas = [math.prod(shape) if shape is not None else None for shape in frame.sites.output_shapes]
    return [
        SiteColumn(
            "#", "Order of execution.", True, tuple(map(float, order)), tuple(map(str, order))
        ),
        _words(
            "layer", "Path through nested models; #2 is the layer's second call.", frame.sites.names
        ),
        _words("type", "Class of the layer.", frame.sites.layer_types),
        _words("activation", "What follows the layer.", frame.sites.activations),
        SiteColumn("output", "Shape of one sample's output.", False, tuple(areas), tuple(shapes)),
    ]


def _words(title: str, hint: str, words: Sequence[str | None]) -> SiteColumn:
    return SiteColumn(title, hint, False, tuple(words), tuple(word or "" for word in words))


def _numbers(
    frame: FigureData, title: str, hint: str, show: Callable[[float], str], names: Sequence[str]
) -> SiteColumn:
    """Numbers out of the matrix, of the first of those statistics that was measured."""
    column: Column = frame.first_measured(*names)
    values = tuple(
        None if math.isnan(value) else value for value in np.asarray(column, float).tolist()
    )
    return SiteColumn(
        title, hint, True, values, tuple("" if value is None else show(value) for value in values)
    )


def _sizes(frame: FigureData) -> SiteColumn:
    values = tuple(float(count) if count else None for count in frame.sites.num_parameters)
    texts = tuple(format_count(count) if count else "" for count in frame.sites.num_parameters)
    return SiteColumn("parameters", "Number of weights.", True, values, texts)


NUMBERS: tuple[tuple[str, str, Callable[[float], str], tuple[str, ...]], ...] = (
    (
        "forward",
        "q(h)/q(x): the output's mean square over the input's. 1 keeps the signal.",
        format_power_of_ten,
        ("log10_forward_ratio",),
    ),
    (
        "predicted",
        "The forward ratio that the weights predict.",
        format_power_of_ten,
        ("log10_predicted_forward_ratio",),
    ),
    (
        "backward",
        "The same ratio for the gradient on its way back. 1 keeps it.",
        format_power_of_ten,
        ("log10_backward_ratio",),
    ),
    (
        "predicted back",
        "The backward ratio that the weights predict.",
        format_power_of_ten,
        ("log10_predicted_backward_ratio",),
    ),
    (
        "gain",
        "Product of forward since the last normalisation, merge or fork.",
        format_power_of_ten,
        ("log10_forward_gain",),
    ),
    ("mean", "Mean of the output.", format_number, ("mean_h",)),
    ("std", "Spread of the output.", format_number, ("standard_deviation_h",)),
    ("zeros", "Share of exact zeros in the output.", format_share, ("share_zero_h",)),
    (
        "batch",
        "How much of the output's variance is between samples; 0: all look alike.",
        format_number,
        ("batch_share_h",),
    ),
    (
        "gradient/weight",
        "Norm of the weights' gradient over that of the weights.",
        format_power_of_ten,
        ("log10_gradient_to_weight",),
    ),
)
"""Title, meaning, way to show and statistics of the columns that are taken from the matrix."""
