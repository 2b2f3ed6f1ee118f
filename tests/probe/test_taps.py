"""Taps on PyTorch: their number of operations, and layers that they must not disturb."""

from collections import Counter

import keras
import numpy as np
import pytest

from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import Probe
from keras_initcheck.probe.tap.preserve import capture_objects
from keras_initcheck.records.measurement import MEAN, SECOND_MOMENT
from tests.benchmarks.bare_pass import bare_pass

pytestmark = pytest.mark.backend("torch")
LAYERS = keras.layers
OF_SIGNAL = 10
"""Forward: an alias for the tap, and the signal detached; a flat view and a product for squares;
two views and a copy for the sample. Backward: the gradient detached, a view and a product."""
OF_WEIGHT = 7
"""The weight and its gradient detached, a flat view and a product for each, and a sum."""


def dense_chain(depth):
    hidden = [LAYERS.Dense(8, "relu", kernel_initializer="he_normal") for _ in range(depth)]
    model = keras.Sequential([keras.Input((8,)), *hidden, LAYERS.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def batch_of(normal, samples=4):
    return take_batch(normal(samples, 8), np.zeros(samples, "int64"), batch_size=samples)


def fast(probe, batch):
    return probe.measure(batch, cotangents=("loss",), is_exact=False)


def num_operations(function):
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counting(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.found = Counter()

        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            self.found[str(operation)] += 1
            return operation(*args, **(kwargs or {}))

    with Counting() as counting:
        function()
    return counting.found


def num_extra_operations(depth, normal):
    """Operations of a repeated probe that a bare pass does not have."""
    model, batch = dense_chain(depth), batch_of(normal)
    probe, bare = Probe(model), bare_pass(model, batch)
    probe.measure(batch)
    fast(probe, batch)
    return num_operations(lambda: fast(probe, batch)).total() - num_operations(bare).total()


def test_number_of_operations_of_a_repeated_probe(normal):
    extra = num_extra_operations(30, normal) - num_extra_operations(10, normal)
    # Each layer has two signals and two weights.
    assert extra / 20 <= 2 * OF_SIGNAL + 2 * OF_WEIGHT


def test_weights_are_not_copied(normal):
    model, batch = dense_chain(3), batch_of(normal)
    probe = Probe(model)
    probe.measure(batch)
    assert not num_operations(lambda: capture_objects(model)())


class OwnGradient(LAYERS.Layer):
    """Differentiates in its `call`, back through the taps of the layer inside."""

    def __init__(self):
        super().__init__()
        self.inner = LAYERS.Dense(16, "tanh")

    def build(self, shape):
        self.inner.build(shape)

    def call(self, x):
        import torch

        y = self.inner(x)
        (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return y + slope

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


def convolutions():
    return [
        keras.Input((12, 12, 3)),
        LAYERS.Conv2D(8, 3, activation="relu"),
        LAYERS.MaxPooling2D(),
        LAYERS.BatchNormalization(),
        LAYERS.Flatten(),
        LAYERS.Dense(4),
    ]


def frozen():
    hidden = [LAYERS.Dense(16, "relu", trainable=False), LAYERS.Dense(16, "relu")]
    return [keras.Input((6,)), *hidden, LAYERS.Dense(4)]


def differentiating():
    return [keras.Input((6,)), LAYERS.Dense(16, "relu"), OwnGradient(), LAYERS.Dense(4)]


@pytest.mark.parametrize("parts", [convolutions, frozen, differentiating])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "float64"])
def test_repeated_probe_has_the_second_moments_of_the_exact_one(normal, parts, policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = keras.Sequential(parts())
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile("sgd", "mse")
    batch = take_batch(normal(4, *model.input_shape[1:]), normal(4, 4), batch_size=4)
    probe = Probe(model)
    exact, repeated = (
        probe.measure(batch, is_exact=is_exact).measurement for is_exact in (True, False)
    )
    # The sample of a tensor of up to 6,144 elements is the tensor: the mean agrees too.
    for moment in (SECOND_MOMENT, MEAN):
        found, expected = repeated.activations[..., moment], exact.activations[..., moment]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for name in ("loss_gradients", "random_gradients"):
        found, expected = (getattr(each, name)[..., SECOND_MOMENT] for each in (repeated, exact))
        assert np.isfinite(expected).any()
        np.testing.assert_allclose(found, expected, rtol=1e-4)
