"""Small networks with one fault each."""

import keras
import numpy as np

LAYERS = keras.layers


def normal(std):
    """A new instance for each layer: one instance would repeat its numbers."""
    return lambda: keras.initializers.RandomNormal(stddev=std)


def mlp(initializer, depth=6, width=64, activation="relu", **arguments):
    """Depth layers and a head."""
    hidden = [
        LAYERS.Dense(
            width, activation, kernel_initializer=initializer(), name=f"hidden_{n}", **arguments
        )
        for n in range(depth)
    ]
    return keras.Sequential([keras.Input((64,)), *hidden, LAYERS.Dense(10, name="head")])


def cnn():
    hidden = [
        LAYERS.Conv2D(
            16,
            3,
            padding="same",
            activation="relu",
            kernel_initializer=normal(1.0)(),
            name=f"conv_{n}",
        )
        for n in range(4)
    ]
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            *hidden,
            LAYERS.GlobalAveragePooling2D(),
            LAYERS.Dense(10, name="head"),
        ]
    )


def residual(blocks=24):
    signal = entered = keras.Input((64,))
    for block in range(blocks):
        inner = LAYERS.Dense(64, "relu", kernel_initializer="he_normal", name=f"inner_{block}")(
            signal
        )
        outer = LAYERS.Dense(64, kernel_initializer="he_normal", name=f"outer_{block}")(inner)
        signal = LAYERS.Add()([signal, outer])
    return keras.Model(entered, LAYERS.Dense(10, name="head")(signal))


def transformer():
    signal = entered = keras.Input((8, 16))
    for block in range(2):
        inner = LAYERS.LayerNormalization()(signal)
        inner = LAYERS.MultiHeadAttention(
            2, 8, kernel_initializer=normal(1.0)(), name=f"attention_{block}"
        )(inner, inner)
        signal = LAYERS.Add()([signal, inner])
        inner = LAYERS.LayerNormalization()(signal)
        inner = LAYERS.Dense(32, "gelu", kernel_initializer=normal(1.0)(), name=f"wide_{block}")(
            inner
        )
        signal = LAYERS.Add()(
            [
                signal,
                LAYERS.Dense(16, kernel_initializer=normal(1.0)(), name=f"narrow_{block}")(inner),
            ]
        )
    return keras.Model(
        entered,
        LAYERS.Dense(10, name="head")(
            LAYERS.GlobalAveragePooling1D()(LAYERS.LayerNormalization()(signal))
        ),
    )


def gated():
    recurrent = LAYERS.GRU(
        32, kernel_initializer=normal(2.0)(), recurrent_initializer=normal(2.0)(), name="gru"
    )
    return keras.Sequential([keras.Input((8, 8)), recurrent, LAYERS.Dense(10, name="head")])


def recurrent():
    layer = LAYERS.SimpleRNN(32, recurrent_initializer=normal(4 / np.sqrt(32))(), name="rnn")
    return keras.Sequential([keras.Input((30, 8)), layer, LAYERS.Dense(10, name="head")])


def silent_head():
    bias = keras.initializers.Constant(-10.0)
    model = mlp(keras.initializers.HeNormal, depth=2)
    return keras.Sequential(
        [
            keras.Input((64,)),
            *model.layers[:-1],
            LAYERS.Dense(10, "relu", bias_initializer=bias, name="head"),
        ]
    )


def low_rank():
    model = mlp(keras.initializers.HeNormal, depth=3)
    generator = np.random.default_rng(0)
    model.layers[1].kernel.assign(
        np.outer(generator.standard_normal(64), generator.standard_normal(64)) * np.sqrt(2 / 64)
    )
    return model


def large_head():
    model = mlp(keras.initializers.HeNormal, depth=3)
    model.layers[-1].kernel.assign(model.layers[-1].kernel.value * 50.0)
    return model


def with_nan():
    model = mlp(keras.initializers.HeNormal, depth=3)
    kernel = np.array(keras.ops.convert_to_numpy(model.layers[1].kernel.value))
    kernel[0, 0] = np.nan
    model.layers[1].kernel.assign(kernel)
    return model


FAULTY = {
    "Glorot with ReLU": lambda: mlp(keras.initializers.GlorotUniform, depth=20),
    "too small": lambda: mlp(normal(0.01)),
    "too large": lambda: mlp(normal(1.0)),
    "a little too large": lambda: mlp(
        lambda: keras.initializers.VarianceScaling(2.0 * 1.44), depth=30
    ),
    "saturated tanh": lambda: mlp(normal(1.0), depth=4, activation="tanh"),
    "small sigmoid": lambda: mlp(normal(0.01), activation="sigmoid", width=100),
    "deep sigmoid": lambda: mlp(
        keras.initializers.GlorotNormal, depth=8, activation="sigmoid", width=100
    ),
    "GRU": gated,
    "recurrent": recurrent,
    "silent head": silent_head,
    "CNN": cnn,
    "residual": residual,
    "transformer": transformer,
    "constant": lambda: mlp(lambda: keras.initializers.Constant(0.1), depth=3),
    "zero": lambda: mlp(keras.initializers.Zeros, depth=3),
    "one seed": lambda: mlp(lambda: keras.initializers.HeNormal(seed=1), depth=4),
    "low rank": low_rank,
    "large head": large_head,
    "NaN": with_nan,
    "dead": lambda: mlp(
        keras.initializers.HeNormal, depth=3, bias_initializer=keras.initializers.Constant(-10.0)
    ),
    "biases": lambda: mlp(
        keras.initializers.HeNormal, bias_initializer=keras.initializers.RandomNormal(stddev=30.0)
    ),
}
"""Networks that `repair` cures."""


def batch(model, seed=0):
    """32 standard normal samples with labels of ten classes."""
    generator = np.random.default_rng(seed)
    return generator.standard_normal((32, *model.input_shape[1:])).astype(
        "float32"
    ), generator.integers(0, 10, 32)


def compiled(model, optimizer="sgd"):
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.run_eagerly = keras.backend.backend() == "tensorflow"  # tracing a step takes seconds
    return model


def values(model):
    """Copies of all variables, the optimizer's too."""
    owned = [
        *model.variables,
        *(model.optimizer.variables if getattr(model, "optimizer", None) else []),
    ]
    return [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in owned]


def are_same(before, after):
    return len(before) == len(after) and all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(before, after, strict=True)
    )
