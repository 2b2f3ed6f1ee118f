"""The probe: built once for a model, run many times."""

import time
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from typing import Any

import keras
import numpy as np

from keras_initcheck.probe import engine, profile_builder, variables
from keras_initcheck.probe.data import tabular_inputs
from keras_initcheck.probe.data.batch import Batch, num_samples
from keras_initcheck.probe.diagnosis import explain, our_own, unbuilt, without_call
from keras_initcheck.probe.engine.devices import without_strategy
from keras_initcheck.probe.keras_model import introspection
from keras_initcheck.probe.keras_model.optimizers import steps_taken
from keras_initcheck.probe.pass_cache import PassCache
from keras_initcheck.probe.tap import outputs_and_labels
from keras_initcheck.probe.tap.forward import LOSS, RANDOM, Forward, Layout, Options
from keras_initcheck.probe.tap.guards import ONE_AT_A_TIME
from keras_initcheck.probe.tap.jacobian import measure_spectrum
from keras_initcheck.probe.tap.preserve import building, preserved
from keras_initcheck.probe.tap.row_table import RowTable
from keras_initcheck.probe.tap.wrapping import without_rematerialization
from keras_initcheck.probe.variables import OwnedVariable
from keras_initcheck.records.errors import InitCheckError, ProbeError
from keras_initcheck.records.profile import Profile, Spectrum
from keras_initcheck.theory.activation_factors import FactorTable

CompiledPass = tuple[Forward, Callable[[tuple[Any, Any, Any]], np.ndarray]]


class Probe:
    """Measures a model on a batch and leaves it bitwise as it was.

    A pass that is not exact is compiled once for each batch shape and set of options, and reused
    until the model is compiled again, frozen or changed otherwise; where the model runs eagerly
    (`run_eagerly=True`), so does the pass. An unbuilt model is built by the first measurement, with
    the same initial values that `fit` would have given it.

    Args:
        model: A `keras.Model`, compiled or not.
        seed: Seed of the random cotangent.

    Raises:
        TypeError: `model` is no `keras.Model`.
    """

    def __init__(self, model: Any, seed: int = 0) -> None:
        if not isinstance(model, keras.Model):
            raise TypeError(_no_model(model))
        self.model = model
        self.seed = seed
        self._engine = engine.load()
        self._factors = FactorTable()
        self._layout: Layout | None = None
        self._passes: PassCache[CompiledPass] = PassCache()

    def measure(
        self,
        batch: Batch,
        *,
        cotangents: tuple[str, ...] = (LOSS, RANDOM),
        is_exact: bool = True,
        with_histograms: bool = False,
        step: int | None = None,
    ) -> Profile:
        """One forward pass in training mode and one backward pass for each cotangent.

        Args:
            batch: The batch. Labels are used by the `"loss"` cotangent, if the model is compiled.
            cotangents: Where backward passes start: at the `"loss"`, at a `"random"` N(0,1)
                gradient of the outputs, or both.
            is_exact: Every statistic over every element, safe at any scale. `False` is for repeated
                probes: shares come from a bounded sample and gradients have mean and variance only;
                    a probe whose numbers leave float32's range is repeated exactly.
            with_histograms: Whether to make histograms, from a bounded sample.
            step: Number of training steps that had been taken; by default the model's own count.

        Returns:
            The profile.

        Raises:
            ProbeError: The model does not run on the batch.
            DataError: The labels do not fit the loss.
        """
        start = time.perf_counter()
        options = Options(tuple(cotangents), is_exact, with_histograms, self.seed)
        forward, table = self._run(options, batch)
        if not is_exact and not table.is_reliable:
            forward, table = self._run(replace(options, is_exact=True), batch)
        self._layout = forward.layout
        with without_strategy(), our_own("the statistics"):
            measured = profile_builder.profile(
                self.model,
                forward.layout,
                table,
                None if is_exact else self._factors,
                self._facts(),
            )
        with our_own("the labels"):
            compared = outputs_and_labels.assembled(
                forward.layout.targets, table.targets, batch.y, batch.sample_weight is not None
            )
        with our_own("the columns of the inputs"):
            columns = tabular_inputs.columns(batch.x) if is_exact else ()
        circumstances: dict[str, Any] = {
            "batch_size": num_samples(batch),
            "source": batch.source,
            "is_synthetic": batch.is_synthetic,
            "seed": self.seed,
            "step": steps_taken(self.model) if step is None else step,
            "seconds": time.perf_counter() - start,
        }
        return replace(measured, outputs=compared, tabular_inputs=columns, **circumstances)

    @property
    def owned(self) -> list[OwnedVariable]:
        """The model's variables, with the names that they have in the profile and their owners, as
        the latest pass saw them.

        Raises:
            ProbeError: Nothing was measured yet.
        """
        if self._layout is None:
            raise ProbeError(
                "Variables have names once the model was measured. Received: a new probe. Call"
                " measure first."
            )
        return list(variables.owned_variables(self.model, self._layout.sites).values())

    @without_strategy()
    def spectrum(self, batch: Batch) -> Spectrum:
        """The singular values of the Jacobian at a batch; see `jacobian.measure_spectrum`, also for
        what it raises.
        """
        return measure_spectrum(self.model, batch, self._engine, self.seed)

    def _run(self, options: Options, batch: Batch) -> tuple[Forward, RowTable]:
        if not introspection.has_call(self.model):
            raise without_call(self.model)
        with ONE_AT_A_TIME:
            self._build(batch)
            forward, run = self._compiled_pass(options, batch)
            with without_strategy():
                try:
                    with preserved(self.model):
                        vector = run(batch.parts)
                except InitCheckError:
                    raise
                except Exception as error:
                    failure = explain(
                        self.model, self._engine, options, batch, error, forward.failed_at
                    )
                    raise failure from failure.__cause__
        if not forward.layout.sites:
            raise ProbeError(
                f"The model must call at least one layer. Received: {self.model.name!r}, which"
                " calls none."
            )
        return forward, RowTable(
            vector, forward.layout, options, len(self.model.trainable_variables)
        )

    def _build(self, batch: Batch) -> None:
        if introspection.is_built(self.model):
            return
        try:
            without_checkpoints = without_rematerialization(
                introspection.flatten_layers(self.model)
            )
            with building(self.model), self._engine.building_scope(self.model), without_checkpoints:
                introspection.build(self.model, batch.x)
        except Exception as error:
            raise unbuilt(self.model, batch, error) from error

    def _compiled_pass(self, options: Options, batch: Batch) -> CompiledPass:
        def compiled() -> CompiledPass:
            forward = Forward(self.model, self._engine, options)
            is_repeated = options.is_repeated(self.model)
            return forward, self._engine.compile_pass(
                forward, self.model, forward.gradient_row, is_repeated=is_repeated
            )

        return self._passes.get(self.model, batch, options, compiled)

    def _facts(self) -> dict[str, Any]:
        return {
            "backend": keras.backend.backend(),
            "dtype": str(getattr(self.model.dtype_policy, "name", "float32")),
            "versions": _versions(),
        }


def _no_model(model: Any) -> str:
    """A wrapper such as DistributedDataParallel holds the model that it wraps as `module`."""
    hint = (
        " Pass what it wraps: its `.module`."
        if isinstance(getattr(model, "module", None), keras.Model)
        else ""
    )
    return f"`model` must be a keras.Model. Received: one of type {type(model).__name__}.{hint}"


def _versions() -> tuple[tuple[str, str], ...]:
    backend = keras.backend.backend()
    return (("keras", keras.__version__), (backend, metadata.version(backend)))
