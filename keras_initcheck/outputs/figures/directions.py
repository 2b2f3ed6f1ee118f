"""Signal and gradient, the two directions through a network: their numbers, texts and findings.

Nothing is drawn here.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis import predicted_curves
from keras_initcheck.outputs.cell_text import shorten
from keras_initcheck.outputs.cleaning import clean
from keras_initcheck.outputs.figure_data import Column, FigureData
from keras_initcheck.outputs.figures import text
from keras_initcheck.outputs.severity_marks import LOUD
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.number_format import format_change, format_power_of_ten, format_share

GRADIENT_CODES = ("IC103", "IC3")
"""First characters of the codes of findings that are about the gradient."""

GRADIENTS = ("random", "loss")
"""The random cotangent's gradient first: a zero-initialized head makes the loss's gradient zero for
good reasons.
"""


@dataclass(frozen=True)
class Direction:
    """One of the two panels: what it draws of a frame.

    Attributes:
        name: `"forward"` or `"backward"`.
        noun: What travels.
        at_h: Gives `(sites,)` log10 root mean squares behind each site.
        at_x: The same in front of each weight layer.
        share_nonfinite: Gives `(sites,)` shares of NaN and infinity, 0..1.
        predicted: Name of the statistic that predicts what `at_h` measures.
        comparable: Name of the statistic that the prediction is about.
    """

    name: str
    noun: str
    at_h: Callable[[FigureData], Column]
    at_x: Callable[[FigureData], Column]
    share_nonfinite: Callable[[FigureData], Column]
    predicted: str
    comparable: str

    def is_about(self, finding: Finding) -> bool:
        """Whether the finding is about this direction.

        Findings that are not about the gradient count as being about the signal.
        """
        return finding.code.startswith(GRADIENT_CODES) is (self.name == "backward")


FORWARD = Direction(
    "forward",
    "Signal",
    lambda frame: frame.shown("log10_second_moment_h"),
    lambda frame: frame.shown("log10_second_moment_x"),
    lambda frame: frame.column("share_nonfinite_h"),
    "log10_predicted_second_moment_h",
    "log10_second_moment_h",
)
BACKWARD = Direction(
    "backward",
    "Gradient",
    lambda frame: _of_gradient(frame, "log10_{}_gradient_second_moment_h"),
    lambda frame: _of_gradient(frame, "log10_{}_gradient_second_moment_x"),
    lambda frame: _of_gradient(frame, "share_nonfinite_{}_gradient_h"),
    "log10_predicted_gradient_h",
    "log10_random_gradient_second_moment_h",
)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted root mean squares of one direction with their band, in log10 units.

    Attributes:
        line: `(sites,)` predicted root mean squares behind each site, `nan` where there is none.
        low: `(sites,)` lower end of the range that chance allows.
        high: `(sites,)` its upper end.
        step: Step of the probe that made the prediction.
    """

    line: Column
    low: Column
    high: Column
    step: int

    @property
    def exists(self) -> bool:
        """Whether anything is predicted."""
        return bool(np.isfinite(self.line).any())


def predict(frame: FigureData, direction: Direction) -> Prediction:
    """The prediction of this probe, or of the run's first probe if this one has none.

    The gradient's prediction is about a random cotangent. Nothing is returned for a probe that
    measured the loss's gradient alone.
    """
    source = frame.predicting(direction.predicted)
    line = source.column(direction.predicted)
    if np.isnan(frame.column(direction.comparable)).all():
        line = np.full(len(frame), np.nan)
    low, high = predicted_curves.chance_band(line, _variance(source, direction))
    return Prediction(line / 2.0, low / 2.0, high / 2.0, source.step)


def _variance(frame: FigureData, direction: Direction) -> Column:
    """`(sites,)` variance of the natural logarithm of what is predicted, by chance alone."""
    sites, own = frame.sites, frame.column("log_ratio_variance")
    ways = predicted_curves.sources(sites.inputs, sites.inputs_known)
    if direction is BACKWARD:
        return predicted_curves.gradient_variance(ways, own)
    restarts = [*map(predicted_curves.removes_scatter, sites.kinds, sites.layer_types)]
    return predicted_curves.signal_variance(ways, own, restarts)


def _of_gradient(frame: FigureData, statistic: str) -> Column:
    """`(sites,)` numbers of the random cotangent's gradient, or of the loss's if that is all."""
    return frame.first_measured(*(statistic.format(gradient) for gradient in GRADIENTS))


def has_value(frame: FigureData, direction: Direction) -> npt.NDArray[np.bool_]:
    """`(sites,)` whether there is something to draw."""
    has_share: npt.NDArray[np.bool_] = direction.share_nonfinite(frame) > 0
    return ~np.isnan(direction.at_h(frame)) | has_share


def describe(frame: FigureData, direction: Direction) -> str:
    """The change of signal or gradient in words.

    It is the one that a warning or an error is about, so that heading and verdict have one number,
    or else from the first to the last hidden layer.
    """
    return _describe_blamed(frame, direction) or _describe_all(frame, direction)


