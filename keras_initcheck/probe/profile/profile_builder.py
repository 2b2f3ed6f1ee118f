"""From the rows of a pass to a `Profile`: structure, measurement, predictions, circumstances."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from keras_initcheck.probe.data import tabular_inputs
from keras_initcheck.probe.data.batch import Batch, num_samples
from keras_initcheck.probe.data.contradiction import is_contradictory
from keras_initcheck.probe.keras_model.model_inputs import named_inputs
from keras_initcheck.probe.prediction.predictions import failures, predict
from keras_initcheck.probe.profile.draw_audit import audit
from keras_initcheck.probe.profile.histograms import name_histograms
from keras_initcheck.probe.profile.index_inputs import index_inputs
from keras_initcheck.probe.profile.measurement_builder import MeasurementBuilder
from keras_initcheck.probe.profile.structure_builder import TracedStructure, build_structure
from keras_initcheck.probe.tap import outputs_and_labels
from keras_initcheck.probe.tap.diagnosis import our_own
from keras_initcheck.probe.tap.pass_record import PassRecord
from keras_initcheck.probe.tap.row_table import RowTable
from keras_initcheck.records.measurement import SECOND_MOMENT, H, Measurement, X
from keras_initcheck.records.profile import Profile
from keras_initcheck.theory.activation_factors import FactorTable


@dataclass(frozen=True)
class _Learned:
    """The structure of a pass, and what it was learned from."""

    signature: tuple[Any, ...]
    follows: bytes
    traced: TracedStructure
    builder: MeasurementBuilder


class ProfileBuilder:
    """Builds the profiles of one compiled pass, whose structure it learns once.

    An eager pass is traced whenever it runs: the structure is learned again if other layers were
    called.

    Args:
        model: The model.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._learned: _Learned | None = None

    def build(
        self, record: PassRecord, table: RowTable, batch: Batch, factors: FactorTable, **facts: Any
    ) -> Profile:
        """The profile that a pass brought to the host.

        Args:
            record: What the pass learned while it was traced.
            table: Its rows.
            batch: Its batch.
            factors: Where repeated probes look up activation factors.
            **facts: Further fields of the profile.
        """
        is_exact = record.options.is_exact
        with our_own("the structure of the model"):
            learned = self._learn(record, table)
        with our_own("the statistics"):
            measurement = learned.builder.build(table, None if is_exact else factors)
            forward, backward = _end_to_end(learned.traced, measurement)
        with our_own("the labels"):
            is_weighted = batch.sample_weight is not None
            outputs = outputs_and_labels.output_stats(
                record.outputs, table.outputs, batch.y, is_weighted, table.loss - table.penalties
            )
        with our_own("the columns of the inputs"):
            named = named_inputs(self._model, batch.x)
            tables = tabular_inputs.columns(named) if is_exact else ()
            indices = index_inputs(record, table.indices, named)
        profile = Profile(
            structure=learned.traced.structure,
            measurement=measurement,
            batch_size=num_samples(batch),
            source=batch.source,
            is_synthetic=batch.is_synthetic,
            is_contradictory=is_exact and is_contradictory(batch),
            log10_forward_gain=forward,
            log10_backward_gain=backward,
            histograms=name_histograms(learned.traced, record, table),
            outputs=outputs,
            tabular_inputs=tables,
            index_inputs=indices,
            regularization=table.penalties if is_exact and measurement.loss is not None else None,
            **facts,
        )
        if not is_exact:
            return profile
        with our_own("the draws of the weights"):
            draws = audit(learned.traced.owned, measurement.weights, profile.step)
            profile = replace(profile, measurement=replace(measurement, weight_draws=draws))
        with our_own("the predictions"):
            return self._predict(profile, record, learned.traced)

    @property
    def gradient_positions(self) -> list[int]:
        """For each weight of the latest profile, the row of its gradient; -1 without one."""
        return [] if self._learned is None else self._learned.traced.gradient_rows.tolist()

    def _learn(self, record: PassRecord, table: RowTable) -> _Learned:
        known, follows = self._learned, table.follows.tobytes()
        if known and known.follows == follows and known.signature == record.signature:
            return known
        traced = build_structure(self._model, record, table.follows)
        self._learned = _Learned(record.signature, follows, traced, MeasurementBuilder(traced))
        return self._learned

    def _predict(self, profile: Profile, record: PassRecord, traced: TracedStructure) -> Profile:
        """The profile with the predictions of the whole network."""
        found = predict(
            self._model,
            profile.sites,
            traced.makers,
            record.sites,
            dict(profile.inputs),
            profile.weights,
            record.cotangent_places,
        )
        second_moments = [each.log10_second_moment for each in found]
        gradients = [each.log10_gradient for each in found]
        reasons = tuple(each.unpredicted for each in found)
        structure = profile.structure
        if failed := failures(profile.sites, found):  # else it stays one and the same instance
            structure = replace(structure, not_probed=(*structure.not_probed, *failed))
        return replace(
            profile,
            structure=structure,
            measurement=replace(
                profile.measurement,
                predicted_log10_second_moment=np.array(second_moments, np.float64),
                predicted_log10_gradient=np.array(gradients, np.float64),
                unpredicted=reasons if any(reasons) else (),
            ),
        )


def _end_to_end(
    traced: TracedStructure, measurement: Measurement
) -> tuple[float | None, float | None]:
    """log10 of the gain from the first weight layer's input to the last hidden one's output.

    And back; `None` where one of the two was not measured or the denominator is zero.
    """
    hidden = [index for chain in traced.chains for index in (chain[0], chain[-1])]
    if not hidden:
        return None, None
    first, last = min(hidden), max(hidden)
    q, gradients = measurement.activations[..., SECOND_MOMENT], measurement.gradients
    forward = _log10_ratio(q[last, H], q[first, X])
    if gradients is None:
        return forward, None
    g = gradients[..., SECOND_MOMENT]
    return forward, _log10_ratio(g[first, X], g[last, H])


def _log10_ratio(numerator: float, denominator: float) -> float | None:
    if math.isnan(numerator) or math.isnan(denominator) or not denominator:
        return None
    return (math.log10(numerator) if numerator > 0 else -math.inf) - math.log10(denominator)
