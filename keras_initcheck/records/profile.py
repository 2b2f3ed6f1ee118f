"""What one probe measured: the model's structure, the measured arrays, and the circumstances."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from keras_initcheck.records.data import IndexInput, OutputStats, TabularInput
from keras_initcheck.records.first_step import FirstStep
from keras_initcheck.records.measurement import Measurement, to_moments
from keras_initcheck.records.record import Record
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.records.statistics import Histogram, Moments
from keras_initcheck.records.structure import Site, Structure, Weight
from keras_initcheck.records.trial import Trial


@dataclass(frozen=True, eq=False)
class Spectrum(Record):
    """Singular values of the Jacobian from the model's floating-point inputs to its outputs.

    The outputs are taken before the activation of the last layer. All samples of the batch together
    are one operator; where samples do not meet (no batch normalization) its singular values are
    those of all samples.

    Attributes:
        num_inputs: Numbers that enter, over all samples.
        num_outputs: Numbers that leave.
        mean_square: Mean squared singular value, `sum s² / min(num_inputs, num_outputs)`, estimated
            by random vectors.
        standard_error: Its standard error over the vectors.
        num_vectors: Number of random vectors.
        largest: Largest singular value as far as the iterations found it: it is at least that
            large. `None` where the backend cannot differentiate in the other direction.
        largest_error: A singular value lies as close to `largest` as this.
        num_iterations: Number of products with `J Jᵀ` that it took.
        note: What could not be measured and why, in words; `None` where all was.
    """

    num_inputs: int
    num_outputs: int
    mean_square: float
    standard_error: float
    num_vectors: int
    largest: float | None = None
    largest_error: float | None = None
    num_iterations: int = 0
    note: str | None = None


@dataclass(frozen=True, eq=False)
class Profile(Record):
    """Everything that one probe measured, and where and when.

    What a model is (`structure`) does not change from probe to probe; what was measured
    (`measurement`) are arrays. `sites`, `weights` and `inputs` join the two as records, which are
    made when they are first asked for.

    Attributes:
        structure: What does not change between two probes.
        measurement: The measured arrays.
        batch_size: Number of samples in the batch.
        source: Where the batch came from, in words.
        is_synthetic: Whether the batch was made up, so that its scale says nothing about the
            user's data.
        is_contradictory: Whether all samples have the same inputs while their labels differ; told
            by exact probes.
        log10_forward_gain: log10 of `q(h of the last hidden weight layer) / q(x of the first weight
            layer)`, measured.
        log10_backward_gain: log10 of `q(dL/dx of the first) / q(dL/dh of the last hidden)`,
            measured.
        step: Number of training steps that had been taken.
        seconds: Wall time of the probe.
        seed: Seed of the random cotangent and of synthetic data.
        histograms: `(tag, histogram)` pairs where they were asked for.
        outputs: Outputs with their labels, from exact probes with labels.
        tabular_inputs: The model's inputs that are tables, from exact probes.
        index_inputs: What enters each embedding, from exact probes.
        regularization: Sum of the penalties of the regularized weights, which is part of the loss;
            `None` without labels or a compiled loss.
        spectrum: Singular values of the input-output Jacobian, where they were asked for.
        first_step: The optimizer's next update, made and taken back, where it could be.
        trial: Training steps, made and taken back, where they were asked for.
    """

    structure: Structure
    measurement: Measurement
    batch_size: int = 0
    source: str = ""
    is_synthetic: bool = False
    is_contradictory: bool = False
    log10_forward_gain: float | None = None
    log10_backward_gain: float | None = None
    step: int = 0
    seconds: float = 0.0
    seed: int = 0
    histograms: tuple[tuple[str, Histogram], ...] = ()
    outputs: tuple[OutputStats, ...] = ()
    tabular_inputs: tuple[TabularInput, ...] = ()
    index_inputs: tuple[IndexInput, ...] = ()
    regularization: float | None = None
    spectrum: Spectrum | None = None
    first_step: FirstStep | None = None
    trial: Trial | None = None

    @classmethod
    def of(
        cls,
        model: str,
        sites: tuple[SiteStats, ...],
        weights: tuple[WeightStats, ...] = (),
        inputs: tuple[tuple[str, Moments], ...] = (),
        loss: float | None = None,
        **facts: Any,
    ) -> "Profile":
        """The profile behind records.

        Args:
            model: Name of the model.
            sites: Its sites, in execution order.
            weights: Its variables.
            inputs: `(name, moments)` of each floating-point model input.
            loss: Value of the loss.
            **facts: Further fields of `Structure` and of `Profile`.
        """
        known = {field.name for field in fields(Structure)} & facts.keys()
        structure = Structure(
            model=model,
            sites=tuple(_base(site, Site) for site in sites),
            weights=tuple(_base(weight, Weight) for weight in weights),
            inputs=tuple(name for name, _ in inputs),
            **{name: facts.pop(name) for name in known},
        )
        moments = [each for _, each in inputs]
        return cls(structure, Measurement.of(sites, weights, moments, loss), **facts)

    def as_records(self) -> dict[str, Any]:
        """The arguments of `Profile.of` that give this profile."""
        hidden = {"structure", "measurement"}
        mine = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in hidden}
        facts = {field.name: getattr(self.structure, field.name) for field in fields(Structure)}
        views = {"sites": self.sites, "weights": self.weights, "inputs": self.inputs}
        return {**facts, **mine, **views, "loss": self.loss}

    def with_changes(self, **changes: Any) -> "Profile":
        """A profile with other records or facts, by the names of `Profile.of`'s arguments."""
        return Profile.of(**{**self.as_records(), **changes})

    @cached_property
    def sites(self) -> tuple[SiteStats, ...]:
        """Every site with what was measured there, in execution order."""
        return tuple(map(self.measurement.site, self.structure.sites))

    @cached_property
    def weights(self) -> tuple[WeightStats, ...]:
        """Every floating-point variable of the model with its statistics."""
        numbered = enumerate(self.structure.weights)
        return tuple(self.measurement.weight(weight, position) for position, weight in numbered)

    @cached_property
    def inputs(self) -> tuple[tuple[str, Moments], ...]:
        """`(name, moments)` of each floating-point model input."""
        found = zip(self.structure.inputs, map(to_moments, self.measurement.inputs), strict=True)
        return tuple((name, moments) for name, moments in found if moments is not None)

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.structure.model

    @property
    def loss(self) -> float | None:
        """Value of the loss on the batch, or `None` without labels."""
        return self.measurement.loss

    @property
    def not_probed(self) -> tuple[tuple[str, str], ...]:
        """`(path, reason)` of what was left out."""
        return self.structure.not_probed

    @property
    def optimizer(self) -> str | None:
        """Class name of the compiled optimizer; see `Structure.optimizer`."""
        return self.structure.optimizer

    @property
    def is_loss_scaled(self) -> bool:
        """Whether the optimizer scales the loss."""
        return self.structure.is_loss_scaled

    @property
    def backend(self) -> str:
        """Keras backend."""
        return self.structure.backend

    @property
    def dtype(self) -> str:
        """Name of the model's dtype policy."""
        return self.structure.dtype

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """`(package, version)` pairs."""
        return self.structure.versions

    def site(self, name: str) -> SiteStats:
        """The site of that name.

        Raises:
            KeyError: No site has that name; the message lists those that come close.
        """
        for site in self.structure.sites:
            if site.name == name:
                return self.measurement.site(site)
        names = [site.name for site in self.structure.sites]
        close = [each for each in names if name.rsplit("/", 1)[-1] in each]
        raise KeyError(f"No site is called {name!r}. Close: {close[:5] or names[:5]}.")

    def kernels(self, layer: str) -> tuple[WeightStats, ...]:
        """The kernels of the layer at that path, in the order in which the layer applies them."""
        return tuple(
            self.measurement.weight(weight, position)
            for position, weight in enumerate(self.structure.weights)
            if weight.layer == layer and weight.role == "kernel"
        )

    @property
    def weight_sites(self) -> tuple[SiteStats, ...]:
        """The sites of weight layers with a kernel, heads included."""
        return tuple(site for site in self.sites if site.kind == "weight")


def _base(record: Any, kind: type) -> Any:
    """The part of a view that is of the structure."""
    return kind(**{field.name: getattr(record, field.name) for field in fields(kind)})
