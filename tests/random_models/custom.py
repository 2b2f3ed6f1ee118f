"""Layers as users write them: with state on Python objects, losses, metrics, raw variables, several
results, none, or an exception.
"""

import keras
import numpy as np
from keras import layers, ops


class Own(layers.Layer):
    """A layer that keeps the shape of its input."""

    def compute_output_shape(self, shape):
        return shape


class Remembering(Own):
    """Keeps what it saw on itself, at several depths."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.last = None
        self.history = []
        self.by_name = {"calls": 0, "deep": {"history": []}}
        self.written = np.zeros(3)

    def call(self, x):
        self.last = x
        self.history.append(tuple(x.shape))
        self.by_name["calls"] += 1
        self.by_name["deep"]["history"].append(1)
        self.written += 1.0
        return x * 1.5


class Box:
    """A plain object with state."""

    def __init__(self):
        self.number = 0
        self.inside = {"list": [0]}


class HoldingAnObject(Own):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.box = Box()

    def call(self, x):
        self.box.number += 1
        self.box.inside["list"][0] += 1
        return x


class AddingLoss(Own):
    def call(self, x):
        self.add_loss(0.01 * ops.mean(ops.square(ops.cast(x, "float32"))))
        return x


class Measuring(Own):
    """Holds a metric and updates it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.mean = keras.metrics.Mean(name="own_mean")

    def call(self, x):
        self.mean.update_state(ops.mean(ops.cast(x, "float32")))
        return x


class Counting(Own):
    """Counts its calls in a Keras variable, and keeps a running mean."""

    def build(self, shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False)
        self.running = self.add_weight(shape=(shape[-1],), initializer="zeros", trainable=False)

    def call(self, x):
        self.calls.assign_add(1)
        mean = ops.mean(x, axis=tuple(range(len(x.shape) - 1)))
        self.running.assign(0.9 * self.running + 0.1 * ops.cast(mean, self.running.dtype))
        return x


class CountingInTheFramework(Own):
    """Counts its calls in a variable that Keras does not know."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            with tf.init_scope():
                self.raw = tf.Variable(0.0, trainable=False)
        else:
            import torch

            self.register_buffer("raw", torch.zeros(()))

    def call(self, x):
        if isinstance(x, keras.KerasTensor) or "meta" in str(getattr(x, "device", "")):
            return x
        if keras.backend.backend() == "tensorflow":
            self.raw.assign_add(1.0)
        else:
            self.raw += 1.0
        return x


class DrawingFromTheGlobalSeed(Own):
    def call(self, x):
        return x + 0.1 * keras.random.normal(ops.shape(x), dtype=x.dtype)


class DrawingFromItsSeed(Own):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(5)

    def call(self, x, training=False):
        return (
            x + keras.random.normal(ops.shape(x), dtype=x.dtype, seed=self.seed_generator)
            if training
            else x
        )


class DrawingFromTheFramework(Own):
    def call(self, x):
        if isinstance(x, keras.KerasTensor):
            return x
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            return x + 0.1 * tf.cast(tf.random.normal(tf.shape(x)), x.dtype)
        import torch

        return x + 0.1 * torch.randn(x.shape).to(x.dtype)


class DrawingFromNumPy(Own):
    def call(self, x):
        return x * float(1.0 + 0.1 * np.random.rand())


class HoldingAnUnusedLayer(Own):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.unused = layers.Dense(2)
        self.seen = []
        self.latest = None

    def call(self, x):
        self.seen.append(1)
        self.latest = x
        return x + 1.0


class GivingATuple(layers.Layer):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(width)

    def call(self, x):
        return self.dense(x), (ops.tanh(x), x)


class GivingADict(layers.Layer):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.parts = {"a": layers.Dense(width), "b": [layers.Dense(width, activation="relu")]}

    def call(self, x):
        return {"sum": self.parts["a"](x) + self.parts["b"][0](x), "given": x}


class TakingADict(Own):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(1)

    def call(self, inputs):
        return inputs["x"] * ops.sigmoid(self.dense(inputs["gate"]))

    def compute_output_shape(self, shape):
        return shape["x"]


class GivingNone(layers.Layer):
    """Watches a stream and gives nothing."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(1)

    def call(self, x):
        self.dense(x)


class Raising(Own):
    def call(self, x):
        raise RuntimeError("this layer never works")

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


class ScaledByAKeyword(Own):
    """Takes a tensor and a flag by keyword."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(1)

    def call(self, x, *, by=None, is_scaled=True):
        return x * ops.tanh(self.dense(by)) if is_scaled else x


class WithOwnMatrix(Own):
    """Holds its weights itself, used twice and transposed."""

    def build(self, shape):
        self.matrix = self.add_weight(
            shape=(shape[-1], shape[-1]), initializer="glorot_uniform", name="matrix"
        )

    def call(self, x):
        return ops.matmul(ops.tanh(ops.matmul(x, self.matrix)), ops.transpose(self.matrix))


class RunningALayerTwice(Own):
    """A loop over one layer."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.cell = layers.Dense(width, activation="tanh")

    def call(self, x):
        for _ in range(2):
            x = x + self.cell(x)
        return x
