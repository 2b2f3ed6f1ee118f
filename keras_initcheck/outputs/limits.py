"""Limits of a report's fields beyond their types: anybody may have written the file.

Nothing is parsed here. A field that is not listed may hold whatever its type can.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from keras_initcheck.outputs.json_document import ProfileDocument
from keras_initcheck.outputs.logged import Judgement, LoggedSites
from keras_initcheck.records.data import IndexInput, Labels, OutputStats, TabularInput
from keras_initcheck.records.first_step import FirstStep
from keras_initcheck.records.profile import Spectrum
from keras_initcheck.records.report import MeanFieldSummary, Report
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.records.statistics import Histogram, Moments
from keras_initcheck.records.trial import Trial

LARGEST_INTEGER = 2**64
"""Seeds and counts are below; larger ones overflow a float somewhere behind."""
LONGEST_TEXT = 100_000
"""Characters of a name or a message."""
LARGEST_RANK = 64
"""Axes of a tensor: NumPy's own limit."""
ROUNDING = 1e-3
"""Tolerance of a share beyond 0..1: it is a quotient of float32 sums."""


class Limit(NamedTuple):
    """A condition on a field.

    Attributes:
        words: The same in words.
        holds: Whether a value is.
        least: The smallest number, if there is one.
        most: The largest number, if there is one.
    """

    words: str
    holds: Callable[[Any], bool]
    least: float | None = None
    most: float | None = None


class Problem(NamedTuple):
    """A field that does not go with the rest of its record.

    Attributes:
        place: Where it stands in the record.
        expected: What it must be.
        received: What it is.
    """

    place: str
    expected: str
    received: object


COUNT = Limit("0 or more", lambda number: number >= 0, least=0)
SIZE = Limit('0 or more, or "NaN"', lambda number: not number < 0, least=0)
SHARE = Limit(
    'a share, 0 to 1, or "NaN"',
    lambda number: math.isnan(number) or -ROUNDING <= number <= 1 + ROUNDING,
    least=-ROUNDING,
    most=1 + ROUNDING,
)
FINITE = Limit("a finite number", math.isfinite)
COUNTS = Limit(
    "a list of numbers that are 0 or more", lambda numbers: all(number >= 0 for number in numbers)
)
SIZES = Limit(
    'a list of numbers that are 0 or more, or "NaN"',
    lambda numbers: not any(number < 0 for number in numbers),
)
SHARES = Limit('a list of shares, 0 to 1, or "NaN"', lambda shares: all(map(SHARE.holds, shares)))
SHAPE = Limit(
    f"a shape: at most {LARGEST_RANK} sizes, each 0 or more, of fewer than 2^63 elements",
    lambda shape: (
        len(shape) <= LARGEST_RANK and min(shape, default=0) >= 0 and math.prod(shape) < 2**63
    ),
)
SHAPES = Limit(
    f"a list of shapes, each {SHAPE.words}",
    lambda shapes: all(shape is None or SHAPE.holds(shape) for shape in shapes),
)


LIMITS: Mapping[type, Mapping[str, Limit]] = MappingProxyType(
    {
        Moments: {
            "second_moment": SIZE,
            "max_abs": SIZE,
            "share_zero": SHARE,
            "share_nonfinite": SHARE,
            "share_dead": SHARE,
        }
        | {"num_elements": COUNT},
        Histogram: {"minimum": FINITE, "maximum": FINITE, "counts": COUNTS},
        WeightStats: {
            "shape": SHAPE,
            "fan_in": SIZE,
            "fan_out": SIZE,
            "norm": SIZE,
            "gradient_norm": SIZE,
        }
        | {"rank": COUNT},
        SiteStats: {
            "input_shape": SHAPE,
            "output_shape": SHAPE,
            "num_parameters": COUNT,
            "chain": COUNT,
        }
        | {"forward_ratio": SIZE, "backward_ratio": SIZE, "log_ratio_variance": SIZE},
        TabularInput: {"width": COUNT, "share": SHARE, "root_mean_square": SIZE, "median": SIZE},
        IndexInput: {
            "num_rows": COUNT,
            "minimum": FINITE,
            "maximum": FINITE,
            "share_outside": SHARE,
            "share_fractional": SHARE,
        },
        Labels: {
            "deviation": SIZE,
            "absolute_deviation": SIZE,
            "share_nonfinite": SHARE,
            "share_invalid": SHARE,
        },
        OutputStats: {"width": COUNT, "logit_deviation": SIZE},
        Spectrum: (
            {name: COUNT for name in ("num_inputs", "num_outputs", "num_vectors", "num_iterations")}
            | {"mean_square": SIZE, "standard_error": SIZE, "largest": SIZE, "largest_error": SIZE}
        ),
        FirstStep: {
            "momentum": SIZE,
            "decay": SIZE,
            "relative_updates": SIZES,
            "shares_below_epsilon": SHARES,
            "relative_sizes": SIZES,
            "planned_steps": COUNT,
        },
        Trial: {
            "noise": SIZE,
            "num_updates": COUNT,
            "watched_steps": COUNTS,
            "batch_size": COUNT,
            "seconds": SIZE,
        },
        ProfileDocument: {"batch_size": COUNT, "step": COUNT, "seconds": SIZE},
        MeanFieldSummary: {"num_layers": COUNT},
        Report: {"num_exempted": COUNT},
        LoggedSites: {"num_parameters": COUNTS, "output_shapes": SHAPES},
        Judgement: {"num_findings": COUNT},
    }
)
"""Limits of fields, by record and name."""


