"""The options of a pass, and the record that is made while it is traced."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_initcheck.probe.engine import row_layout, statistics_rows
from keras_initcheck.probe.engine.row_layout import RowLayout, Section
from keras_initcheck.probe.keras_model import introspection
from keras_initcheck.probe.tap import index_rows, rank_sketch
from keras_initcheck.probe.tap.index_rows import IndexRecord
from keras_initcheck.probe.tap.outputs_and_labels import NUM_COLUMNS as OUTPUT_COLUMNS
from keras_initcheck.probe.tap.outputs_and_labels import OutputRecord
from keras_initcheck.probe.tap.site_record import Channel, SiteRecord

LOSS, RANDOM = "loss", "random"


@dataclass(frozen=True)
class Options:
    """The options of a pass; each combination is compiled once per batch shape.

    Attributes:
        cotangents: Some of `"loss"` and `"random"`: where the backward passes start.
        is_exact: Whether every statistic is over every element and safe from overflow. Otherwise
            fast rows are made.
        with_histograms: Whether rows carry a histogram.
        seed: Seed of the random cotangent.
        keeps_gradients: Whether the forward pass keeps the loss's gradients of the weights.
    """

    cotangents: tuple[str, ...] = (LOSS, RANDOM)
    is_exact: bool = True
    with_histograms: bool = False
    seed: int = 0
    keeps_gradients: bool = False

    def is_repeated(self, model: Any) -> bool:
        """Whether a pass of `model` will run often enough to be compiled, and may be."""
        return not self.is_exact and not introspection.runs_eagerly(model)

    @property
    def signal_width(self) -> int:
        """Number of columns of a signal's row."""
        return self._width(len(statistics_rows.FAST_SIGNAL))

    @property
    def gradient_width(self) -> int:
        """Number of columns of a gradient's row."""
        return self._width(len(statistics_rows.FAST_GRADIENT))

    @property
    def weight_width(self) -> int:
        """Number of columns of a weight's row."""
        return self._width(len(statistics_rows.FAST_WEIGHT))

    def _width(self, fast: int) -> int:
        histogram = 2 + statistics_rows.NUM_BINS if self.with_histograms else 0
        return (statistics_rows.NUM_COLUMNS if self.is_exact else fast) + histogram


@dataclass(frozen=True)
class Sizes:
    """Numbers of elements of the tensors behind the rows, `(rows,)` each."""

    inputs: npt.NDArray[np.float64]
    signals: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    trainable: npt.NDArray[np.float64]


@dataclass
class PassRecord:
    """The meaning of the rows of a pass, recorded while it is traced.

    Attributes:
        options: What the pass computes.
        sites: The sites, in order of their calls.
        channels: The observed tensors, in the order of their rows.
        weights: The variables that are measured, in the order of their rows.
        trainable: The variables whose gradients are measured, in the order of their rows.
        sketched: The kernels whose directions are counted.
        inputs: Name and channel of each floating-point model input.
        objectives: Some of `"loss"` and `"random"`: the backward passes that were possible.
        outputs: Outputs that are compared with their labels.
        indices: Embeddings whose indices are measured.
        num_links: Number of comparisons of one tensor with another.
        cotangent_places: Where the random cotangent starts; see `TensorOwners.cotangent_place`.
        unobserved: Paths of layers that could not be observed, each with the reason.
        notes: `(path, reason)` of whatever else was left out.
    """

    options: Options = field(default_factory=Options)
    sites: list[SiteRecord] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    trainable: list[Any] = field(default_factory=list)
    sketched: list[Any] = field(default_factory=list)
    inputs: list[tuple[str, Channel]] = field(default_factory=list)
    objectives: list[str] = field(default_factory=list)
    outputs: list[OutputRecord] = field(default_factory=list)
    indices: list[IndexRecord] = field(default_factory=list)
    num_links: int = 0
    cotangent_places: list[tuple[int, bool] | None] = field(default_factory=list)
    unobserved: dict[str, str] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)

    @cached_property
    def rows(self) -> RowLayout:
        """The rows that come to the host. Ask for it once the pass is traced."""
        signal, gradient = self.options.signal_width, self.options.gradient_width
        sections = [
            Section(row_layout.SCALARS, 1, row_layout.NUM_SCALARS),
            Section(row_layout.LINKS, int(self.num_links > 0), self.num_links),
            Section(row_layout.OUTPUTS, len(self.outputs), OUTPUT_COLUMNS),
            Section(row_layout.INDICES, len(self.indices), index_rows.NUM_COLUMNS),
            Section(row_layout.SKETCHES, len(self.sketched), rank_sketch.NUM_COLUMNS),
            Section(row_layout.INPUTS, len(self.inputs), signal),
            Section(row_layout.WEIGHTS, len(self.weights), self.options.weight_width),
            Section(row_layout.SIGNALS, len(self.channels), signal),
        ]
        for name in self.objectives:
            sections.append(Section(row_layout.gradients_of(name), len(self.channels), gradient))
            if name == LOSS:
                name = row_layout.weight_gradients_of(name)
                trainable = Section(name, len(self.trainable), gradient)
                sections.append(trainable)
        return RowLayout(tuple(sections))

    @cached_property
    def sizes(self) -> Sizes:
        """Numbers of elements of the tensors behind the rows."""
        return Sizes(
            inputs=_sizes(channel.shape for _, channel in self.inputs),
            signals=_sizes(channel.shape for channel in self.channels),
            weights=_sizes(variable.shape for variable in self.weights),
            trainable=_sizes(variable.shape for variable in self.trainable),
        )

    @cached_property
    def signature(self) -> tuple[Any, ...]:
        """Equal for two traces of a model that called the same layers on each other's outputs.

        An eager pass is traced whenever it runs, and a model may call other layers each time.
        """
        return tuple((*_facts(site), *map(_index, (site.x, site.z, site.h))) for site in self.sites)


def _facts(site: SiteRecord) -> tuple[Any, ...]:
    links = (site.inputs, site.inputs_known, site.link)
    return (site.name, id(site.layer), *links, site.output_shape, site.is_training)


def _index(channel: Channel | None) -> int:
    return -1 if channel is None else channel.index


def _sizes(shapes: Iterable[Sequence[int]]) -> npt.NDArray[np.float64]:
    return np.array([math.prod(shape) for shape in shapes], np.float64)
