"""AlexNet (Krizhevsky, Sutskever & Hinton 2012) as one tower, without response normalization."""

from typing import Any

import keras

IMAGE_SHAPE = (227, 227, 3)
CONVOLUTIONS = (
    ("conv1", 96, 11, 4, "valid"),
    ("conv2", 256, 5, 1, "same"),
    ("conv3", 384, 3, 1, "same"),
    ("conv4", 384, 3, 1, "same"),
    ("conv5", 256, 3, 1, "same"),
)
"""Name, filters, kernel size, strides and padding."""
POOLED = ("conv1", "conv2", "conv5")
"""Convolutions that are followed by a 3×3 max pooling of stride 2."""
DENSE = (("fc6", 4096), ("fc7", 4096))
NUM_CLASSES = 1000


@keras.saving.register_keras_serializable("keras_initcheck")
class SubtractMean(keras.layers.Layer):
    """Subtracts the mean over the batch, the positions and the units."""

    def call(self, inputs: Any) -> Any:
        """Returns `inputs` with mean 0."""
        return inputs - keras.ops.mean(inputs)


def alexnet(
    kernel_initializer: Any = "he_normal", subtract_mean: bool = False, *, width: float = 1.0
) -> keras.Model:
    """Builds AlexNet, not compiled, with 62 million weights in 8 layers; its biases are 0.

    Args:
        kernel_initializer: An initializer for all kernels, or its name; each layer draws its own
            values.
        subtract_mean: Whether a layer after each ReLU subtracts the mean of its output.
        width: Fraction of the filters and units to keep; the 1000 classes are always kept.
    """
    signal = inputs = keras.Input(IMAGE_SHAPE)
    for name, filters, size, strides, padding in CONVOLUTIONS:
        options = {**_hidden(name, kernel_initializer), "strides": strides, "padding": padding}
        signal = keras.layers.Conv2D(_scaled(filters, width), size, **options)(signal)
        signal = SubtractMean(name=f"{name}_centered")(signal) if subtract_mean else signal
        signal = (
            keras.layers.MaxPooling2D(3, 2, name=f"{name}_pool")(signal)
            if name in POOLED
            else signal
        )
    signal = keras.layers.Flatten(name="flatten")(signal)
    for name, units in DENSE:
        signal = keras.layers.Dense(_scaled(units, width), **_hidden(name, kernel_initializer))(
            signal
        )
        signal = SubtractMean(name=f"{name}_centered")(signal) if subtract_mean else signal
    head = {**_hidden("fc8", kernel_initializer), "activation": "softmax"}
    return keras.Model(inputs, keras.layers.Dense(NUM_CLASSES, **head)(signal), name="alexnet")


def _hidden(name: str, kernel_initializer: Any) -> dict[str, Any]:
    initializer = keras.initializers.get(kernel_initializer)
    own = (
        initializer.clone()
        if isinstance(initializer, keras.initializers.Initializer)
        else initializer
    )
    return {"name": name, "activation": "relu", "kernel_initializer": own}


def _scaled(number: int, width: float) -> int:
    return max(1, round(number * width))