def problems(record: object) -> Iterator[Problem]:
    """Fields of a record that contradict each other."""
    if isinstance(record, ProfileDocument):
        yield from _problems_of_sites(record)
        yield from _problems_of_first_step(record)
        for field, each in (
            *_numbered("weights", record.weights),
            *_numbered("outputs", record.outputs),
            *_numbered("index_inputs", record.index_inputs),
        ):
            if each.site is not None and not 0 <= each.site < len(record.sites):
                yield Problem(
                    f"{field}.site", f"the index of one of the {len(record.sites)} sites", each.site
                )
    if isinstance(record, LoggedSites):
        yield from _problems_of_columns(record)
    if isinstance(record, Trial):
        yield from _problems_of_trial(record)
    if isinstance(record, TabularInput) and not all(
        0 <= index < record.width for index in record.largest
    ):
        yield Problem("largest", f"indices of the {record.width} columns", record.largest)
    if isinstance(record, Histogram) and record.minimum > record.maximum:
        yield Problem("minimum", f"at most the maximum, {record.maximum}", record.minimum)


def _problems_of_sites(profile: ProfileDocument) -> Iterator[Problem]:
    for position, site in enumerate(profile.sites):
        if site.index != position:
            yield Problem(
                f"sites[{position}].index", f"the site's position, {position}", site.index
            )
        yield from _problems_of_inputs(f"sites[{position}].inputs", position, site.inputs)


def _problems_of_first_step(profile: ProfileDocument) -> Iterator[Problem]:
    count = len(profile.weights)
    for name in ("relative_updates", "shares_below_epsilon", "relative_sizes"):
        received = len(getattr(profile.first_step, name, profile.weights))
        is_of_earlier_release = name == "relative_sizes" and not received
        if received != count and not is_of_earlier_release:
            words = f"a list with an entry for each of the {count} weights"
            yield Problem(f"first_step.{name}", words, f"{received} entries")


def _problems_of_trial(trial: Trial) -> Iterator[Problem]:
    steps, count = trial.num_steps, len(trial.weights)
    names = [name for name, _ in trial.curves]
    if trial.judged and trial.judged not in names:
        yield Problem("judged", "the name of a curve", trial.judged)
    columns = (
        *((f"curves[{number}]", steps, values) for number, (_, values) in enumerate(trial.curves)),
        ("penalties", steps if trial.penalties else 0, trial.penalties),
        ("relative_updates", len(trial.watched_steps), trial.relative_updates),
        *(
            (f"relative_updates[{number}]", count, row)
            for number, row in enumerate(trial.relative_updates)
        ),
    )
    for place, length, values in columns:
        if len(values) != length:
            yield Problem(place, f"a list of {length} entries", f"{len(values)} entries")


def _problems_of_columns(sites: LoggedSites) -> Iterator[Problem]:
    for name, column in vars(sites).items():
        if len(column) != len(sites.names):
            yield Problem(
                name,
                f"a list with an entry for each of the {len(sites.names)} sites",
                f"{len(column)} entries",
            )
    for position, inputs in enumerate(sites.inputs):
        yield from _problems_of_inputs(f"inputs[{position}]", position, inputs)


def _problems_of_inputs(place: str, position: int, inputs: tuple[int, ...]) -> Iterator[Problem]:
    if not all(0 <= index < position for index in inputs):
        yield Problem(
            place,
            (
                f"indices of earlier sites, 0 to {position - 1}"
                if position
                else "empty at the first site"
            ),
            inputs,
        )


def _numbered(field: str, records: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    return ((f"{field}[{index}]", record) for index, record in enumerate(records))
