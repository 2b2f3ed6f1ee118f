"""Propagation rules of operations with one input.

They are noise, normalization, pooling, changes of shape, and constants.

Correlations between positions, tokens or samples are not measured: pooled cells count as
independent, and a batch normalization's units as no less spread over the batch than all elements
are.
"""

import math
from typing import Any

import keras
import numpy as np

from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.keras_model import layer_kinds
from keras_initcheck.probe.prediction.measured_weights import (
    MeasuredWeights,
    element_ratio,
    mean_and_square,
)
from keras_initcheck.probe.prediction.weight_layers import positions
from keras_initcheck.probe.tap.site_record import SiteRecord
from keras_initcheck.theory.propagation import noise
from keras_initcheck.theory.propagation.linear import (
    IDENTITY,
    Affine,
    Cropping,
    Repeat,
    ZeroPadding,
)
from keras_initcheck.theory.propagation.normalization import (
    RootMeanSquareNormalization,
    Standardization,
)
from keras_initcheck.theory.propagation.padding import Overlap, overlap
from keras_initcheck.theory.propagation.pooling import AveragePooling, MaxPooling
from keras_initcheck.theory.propagation.rule import PropagationRule, Unpredictable


def identity_rule(record: SiteRecord) -> PropagationRule:
    """The identity, in whatever shape."""
    return IDENTITY


def dropout_rule(record: SiteRecord) -> PropagationRule:
    """Dropout, SpatialDropout and GaussianDropout."""
    return noise.Dropout(float(record.layer.rate)) if record.is_training else IDENTITY


def alpha_dropout_rule(record: SiteRecord) -> PropagationRule:
    """AlphaDropout."""
    return (
        noise.AlphaDropout(float(record.layer.rate))
        if record.is_training and record.layer.rate
        else IDENTITY
    )


def gaussian_noise_rule(record: SiteRecord) -> PropagationRule:
    """GaussianNoise."""
    return noise.GaussianNoise(float(record.layer.stddev)) if record.is_training else IDENTITY


def batch_normalization_rule(record: SiteRecord, weights: MeasuredWeights) -> PropagationRule:
    """BatchNormalization, by moving statistics where it is frozen or in inference mode."""
    if not layer_kinds.uses_moving_statistics(record.layer, is_training=record.is_training):
        return standardization_rule(record, weights)
    layer = record.layer
    mean, variance = _values(layer.moving_mean), _values(layer.moving_variance)
    if np.any(mean):
        return Unpredictable(
            "it removes a moving mean from each channel, whose own mean is not known"
        )
    gamma_mean, gamma_square = mean_and_square(weights.moments(record.layer_path, "gamma"), 1.0)
    beta_mean, beta_square = mean_and_square(weights.moments(record.layer_path, "beta"), 0.0)
    inverse = 1.0 / (variance + layer.epsilon)
    return Affine(
        gamma_mean * float(np.sqrt(inverse).mean()),
        gamma_square * float(inverse.mean()),
        beta_mean,
        beta_square,
    )


def standardization_rule(record: SiteRecord, weights: MeasuredWeights) -> PropagationRule:
    """Normalization with mean and variance of the signal itself."""
    if getattr(record.layer, "rms_scaling", False):
        return root_mean_square_rule(record, weights)
    _, gamma_square = mean_and_square(weights.moments(record.layer_path, "gamma"), 1.0)
    beta_mean, beta_square = mean_and_square(weights.moments(record.layer_path, "beta"), 0.0)
    return Standardization(float(record.layer.epsilon), gamma_square, beta_mean, beta_square)


def root_mean_square_rule(record: SiteRecord, weights: MeasuredWeights) -> PropagationRule:
    """RMSNormalization, and LayerNormalization with `rms_scaling`."""
    name = "gamma" if hasattr(record.layer, "gamma") else "scale"
    return RootMeanSquareNormalization(
        float(record.layer.epsilon), *mean_and_square(weights.moments(record.layer_path, name), 1.0)
    )


def unit_normalization_rule(record: SiteRecord) -> PropagationRule:
    """UnitNormalization, over all its axes."""
    axis = record.layer.axis
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    return RootMeanSquareNormalization.unit(
        float(math.prod((record.input_shape or ())[each] for each in axes))
    )


def data_normalization_rule(record: SiteRecord) -> PropagationRule:
    """Normalization with statistics that are the same for every feature."""
    mean, variance = (
        np.unique(to_numpy(each)) for each in (record.layer.mean, record.layer.variance)
    )
    if len(mean) > 1 or len(variance) > 1:
        return Unpredictable("it removes a mean from each feature, whose own mean is not known")
    scale = 1.0 / max(math.sqrt(float(variance[0])), keras.config.epsilon())
    return Affine.constant(-scale if record.layer.invert else scale, -float(mean[0]) * scale)


def rescaling_rule(record: SiteRecord) -> PropagationRule:
    """Rescaling, by one number or by one for each channel."""
    scale, offset = (
        np.asarray(each, "float64") for each in (record.layer.scale, record.layer.offset)
    )
    return Affine(
        float(scale.mean()),
        float((scale**2).mean()),
        float(offset.mean()),
        float((offset**2).mean()),
    )


def average_pooling_rule(record: SiteRecord) -> PropagationRule:
    """Average pooling over windows."""
    return AveragePooling.over(_window(record))


def max_pooling_rule(record: SiteRecord) -> PropagationRule:
    """Max pooling over windows; `complete_rule` adds whether the cells are rectified."""
    return MaxPooling.over(_window(record))


def global_average_rule(record: SiteRecord) -> PropagationRule:
    """An average over all positions, or over some axes."""
    cells = element_ratio(record.input_shape or (), record.output_shape or ())
    return AveragePooling(cells, cells)


def global_max_rule(record: SiteRecord) -> PropagationRule:
    """The largest of all positions."""
    cells = element_ratio(record.input_shape or (), record.output_shape or ())
    return MaxPooling(cells, cells)


def padding_rule(record: SiteRecord) -> PropagationRule:
    """ZeroPadding."""
    return ZeroPadding(1.0 / element_ratio(record.output_shape or (), record.input_shape or ()))


def cropping_rule(record: SiteRecord) -> PropagationRule:
    """Cropping, or a slice."""
    return Cropping(min(element_ratio(record.output_shape or (), record.input_shape or ()), 1.0))


def repeat_rule(record: SiteRecord) -> PropagationRule:
    """RepeatVector and UpSampling of nearest neighbors."""
    if getattr(record.layer, "interpolation", "nearest") != "nearest":
        return Unpredictable("it interpolates between positions, whose correlation is not known")
    return Repeat(element_ratio(record.output_shape or (), record.input_shape or ()))


def negative_rule(record: SiteRecord) -> PropagationRule:
    """`-x`."""
    return Affine.constant(-1.0)


def _window(record: SiteRecord) -> Overlap:
    layer = record.layer
    sizes = positions(record.input_shape or (), layer.data_format)
    window, strides = (_tuple(each, len(sizes)) for each in (layer.pool_size, layer.strides))
    return overlap(sizes, window, strides, layer.padding)


def _tuple(value: Any, length: int) -> tuple[int, ...]:
    return (value,) * length if isinstance(value, int) else tuple(value)


def _values(variable: Any) -> np.ndarray:
    return np.asarray(to_numpy(variable), "float64")
