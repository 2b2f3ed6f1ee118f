"""The probe: built once for a model, run many times."""

import time
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from keras_initcheck.probe import engine
from keras_initcheck.probe.data.arguments import as_seed
from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.engine.devices import without_strategy
from keras_initcheck.probe.engine.protocol import CompiledPass as EnginePass
from keras_initcheck.probe.first_step import Descent, measure_first_step
from keras_initcheck.probe.keras_model import introspection
from keras_initcheck.probe.keras_model.messages import error_summary
from keras_initcheck.probe.keras_model.optimizers import compiled_optimizer, steps_taken
from keras_initcheck.probe.keras_model.private_api import (
    build,
    flatten_layers,
    without_rematerialization,
)
from keras_initcheck.probe.profile import variables
from keras_initcheck.probe.profile.profile_builder import ProfileBuilder
from keras_initcheck.probe.profile.variables import OwnedVariable
from keras_initcheck.probe.tap.diagnosis import explain, our_own, unbuilt, without_call
from keras_initcheck.probe.tap.forward import Forward
from keras_initcheck.probe.tap.guards import ONE_AT_A_TIME
from keras_initcheck.probe.tap.jacobian import measure_spectrum
from keras_initcheck.probe.tap.pass_cache import PassCache
from keras_initcheck.probe.tap.pass_record import LOSS, RANDOM, Options, PassRecord
from keras_initcheck.probe.tap.preserve import building
from keras_initcheck.probe.tap.row_table import RowTable
from keras_initcheck.records.errors import InitCheckError, ProbeError
from keras_initcheck.records.profile import Profile, Spectrum
from keras_initcheck.records.progress import Progress, show_nothing
from keras_initcheck.theory.activation_factors import FactorTable


@dataclass(frozen=True)
class CompiledPass:
    """A pass of the model under one set of options, ready to run on batches of one shape.

    Attributes:
        forward: The observed forward pass.
        engine_pass: Brings all rows of a batch to the host.
        profiles: Builds profiles from them.
    """

    forward: Forward
    engine_pass: EnginePass
    profiles: ProfileBuilder


