"""From rows on the host to a `Profile`: moments, ratios measured and predicted, chains, and what
was not probed.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from keras_initcheck.analysis import chains
from keras_initcheck.probe import variables
from keras_initcheck.probe.diagnosis import our_own
from keras_initcheck.probe.engine import statistics_rows
from keras_initcheck.probe.histograms import histograms
from keras_initcheck.probe.keras_model import optimizers
from keras_initcheck.probe.keras_model.activations import describe
from keras_initcheck.probe.layer_ratios import Predictor, joined_activations
from keras_initcheck.probe.prediction.predictions import failures, with_predictions
from keras_initcheck.probe.tap import rank_sketch
from keras_initcheck.probe.tap.forward import LOSS, RANDOM, Layout
from keras_initcheck.probe.tap.recorder import Channel, SiteRecord
from keras_initcheck.probe.tap.row_table import RowTable
from keras_initcheck.probe.variables import OwnedVariable
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.records.statistics import Moments, Places
from keras_initcheck.theory.activation_factors import FactorTable


def profile(
    model: Any,
    layout: Layout,
    table: RowTable,
    factors: FactorTable | None,
    facts: dict[str, Any],
) -> Profile:
    """The measured part of a profile; the caller adds where and when it was measured."""
    optimizer = getattr(model, "optimizer", None)
    trained_by, of_variables = optimizers.families(optimizer, model.trainable_variables)
    weights = _weights(model, layout, table, of_variables)
    sites = joined_activations(_sites(layout, table, weights), layout.sites)
    sites = chains.mark_heads(sites)
    predictor = Predictor(weights, factors)
    sites = chains.assign(
        tuple(
            predictor.with_ratios(site, record)
            for site, record in zip(sites, layout.sites, strict=True)
        )
    )
    inputs = tuple(
        (name, to_moments(table.inputs[channel.index], channel)) for name, channel in layout.inputs
    )
    if factors is None:
        sites = with_predictions(
            model, sites, layout.sites, dict(inputs), weights, layout.cotangent_places
        )
    forward, backward = _end_to_end(sites)
    return Profile.of(
        model=model.name,
        sites=sites,
        weights=weights,
        not_probed=(*_not_probed(model, layout), *failures(sites)),
        loss=table.loss if table.has_loss else None,
        inputs=inputs,
        log10_forward_gain=forward,
        log10_backward_gain=backward,
        optimizer=trained_by,
        is_loss_scaled=optimizers.is_loss_scaled(optimizer),
        **facts,
        histograms=(
            histograms(layout, table, weights)
            if table.signals.shape[-1] > statistics_rows.NUM_COLUMNS
            else ()
        ),
    )


def to_moments(row: np.ndarray, channel: Channel) -> Moments:
    """Moments of a tensor that was certainly observed."""
    moments = statistics_rows.to_moments(row, math.prod(channel.shape))
    assert moments is not None, "forward rows are always connected"
    return moments


def _weights(
    model: Any, layout: Layout, table: RowTable, trained_by: dict[int, str]
) -> tuple[WeightStats, ...]:
    owned = variables.owned_variables(model, layout.sites)
    trainable = {
        id(variable): position for position, variable in enumerate(model.trainable_variables)
    }
    ranks = {
        id(variable): rank_sketch.rank(row)
        for variable, row in zip(layout.sketched, table.sketches, strict=True)
    }
    return tuple(
        replace(
            _weight(owned[id(variable)], row, trainable.get(id(variable)), table),
            rank=ranks.get(id(variable)),
            optimizer=trained_by.get(id(variable)),
        )
        for variable, row in zip(layout.weights, table.weights, strict=True)
        if id(variable) in owned
    )


def _weight(
    owned: OwnedVariable, row: np.ndarray, position: int | None, table: RowTable
) -> WeightStats:
    shape = tuple(owned.variable.shape)
    size = math.prod(shape)
    moments = statistics_rows.to_moments(row, size)
    assert moments is not None, "weight rows are always connected"
    gradient = None
    if position is not None and table.weight_gradients is not None:
        gradient = statistics_rows.to_moments(
            table.weight_gradients[position], size, table.divisor(LOSS)
        )
    return WeightStats(
        name=owned.name,
        layer=owned.layer,
        site=owned.site,
        role=owned.role,
        shape=shape,
        fan_in=float(owned.fans.fan_in) if owned.fans else None,
        fan_out=float(owned.fans.fan_out) if owned.fans else None,
        moments=replace(moments, batch_share=math.nan),
        norm=_norm(moments),
        fingerprint=float(row[statistics_rows.COLUMNS.index("fingerprint")]) * float(row[0]),
        is_trainable=position is not None,
        gradient=replace(gradient, batch_share=math.nan) if gradient else None,
        gradient_norm=_norm(gradient) if gradient else None,
    )


def _norm(moments: Moments) -> float:
    return math.sqrt(moments.second_moment * moments.num_elements * (1 - moments.share_nonfinite))


def _sites(
    layout: Layout, table: RowTable, weights: tuple[WeightStats, ...]
) -> tuple[SiteStats, ...]:
    found = []
    for record in layout.sites:
        with our_own(f"the statistics of layer {record.name!r}"):
            found.append(_site(record, layout, table, weights))
    return tuple(found)


def _site(
    record: SiteRecord, layout: Layout, table: RowTable, weights: tuple[WeightStats, ...]
) -> SiteStats:
    own = (
        [weight for weight in weights if weight.site == record.index]
        if record.is_first_call
        else []
    )
    return SiteStats(
        index=record.index,
        name=record.name,
        layer=record.layer_path,
        layer_type=type(record.layer).__name__,
        kind=record.kind,
        inputs=record.inputs,
        inputs_known=record.inputs_known,
        follows_previous=table.is_elementwise(record.link),
        input_shape=record.input_shape,
        output_shape=record.output_shape,
        num_parameters=sum(math.prod(weight.shape) for weight in own),
        is_trainable=bool(getattr(record.layer, "trainable", True)),
        activation=_activation(record),
        activations=_places(record, table.signals, 1.0),
        loss_gradients=_gradient_places(record, table, LOSS),
        random_gradients=_gradient_places(record, table, RANDOM),
    )


def _activation(record: SiteRecord) -> str | None:
    """Of a recurrent layer that of its candidate state."""
    function = (
        getattr(record.layer, "activation", None)
        if record.kind == "recurrent"
        else record.activation
    )
    return describe(function).name if function is not None else None


def _gradient_places(record: SiteRecord, table: RowTable, objective: str) -> Places | None:
    found = table.gradients.get(objective)
    return None if found is None else _places(record, found, table.divisor(objective))


def _places(record: SiteRecord, block: np.ndarray, divisor: float) -> Places:
    def at(channel: Channel | None) -> Moments | None:
        return (
            None
            if channel is None
            else statistics_rows.to_moments(block[channel.index], math.prod(channel.shape), divisor)
        )

    has_own_z = record.z is not None or record.kind != "weight"
    return Places(x=at(record.x), z=at(record.z) if has_own_z else at(record.h), h=at(record.h))


def _end_to_end(sites: tuple[SiteStats, ...]) -> tuple[float | None, float | None]:
    """log10 of what becomes of the second moment from the first weight layer's input to the last
    hidden one's output, and back.
    """
    hidden = [site for site in sites if site.kind == "weight" and not site.is_head]
    if not hidden:
        return None, None
    first, last = hidden[0], hidden[-1]
    return (
        _log10_ratio(last.activations.h, first.activations.x),
        _log10_ratio(first.gradients.x, last.gradients.h),
    )


def _log10_ratio(numerator: Moments | None, denominator: Moments | None) -> float | None:
    if numerator is None or denominator is None or not denominator.second_moment:
        return None
    return numerator.log10_second_moment - denominator.log10_second_moment


def _not_probed(model: Any, layout: Layout) -> tuple[tuple[str, str], ...]:
    uncalled = variables.uncalled_layers(model, layout.sites, tuple(layout.unobserved))
    return (
        *layout.notes,
        *layout.unobserved.items(),
        *((path, "not called in this forward pass, or quantised") for path in uncalled),
    )
