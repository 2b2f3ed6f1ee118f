"""The propagation rules of a layer or graph operation, by the name of its class in Keras."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import keras

from keras_initcheck.probe.prediction import merge_layers, unary_layers
from keras_initcheck.probe.prediction.measured_weights import MeasuredWeights
from keras_initcheck.probe.prediction.weight_layers import embedding_rule, weight_rules
from keras_initcheck.probe.tap.site_record import SiteRecord
from keras_initcheck.theory.propagation.rule import PropagationRule, Unpredictable

_BY_GEOMETRY: dict[Callable[[SiteRecord], PropagationRule], str] = {
    unary_layers.identity_rule: (
        "Flatten Reshape Permute Identity Masking ActivityRegularization Transpose Squeeze"
        " ExpandDims Cast Ravel Moveaxis Swapaxes"
    ),
    unary_layers.dropout_rule: (
        "Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianDropout"
    ),
    unary_layers.alpha_dropout_rule: "AlphaDropout",
    unary_layers.gaussian_noise_rule: "GaussianNoise",
    unary_layers.unit_normalization_rule: "UnitNormalization",
    unary_layers.data_normalization_rule: "Normalization",
    unary_layers.rescaling_rule: "Rescaling",
    unary_layers.average_pooling_rule: "AveragePooling1D AveragePooling2D AveragePooling3D",
    unary_layers.max_pooling_rule: "MaxPooling1D MaxPooling2D MaxPooling3D",
    unary_layers.global_average_rule: (
        "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D Mean"
    ),
    unary_layers.global_max_rule: "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D",
    unary_layers.padding_rule: "ZeroPadding1D ZeroPadding2D ZeroPadding3D",
    unary_layers.cropping_rule: "Cropping1D Cropping2D Cropping3D GetItem",
    unary_layers.repeat_rule: "RepeatVector UpSampling1D UpSampling2D UpSampling3D",
    unary_layers.negative_rule: "Negative",
    merge_layers.sum_rule: "Add",
    merge_layers.difference_rule: "Subtract",
    merge_layers.average_rule: "Average",
    merge_layers.product_rule: "Multiply",
    merge_layers.quotient_rule: "Divide TrueDivide",
    merge_layers.concatenate_rule: "Concatenate",
    merge_layers.maximum_rule: "Maximum",
    merge_layers.minimum_rule: "Minimum",
}
_BY_WEIGHTS: dict[Callable[[SiteRecord, MeasuredWeights], PropagationRule], str] = {
    unary_layers.batch_normalization_rule: "BatchNormalization",
    unary_layers.standardization_rule: "LayerNormalization GroupNormalization",
    unary_layers.root_mean_square_rule: "RMSNormalization",
    embedding_rule: "Embedding",
}
_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "RNN": "the gates of a recurrent layer multiply what it remembers",
        "TimeDistributed": "the layers inside it are not observed",
        "Pipeline": "the layers inside it are not observed",
        "Lambda": "a function of the user's own",
    }
)


def _names(table: Mapping[Any, str]) -> dict[str, Any]:
    return {name: function for function, names in table.items() for name in names.split()}


_GEOMETRY, _WEIGHTS = _names(_BY_GEOMETRY), _names(_BY_WEIGHTS)


def rules_of(record: SiteRecord, weights: MeasuredWeights) -> tuple[PropagationRule, ...]:
    """The steps of a site: the first rule takes its operands, each other one its predecessor.

    Args:
        record: The site.
        weights: Measured moments of the model's variables.
    """
    name = keras_name(record.layer)
    if record.kind == "block":
        return (Unpredictable("arithmetic of its own, outside of layers"),)
    if not weights.is_finite(record.layer_path):
        return (Unpredictable("its weights are not finite"),)
    if name is None:
        return (Unpredictable("a layer of the user's own"),)
    if record.kind == "weight":
        return weight_rules(record, weights)
    if record.kind == "activation":
        return (weights.activation(record.layer, record.output_shape or ()),)
    if name in _WEIGHTS:
        return (_WEIGHTS[name](record, weights),)
    return (
        (
            _GEOMETRY[name](record)
            if name in _GEOMETRY
            else Unpredictable(_REASONS.get(name, f"{name} has no rule of propagation"))
        ),
    )


def keras_name(operation: Any) -> str | None:
    """The class of Keras from which an operation has its `call`; `None` for a user's own `call`."""
    if not isinstance(operation, keras.layers.Layer):
        return type(operation).__name__ if type(operation).__module__.startswith("keras.") else None
    base = next(
        (
            base
            for base in type(operation).__mro__
            if getattr(keras.layers, base.__name__, None) is base
        ),
        keras.layers.Layer,
    )
    if isinstance(operation, keras.layers.RNN):
        return "RNN"
    return base.__name__ if type(operation).call is base.call else None