class Probe:
    """Measures a model on a batch and leaves it bitwise as it was.

    A pass that is not exact is compiled once for each batch shape and set of options, and reused
    until the model is compiled again, frozen or changed otherwise; where the model runs eagerly
    (`run_eagerly=True`), so does the pass. An unbuilt model is built by the first measurement, with
    the same initial values that `fit` would have given it.

    Args:
        model: A `keras.Model`, compiled or not.
        seed: Seed of the random cotangent.
        progress: Gets the phases of each measurement.

    Attributes:
        model: As given.
        seed: As given.
        progress: As given.

    Raises:
        TypeError: `model` is no `keras.Model`.
        ValueError: `seed` is not a whole number, 0 or more.
    """

    def __init__(self, model: Any, seed: int = 0, progress: Progress = show_nothing) -> None:
        if not isinstance(model, keras.Model):
            raise TypeError(_no_model(model))
        self.model = model
        self.seed: int = as_seed(seed)
        self.progress: Progress = progress
        self._engine = engine.load()
        self._factors = FactorTable()
        self._record: PassRecord | None = None
        self._zero_gradients: dict[str, npt.NDArray[np.bool_]] = {}
        self._passes: PassCache[CompiledPass] = PassCache()

    def measure(
        self,
        batch: Batch,
        *,
        cotangents: tuple[str, ...] = (LOSS, RANDOM),
        is_exact: bool = True,
        with_histograms: bool = False,
        step: int | None = None,
        with_first_step: bool = False,
    ) -> Profile:
        """One forward pass in training mode and one backward pass for each cotangent.

        Args:
            batch: The batch. Labels are used by the `"loss"` cotangent, if the model is compiled.
            cotangents: Where backward passes start: at the `"loss"`, at a `"random"` N(0,1)
                gradient of the outputs, or both.
            is_exact: Every statistic over every element, safe at any scale. `False` is for repeated
                probes: the mean and the shares of a signal come from a bounded sample, gradients
                have a second moment only, and a probe whose numbers leave float32's range is
                repeated exactly. Non-finite values are found in full.
            with_histograms: Whether to make histograms, from a bounded sample.
            step: Number of training steps that had been taken; by default the model's own count.
            with_first_step: Whether an exact pass is followed by the compiled optimizer's own
                update, which is taken back. Its failure is noted in `not_probed`.

        Returns:
            The profile.

        Raises:
            ProbeError: The model does not run on the batch.
            DataError: The labels do not fit the loss.
        """
        start = time.perf_counter()
        keeps_gradients = (
            with_first_step and is_exact and compiled_optimizer(self.model) is not None
        )
        options = Options(tuple(cotangents), is_exact, with_histograms, self.seed, keeps_gradients)
        compiled, table = self._run(options, batch)
        if not is_exact and (not table.is_reliable or table.has_more_zeros(self._zero_gradients)):
            options = replace(options, is_exact=True)
            compiled, table = self._run(options, batch)
        if options.is_exact:
            self._zero_gradients = {**self._zero_gradients, **table.zero_gradients}
        self._record = compiled.forward.record
        self.progress("predicting, and looking at the draws of the weights")
        with without_strategy():
            profile = compiled.profiles.build(
                self._record,
                table,
                batch,
                self._factors,
                seed=self.seed,
                step=steps_taken(self.model) if step is None else step,
            )
            if keeps_gradients and LOSS in self._record.objectives:
                profile = self._add_first_step(profile, compiled, table, batch)
        return replace(profile, seconds=time.perf_counter() - start)

    def _add_first_step(
        self, profile: Profile, compiled: CompiledPass, table: RowTable, batch: Batch
    ) -> Profile:
        """The profile with the first step, or with the reason why there is none."""
        self.progress("making the first step, and taking it back")
        record, gradients = compiled.forward.record, compiled.forward.take_gradients()
        descent = Descent(
            batch,
            record.trainable,
            gradients,
            table.loss,
            table.loss_scale,
            compiled.engine_pass.loss_with,
        )
        positions = compiled.profiles.gradient_positions
        if any(indices.leaves_table for indices in profile.index_inputs):
            return _without_first_step(profile, "an embedding gets indices that it has no row for")
        try:
            found = measure_first_step(self.model, self._engine, descent, positions)
        except ProbeError as error:
            return _without_first_step(profile, str(error))
        except Exception as error:  # a witness more or less: the rest of the profile stands
            return _without_first_step(profile, error_summary(error))
        return replace(profile, first_step=found)

    @property
    def owned(self) -> list[OwnedVariable]:
        """The model's variables, with their owners and their names in the profile.

        They are those of the latest pass.

        Raises:
            ProbeError: Nothing was measured yet.
        """
        if self._record is None:
            raise ProbeError(
                "Variables have names once the model was measured. Received: a new probe. Call"
                " measure first."
            )
        return list(variables.owned_variables(self.model, self._record.sites).values())

    @without_strategy()
    def spectrum(self, batch: Batch) -> Spectrum:
        """The singular values of the Jacobian at a batch.

        Raises:
            ProbeError: As in `jacobian.measure_spectrum`.
        """
        return measure_spectrum(self.model, batch, self._engine, self.seed)

    def _run(self, options: Options, batch: Batch) -> tuple[CompiledPass, RowTable]:
        if not introspection.has_call(self.model):
            raise without_call(self.model)
        with ONE_AT_A_TIME:
            self.build(batch)
            compiled = self._compiled_pass(options, batch)
            with without_strategy():
                try:
                    self.progress("running the pass", compiled.forward.num_called)
                    with compiled.forward.preserving():
                        vector = compiled.engine_pass.run(batch.parts)
                except InitCheckError:
                    raise
                except Exception as error:
                    failure = explain(
                        self.model, self._engine, options, batch, error, compiled.forward.failed_at
                    )
                    raise failure from failure.__cause__
        record = compiled.forward.record
        if not record.sites:
            raise ProbeError(
                f"The model must call at least one layer. Received: {self.model.name!r}, which"
                " calls none."
            )
        with our_own("the rows of the pass"):
            return compiled, RowTable(vector, record, options)

    def build(self, batch: Batch) -> None:
        """Builds the model if it is not, with the values that `fit` would have given it.

        Raises:
            ProbeError: It cannot be built from the batch.
        """
        if introspection.is_built(self.model):
            return
        self.progress("building the model")
        try:
            without_checkpoints = without_rematerialization(flatten_layers(self.model))
            with building(self.model), self._engine.building_scope(self.model), without_checkpoints:
                build(self.model, batch.x)
        except Exception as error:
            raise unbuilt(self.model, batch, error) from error

    def _compiled_pass(self, options: Options, batch: Batch) -> CompiledPass:
        def compile_pass() -> CompiledPass:
            forward = Forward(self.model, self._engine, options)
            is_repeated = options.is_repeated(self.model)
            engine_pass = self._engine.compile_pass(forward, self.model, is_repeated)
            return CompiledPass(forward, engine_pass, ProfileBuilder(self.model))

        return self._passes.get(self.model, batch, options, compile_pass)


def _without_first_step(profile: Profile, reason: str) -> Profile:
    notes = (*profile.structure.not_probed, ("first step", reason))
    return replace(profile, structure=replace(profile.structure, not_probed=notes))


def _no_model(model: Any) -> str:
    """A wrapper such as DistributedDataParallel holds the model that it wraps as `module`."""
    hint = (
        " Pass what it wraps: its `.module`."
        if isinstance(getattr(model, "module", None), keras.Model)
        else ""
    )
    return f"`model` must be a keras.Model. Received: one of type {type(model).__name__}.{hint}"
