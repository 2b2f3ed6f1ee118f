"""The table of a probe's sites: one list of columns, which terminal, page and tab lay out.

A column has a title, a meaning, and for each site a value to sort by and the text that shows it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from keras_initcheck.outputs.figure_data import Column as Numbers
from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.records.number_format import (
    format_count,
    format_number,
    format_power_of_ten,
    format_shape,
    format_share,
)

Value = str | float | None
Values = tuple[Value, ...]
Texts = tuple[str, ...]
Show = Callable[[float, int], str]

NUMBER_WIDTH = 7
"""Characters that a number is kept to."""

DRAWS: tuple[str, ...] = ("unknown", "fresh", "loaded", "constant", "repeated", "other")
"""Short words for `VERDICTS`, in the same order."""

IS_MEASURED = "share_nonfinite_h"
"""Statistic that has a number wherever the output was measured. Others may be undefined there, such
as the mean of an output that is NaN throughout.
"""


@dataclass(frozen=True)
class Prediction:
    """A prediction that the numbers of a column are compared with.

    Attributes:
        statistic: Name of the predicted statistic, a logarithm.
        basis: What predicts it.
    """

    statistic: str
    basis: str


@dataclass(frozen=True)
class Column:
    """One column of the table.

    Attributes:
        title: Its head.
        meaning: What it shows, in a sentence.
        values: Gives what to sort by for each site, `None` for nothing.
        texts: Gives what to show for each site, in about so many characters for a number.
        is_number: Whether it is aligned and sorted as numbers.
        prediction: What stands beside it: after a slash in the terminal, in a column of its own on
            a page.
    """

    title: str
    meaning: str
    values: Callable[[FigureData], Values]
    texts: Callable[[FigureData, int], Texts]
    is_number: bool = True
    prediction: Prediction | None = None

    @property
    def predicted(self) -> "Column | None":
        """The column of the predictions."""
        if self.prediction is None:
            return None
        meaning = f"The same, predicted from {self.prediction.basis}."
        statistic = self.prediction.statistic
        return _numbers(f"predicted {self.title}", meaning, format_power_of_ten, statistic)


@dataclass(frozen=True)
class SiteColumn:
    """One column with its cells, for a page that can sort it.

    Attributes:
        title: Its head.
        hint: What it means, in a sentence.
        is_number: Whether it is a column of numbers; only the tab's `table.js` reads this.
        values: What to sort by, one for each site; `None` where there is nothing.
        texts: What to show, one for each site.
    """

    title: str
    hint: str
    is_number: bool
    values: Values
    texts: Texts


def site_columns(data: FigureData) -> tuple[SiteColumn, ...]:
    """The columns with any content, measured and predicted numbers beside each other."""
    filled = (
        SiteColumn(
            each.title,
            each.meaning,
            each.is_number,
            each.values(data),
            each.texts(data, NUMBER_WIDTH),
        )
        for each in _with_predictions()
    )
    return tuple(each for each in filled if any(value is not None for value in each.values))


def _with_predictions() -> Iterator[Column]:
    for column in COLUMNS:
        yield column
        if (predicted := column.predicted) is not None:
            yield predicted


def _words(title: str, meaning: str, read: Callable[[FigureData], Sequence[str | None]]) -> Column:
    def texts(data: FigureData, width: int) -> Texts:
        return tuple(word or "" for word in read(data))

    return Column(title, meaning, lambda data: tuple(read(data)), texts, is_number=False)


def _numbers(
    title: str,
    meaning: str,
    show: Show,
    *statistics: str,
    prediction: Prediction | None = None,
    broken: tuple[str, ...] = (),
) -> Column:
    """A column of the first statistic that was measured anywhere.

    Args:
        title: Its head.
        meaning: What it shows.
        show: Gives the text of a number.
        *statistics: Names of the statistics.
        prediction: What it is compared with.
        broken: Names of the statistics with the share of NaN and infinity: where there is any and
            no number, `nan` is shown.
    """

    def read(data: FigureData) -> list[float | None]:
        numbers: Numbers = data.first_measured(*statistics)
        is_missing = np.isnan(numbers)
        if broken:
            is_missing &= ~(data.first_measured(*broken) > 0)
        return _without(numbers, is_missing)

    return _shown(title, meaning, show, read, prediction)


def _ratios(
    title: str,
    meaning: str,
    statistic: str,
    ends: tuple[tuple[str, ...], ...],
    *,
    has_heads: bool = True,
    prediction: Prediction | None = None,
) -> Column:
    """A column about weight layers, `nan` where both ends were measured and have no ratio.

    So it is where no signal arrives, as zero by zero is not defined, and where NaN does.

    Args:
        title: Its head.
        meaning: What it shows.
        statistic: Name of the statistic, a logarithm.
        ends: For each end the names of statistics that are numbers if it was measured; the first
            that was measured anywhere counts.
        has_heads: Whether heads have a number, too.
        prediction: What it is compared with.
    """

    def read(data: FigureData) -> list[float | None]:
        numbers = data.shown(statistic)
        is_expected = data.where("weight")
        if not has_heads:
            is_expected &= ~np.array(data.sites.are_heads, bool)
        for names in ends:
            is_expected &= ~np.isnan(data.first_measured(*names))
        return _without(numbers, np.isnan(numbers) & ~is_expected)

    return _shown(title, meaning, format_power_of_ten, read, prediction)


def _moments(title: str, meaning: str, show: Show, *statistics: str) -> Column:
    """A column about each site's output: the first statistic that was measured there.

    A measured output may leave the statistic undefined, which is shown as `nan`.
    """

    def read(data: FigureData) -> list[float | None]:
        numbers, *others = (data.shown(name) for name in statistics)
        for other in others:
            numbers = np.where(np.isnan(numbers), other, numbers)
        return _without(numbers, np.isnan(numbers) & np.isnan(data.column(IS_MEASURED)))

    return _shown(title, meaning, show, read)


def _draws(data: FigureData) -> list[str | None]:
    """The verdicts on the draws; a log may hold any number."""
    known = dict(enumerate(DRAWS))
    return [known.get(number) for number in data.column("draw").tolist()]


def _without(numbers: Numbers, is_missing: npt.NDArray[np.bool_]) -> list[float | None]:
    found = zip(numbers.tolist(), is_missing.tolist(), strict=True)
    return [None if missing else number for number, missing in found]


def _shown(
    title: str,
    meaning: str,
    show: Show,
    read: Callable[[FigureData], Sequence[float | None]],
    prediction: Prediction | None = None,
) -> Column:
    def texts(data: FigureData, width: int) -> Texts:
        return tuple("" if value is None else show(value, width) for value in read(data))

    return Column(title, meaning, lambda data: tuple(read(data)), texts, prediction=prediction)


def _positions(data: FigureData) -> list[float]:
    return [float(position) for position in range(len(data))]


def _sizes(data: FigureData) -> list[float | None]:
    return [float(count) if count else None for count in data.sites.num_parameters]


def _areas(data: FigureData) -> Values:
    shapes = data.sites.output_shapes
    return tuple(None if shape is None else float(math.prod(shape)) for shape in shapes)


def _shapes(data: FigureData, width: int) -> Texts:
    shapes = data.sites.output_shapes
    return tuple("" if shape is None else format_shape((0, *shape)) for shape in shapes)


def _share(value: float, width: int) -> str:
    return format_share(value)


def _count(value: float, width: int) -> str:
    return format_count(int(value))


_FROM_WEIGHTS = "the layer's weights"
_FROM_INPUTS = "the model's inputs and all weights on the way"

_SIGNAL = ("share_nonfinite_h",)
_SIGNAL_ENDS = (("log10_second_moment_x",), _SIGNAL)
_GRADIENT = ("share_nonfinite_random_gradient_h", "share_nonfinite_loss_gradient_h")
_GRADIENT_ENDS = (
    ("log10_random_gradient_second_moment_x", "log10_loss_gradient_second_moment_x"),
    _GRADIENT,
)

FACTS = (
    _shown("#", "Order of execution.", lambda value, width: f"{value:.0f}", _positions),
    _words(
        "layer",
        "Path through nested models; #2 is the layer's second call.",
        lambda data: data.sites.names,
    ),
    _words("type", "Class of the layer.", lambda data: data.sites.layer_types),
    _words("activation", "What follows the layer.", lambda data: data.sites.activations),
    Column("output", "Shape of one sample's output.", _areas, _shapes, is_number=False),
    _shown("parameters", "Number of weights.", _count, _sizes),
)
"""Columns that do not change while a model is trained."""

MEASURED = (
    _ratios(
        "forward",
        "Size of the output over the size of the input (root mean squares). 1 keeps the signal.",
        "log10_forward_ratio",
        _SIGNAL_ENDS,
        prediction=Prediction("log10_predicted_forward_ratio", _FROM_WEIGHTS),
    ),
    _ratios(
        "backward",
        "The same ratio for the gradient on its way back. 1 keeps it.",
        "log10_backward_ratio",
        _GRADIENT_ENDS,
        prediction=Prediction("log10_predicted_backward_ratio", _FROM_WEIGHTS),
    ),
    _ratios(
        "gain",
        "Product of forward since the last normalization, merge or fork.",
        "log10_forward_gain",
        _SIGNAL_ENDS,
        has_heads=False,
    ),
    _numbers(
        "size",
        "Root mean square of the output.",
        format_power_of_ten,
        "log10_second_moment_h",
        broken=_SIGNAL,
        prediction=Prediction("log10_predicted_second_moment_h", _FROM_INPUTS),
    ),
    _numbers(
        "gradient",
        "Root mean square of the gradient behind the layer.",
        format_power_of_ten,
        "log10_random_gradient_second_moment_h",
        "log10_loss_gradient_second_moment_h",
        broken=_GRADIENT,
        prediction=Prediction("log10_predicted_gradient_h", "all weights on its way back"),
    ),
    _moments(
        "std z",
        "Spread of the numbers before the activation.",
        format_number,
        "standard_deviation_z",
        "standard_deviation_h",
    ),
    _moments("mean", "Mean of the output.", format_number, "mean_h"),
    _moments("zeros", "Share of exact zeros in the output.", _share, "share_zero_h"),
    _moments("largest", "Largest magnitude in the output.", format_power_of_ten, "log10_largest_h"),
    _moments(
        "batch",
        "How much of the output's variance is between samples; 0: all look alike.",
        format_number,
        "batch_share_h",
    ),
    _numbers(
        "gradient/weight",
        "Norm of the weights' gradient over that of the weights.",
        format_power_of_ten,
        "log10_gradient_to_weight",
    ),
    _words(
        "drawn",
        "Weights beside what their initializers promise: fresh (as promised), loaded (or trained),"
        " constant, repeated (the same numbers twice), other (another draw).",
        _draws,
    ),
)
"""Columns of measured numbers."""

COLUMNS: tuple[Column, ...] = FACTS + MEASURED