def _describe_blamed(frame: FigureData, direction: Direction) -> str:
    """The change between the ends of the worst finding about layers in a row, `""` without one."""
    places = _first_places(frame.sites.names)
    for finding in frame.findings:  # worst first
        ends = [places[name] for name in finding.span if name in places]
        if finding.severity not in LOUD or not direction.is_about(finding) or len(ends) < 2:
            continue
        first, last = ends[0], ends[-1]
        # A residual stack begins behind its first site, layers in a row before it.
        is_stack = frame.sites.kinds[last] != "weight"
        start = (direction.at_h if is_stack else direction.at_x)(frame)[first]
        log10_gain = float(direction.at_h(frame)[last] - start)
        if math.isfinite(log10_gain):
            names = [_short_name(frame, end) for end in (first, last)]
            change = format_change(log10_gain if direction is FORWARD else -log10_gain)
            way = names if direction is FORWARD else names[::-1]
            return f"{change} from {way[0]} to {way[1]}"
    return ""


def _describe_all(frame: FigureData, direction: Direction) -> str:
    """The change from the first to the last hidden layer."""
    hidden = [
        index
        for index, kind in enumerate(frame.sites.kinds)
        if kind == "weight" and not frame.sites.are_heads[index]
    ]
    hidden = hidden or np.flatnonzero(frame.where("weight")).tolist()
    values = direction.at_h(frame)
    order = hidden if direction is FORWARD else hidden[::-1]
    for index in order:
        if direction.share_nonfinite(frame)[index] > 0:
            return f"NaN from {_short_name(frame, index)} on"
        if np.isneginf(values[index]):
            return f"dies in {_short_name(frame, index)}"
    if not hidden:
        return "no layer with weights"
    first, last = direction.at_x(frame)[hidden[0]], values[hidden[-1]]
    return text.describe_gain(float(last - first if direction is FORWARD else first - last))


def _short_name(frame: FigureData, index: int) -> str:
    return shorten(clean(frame.sites.names[index]), text.LONGEST_NAME)


def marked_sites(frame: FigureData, direction: Direction) -> dict[int, str]:
    """The worst severity of the findings about that direction, by the index of their site."""
    marked: dict[int, str] = {}
    names, layers = (_first_places(paths) for paths in (frame.sites.names, frame.sites.layers))
    for finding in frame.findings:  # worst first
        if direction.is_about(finding):
            index = names.get(finding.site) if finding.site else layers.get(finding.layer or "")
            if index is not None:
                marked.setdefault(index, finding.severity)
    return marked


def _first_places(paths: Sequence[str]) -> dict[str, int]:
    return {path: index for index, path in reversed([*enumerate(paths)])}


def hovers(
    frame: FigureData, indices: Sequence[int], direction: Direction, with_run: bool
) -> list[str]:
    """Everything that is known about those sites, for the box beside the pointer."""
    shares, values = direction.share_nonfinite(frame), direction.at_h(frame)
    return [
        _hover(frame, index, direction, shares[index], values[index], with_run) for index in indices
    ]


def _hover(
    frame: FigureData, index: int, direction: Direction, share: float, value: float, with_run: bool
) -> str:
    lines = [f"<b>{text.escape(frame.run)}</b>"] if with_run and frame.run else []
    lines += text.site_lines(frame, index)
    lines += (
        [f"{direction.noun.lower()}: {format_share(share)} NaN or infinite"] if share > 0 else []
    )
    if not share >= 1:  # what is known is about the finite rest; NaN where nothing is known of it
        lines.append(
            f"{direction.noun.lower()}: root mean square {format_power_of_ten(value)}"
            f" (mean square {format_power_of_ten(2.0 * value)})"
        )
        lines += _prediction_lines(frame, index, direction)
        lines += text.ratio_line(frame, index, direction.name)
    return "<br>".join([*lines, *text.finding_lines(frame.findings_at(index))])


def _prediction_lines(frame: FigureData, index: int, direction: Direction) -> list[str]:
    """The predicted root mean square, or the reason why there is none."""
    source = frame.predicting(direction.predicted)
    value, reason = source.shown(direction.predicted)[index], frame.sites.unpredicted[index]
    is_comparable = not math.isnan(frame.column(direction.comparable)[index])
    if not math.isnan(value) and is_comparable:
        when = "" if source is frame else f" at step {source.step}"
        return [f"predicted{when}: {format_power_of_ten(value)}"]
    if math.isnan(value) and reason is not None:
        return [text.break_lines(f"not predicted: {reason}", text.HOVER_WIDTH)]
    return []


def blame(frame: FigureData, index: int, direction: Direction) -> str | None:
    """The severity of the worst warning or error about that direction that blames the site."""
    for finding in frame.findings_at(index):
        if direction.is_about(finding) and finding.severity != "info":
            return finding.severity
    return None


def ideal(frame: FigureData, direction: Direction) -> float:
    """Height of the flat guide, in log10 units.

    It is the size with which the signal enters the first layer, or the gradient the last hidden
    one.
    """
    if direction is FORWARD:
        candidates = [*direction.at_x(frame), *direction.at_h(frame)]
    else:
        hidden = [
            index
            for index in range(len(frame))
            if frame.sites.kinds[index] == "weight" and not frame.sites.are_heads[index]
        ]
        candidates = [*direction.at_h(frame)[hidden[::-1]], *direction.at_h(frame)[::-1]]
    return next((float(value) for value in candidates if math.isfinite(value)), 0.0)
