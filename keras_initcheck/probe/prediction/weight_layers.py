"""Propagation rules of weight layers.

They combine true fans, what padding leaves of them, measured weights, bias and fused activation.
"""

from collections.abc import Iterator
from typing import Any

import keras

from keras_initcheck.probe.keras_model import layer_kinds
from keras_initcheck.probe.prediction.measured_weights import MeasuredWeights, mean_and_square
from keras_initcheck.probe.tap.site_record import SiteRecord
from keras_initcheck.records.statistics import Moments
from keras_initcheck.theory.fans import Fans
from keras_initcheck.theory.propagation.linear import Embedding, Weight, significant_mean
from keras_initcheck.theory.propagation.padding import (
    NO_BORDER,
    Border,
    conv_border,
    conv_transpose_border,
)
from keras_initcheck.theory.propagation.rule import PropagationRule, Unpredictable


def weight_rules(record: SiteRecord, weights: MeasuredWeights) -> tuple[PropagationRule, ...]:
    """One rule for each kernel, in the order of application, and one for a fused activation."""
    return tuple(_rules(record, weights))


def embedding_rule(record: SiteRecord, weights: MeasuredWeights) -> PropagationRule:
    """A lookup in a table."""
    table = weights.moments(record.layer_path, "embeddings")
    return (
        Unpredictable("its table belongs to another layer")
        if table is None
        else Embedding(table.mean, table.second_moment)
    )


def _rules(record: SiteRecord, weights: MeasuredWeights) -> Iterator[PropagationRule]:
    layer = record.layer
    kernels = layer_kinds.kernel_fans(layer)
    for number, (name, fans) in enumerate(kernels.items(), start=1):
        moments = weights.moments(record.layer_path, name)
        if moments is None:
            yield Unpredictable(f"its {name} is no variable of its own")
        else:
            bias = weights.moments(record.layer_path, "bias") if number == len(kernels) else None
            yield _weight(moments, fans, bias, _border(layer, name, record.input_shape or ()))
    activation = layer_kinds.fused_activation(layer)
    if activation is not None:
        yield weights.activation(activation, record.output_shape or ())


def _weight(kernel: Moments, fans: Fans, bias: Moments | None, border: Border) -> Weight:
    bias_mean, bias_second_moment = mean_and_square(bias, 0.0)
    return Weight(
        fan_in=fans.fan_in,
        fan_out=fans.fan_out,
        second_moment=kernel.second_moment,
        mean=significant_mean(kernel.mean, kernel.second_moment, kernel.num_elements),
        bias_mean=bias_mean,
        bias_second_moment=bias_second_moment,
        border=border,
    )


def _border(layer: Any, name: str, input_shape: tuple[int, ...]) -> Border:
    if not hasattr(layer, "kernel_size") or name == "pointwise_kernel":
        return NO_BORDER
    sizes = positions(input_shape, layer.data_format)
    if not isinstance(layer, layer_kinds.TRANSPOSED):
        return conv_border(
            sizes, layer.kernel_size, layer.strides, layer.padding, layer.dilation_rate
        )
    if layer.output_padding is not None or any(rate != 1 for rate in layer.dilation_rate):
        # Neither is counted: an error of the order of the window's share of the image.
        return NO_BORDER
    return conv_transpose_border(sizes, layer.kernel_size, layer.strides, layer.padding)


def positions(shape: tuple[int, ...], data_format: str | None) -> tuple[int, ...]:
    """The sizes of an image's axes, without batch and channels."""
    return (
        shape[2:]
        if (data_format or keras.config.image_data_format()) == "channels_first"
        else shape[1:-1]
    )
