"""Cost of a repeated probe against a bare forward and backward pass of the same model, compiled the
same way, in one run.

    KERAS_BACKEND=tensorflow python tests/benchmarks/probe_cost.py [--models mlp,gpt,resnet50]
    [--rounds 15]

Prints for each model the median time of both and their ratio. The two are run in turn, so that a
busy machine slows both.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import Probe
from keras_initcheck.probe.tap.pass_record import LOSS

BACKEND = keras.backend.backend()


def mlp():
    """30 hidden layers of 512, batch 256."""
    inputs = [keras.Input((512,))]
    hidden = [
        layers.Dense(512, activation="relu", kernel_initializer="he_normal") for _ in range(30)
    ]
    model = keras.Sequential([*inputs, *hidden, layers.Dense(10, activation="softmax")])
    return model, (256, 512), 10


def resnet50():
    """ResNet50 at 96x96, batch 16."""
    return (
        keras.applications.ResNet50(weights=None, input_shape=(96, 96, 3), classes=10),
        (16, 96, 96, 3),
        10,
    )


def gpt(blocks=6, width=256, heads=4, length=128, vocabulary=1000):
    """A small GPT: 6 blocks of width 256, batch 8 of 128 tokens."""
    tokens = keras.Input((length,), dtype="int32")
    x = layers.Embedding(vocabulary, width)(tokens)
    for _ in range(blocks):
        h = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(heads, width // heads)(h, h, use_causal_mask=True)
        h = layers.Dense(4 * width, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(width)(h)
    model = keras.Model(
        tokens, layers.Dense(vocabulary, activation="softmax")(layers.LayerNormalization()(x))
    )
    return model, (8, length), vocabulary


def data(shape, classes, is_tokens):
    """Random inputs and labels."""
    generator = np.random.default_rng(0)
    if is_tokens:
        return generator.integers(0, classes, shape), generator.integers(0, classes, shape)
    return generator.standard_normal(shape).astype("float32"), generator.integers(
        0, classes, shape[:1]
    )


def bare_pass(model, batch):
    """A function that computes the loss and every weight's gradient, and nothing else."""
    variables = model.trainable_variables

    def loss_of(x, y, mapping=None):
        with keras.StatelessScope(mapping, collect_losses=True):
            return model.compute_loss(x=x, y=y, y_pred=model(x, training=True), training=True)

    if BACKEND == "tensorflow":
        import tensorflow as tf

        @tf.function(autograph=False)
        def step(x, y):
            with tf.GradientTape() as tape:
                loss = loss_of(x, y)
            return loss, [
                tf.convert_to_tensor(g) for g in tape.gradient(loss, [v.value for v in variables])
            ]

        return lambda: step(batch.x, batch.y)[0].numpy()
    if BACKEND == "jax":
        import jax

        others = model.non_trainable_variables

        @jax.jit
        def step(values, state, x, y):
            def loss(values):
                return loss_of(
                    x, y, [*zip(variables, values, strict=True), *zip(others, state, strict=True)]
                )

            return jax.value_and_grad(loss)(values)

        return lambda: jax.block_until_ready(
            step([v.value for v in variables], [v.value for v in others], batch.x, batch.y)
        )
    import torch

    return lambda: torch.autograd.grad(loss_of(batch.x, batch.y), [v.value for v in variables])


MAKERS = {"mlp": mlp, "gpt": gpt, "resnet50": resnet50}


def timed(function):
    """Seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def passes(name):
    """The bare pass and the repeated probe of the model of that name, as two functions without
    arguments.
    """
    keras.utils.set_random_seed(0)
    model, shape, classes = MAKERS[name]()
    model.compile("sgd", "sparse_categorical_crossentropy")
    batch = take_batch(*data(shape, classes, name == "gpt"), batch_size=shape[0])
    probe = Probe(model)
    return bare_pass(model, batch), lambda: probe.measure(batch, cotangents=(LOSS,), is_exact=False)


def main():
    """Prints a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="mlp,gpt,resnet50")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    for name in arguments.models.split(","):
        bare, repeated = passes(name)
        compilation = timed(bare), timed(repeated)
        pairs = [(timed(bare), timed(repeated)) for _ in range(arguments.rounds)]
        times = [statistics.median(column) for column in zip(*pairs, strict=True)]
        ratio = statistics.median(b / a for a, b in pairs)
        print(
            f"{BACKEND:10} {name:9} {len(repeated().sites):4} sites  "
            f"bare {1e3 * times[0]:7.1f} ms  probe {1e3 * times[1]:7.1f} ms  ratio {ratio:.2f}  "
            f"(first call {compilation[0]:.1f} s, {compilation[1]:.1f} s)"
        )


if __name__ == "__main__":
    main()
