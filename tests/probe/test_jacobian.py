"""The spectrum of the Jacobian against numpy's SVD of the exact one, on the backend that runs."""

import math

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import Probe
from keras_initcheck.records.errors import ProbeError

LAYERS = keras.layers
FLOAT32 = 1e-4
"""Relative error of a singular value in float32: three products of at most 48 terms, forward and
back, and a square root.
"""


@pytest.fixture
def net(normal):
    """12 → 16 ReLU → 8 tanh → 5 softmax, and its kernels."""
    model = keras.Sequential(
        [
            keras.Input((12,)),
            LAYERS.Dense(16, "relu"),
            LAYERS.Dense(8, "tanh"),
            LAYERS.Dense(5, "softmax"),
        ]
    )
    kernels = [
        normal(*shape, seed=seed, scale=1 / 3)
        for seed, shape in enumerate([(12, 16), (16, 8), (8, 5)])
    ]
    model.set_weights(
        [part for kernel in kernels for part in (kernel, np.zeros(kernel.shape[1], "float32"))]
    )
    return model, [kernel.astype("float64") for kernel in kernels]


def singular_values(kernels, x):
    """Of all samples' Jacobians, to the logits."""
    first, second, third = kernels
    found = []
    for sample in x.astype("float64"):
        z = sample @ first
        slope = 1.0 - np.tanh(np.maximum(z, 0.0) @ second) ** 2
        found.append(
            np.linalg.svd((third.T * slope) @ (second.T * (z > 0.0)) @ first.T, compute_uv=False)
        )
    return np.concatenate(found)


def measured(model, x):
    return Probe(model).spectrum(take_batch(x, batch_size=1024))


def test_both_numbers_are_those_of_the_exact_jacobian(net, normal):
    model, kernels = net
    x = normal(4, 12)
    exact = singular_values(kernels, x)
    found = measured(model, x)
    assert (found.num_inputs, found.num_outputs, found.num_vectors, found.note) == (
        48,
        20,
        16,
        None,
    )
    assert found.largest == pytest.approx(
        exact.max(), rel=FLOAT32
    )  # twenty products span all twenty outputs
    true_error = (
        math.sqrt(2.0 * np.sum(exact**4) / 16) / 20
    )  # Var |Jᵀ u|² = 2 sum s⁴, over 16 vectors
    assert found.mean_square == pytest.approx(np.mean(exact**2), abs=3 * true_error)
    assert found.standard_error == pytest.approx(
        true_error, rel=0.55
    )  # three standard deviations of one from 15 degrees of freedom


def test_iterations_that_do_not_span_everything_say_how_close_they_are(net, normal):
    model, kernels = net
    x = normal(64, 12)
    exact = singular_values(kernels, x)
    found = measured(model, x)
    assert found.num_iterations == 20
    assert found.largest <= exact.max() * (1 + FLOAT32)
    assert np.abs(exact - found.largest).min() <= found.largest_error + FLOAT32 * exact.max()
    assert (
        found.largest > 0.9 * exact.max()
    )  # Lanczos' bound for 320 outputs in 20 products is 2%, on the square


def test_linear_convolution_is_its_matrix(normal):
    model = keras.Sequential([keras.Input((5, 2)), LAYERS.Conv1D(3, 2, use_bias=False)])
    kernel = normal(2, 2, 3)
    model.set_weights([kernel])
    matrix = np.zeros((4, 3, 5, 2))
    for position in range(4):
        matrix[position, :, position : position + 2] = kernel.transpose(2, 0, 1)
    exact = np.linalg.svd(matrix.reshape(12, 10), compute_uv=False)
    found = measured(model, normal(1, 5, 2))
    assert (found.num_inputs, found.num_outputs) == (10, 12)
    assert found.largest == pytest.approx(exact.max(), rel=FLOAT32)
    assert found.mean_square == pytest.approx(
        np.mean(exact**2), abs=3 * math.sqrt(2.0 * np.sum(exact**4) / 16) / 10
    )


def test_model_is_bitwise_unchanged_and_the_numbers_repeat(normal):
    model = keras.Sequential(
        [
            keras.Input((6,)),
            LAYERS.Dense(8, "relu"),
            LAYERS.BatchNormalization(),
            LAYERS.Dropout(0.5),
            LAYERS.Dense(3),
        ]
    )
    before = [
        np.asarray(keras.ops.convert_to_numpy(variable.value)).copy()
        for variable in model.variables
    ]
    attributes = [dict(layer.__dict__) for layer in model.layers]
    first, second = measured(model, normal(16, 6)), measured(model, normal(16, 6))
    assert first == second
    after = [keras.ops.convert_to_numpy(variable.value) for variable in model.variables]
    assert all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))
    assert [dict(layer.__dict__) for layer in model.layers] == attributes


def test_inputs_that_are_not_floating_point_are_held(normal):
    tokens, numbers = (
        keras.Input((3,), dtype="int32", name="tokens"),
        keras.Input((4,), name="numbers"),
    )
    mixed = LAYERS.Concatenate()([LAYERS.Flatten()(LAYERS.Embedding(5, 2)(tokens)), numbers])
    model = keras.Model(
        {"tokens": tokens, "numbers": numbers}, LAYERS.Dense(2, use_bias=False)(mixed)
    )
    kernel = normal(10, 2)
    model.layers[-1].set_weights([kernel])
    found = measured(model, {"tokens": np.zeros((1, 3), "int32"), "numbers": normal(1, 4)})
    assert (found.num_inputs, found.num_outputs) == (4, 2)
    assert found.largest == pytest.approx(
        np.linalg.svd(kernel[6:], compute_uv=False).max(), rel=FLOAT32
    )


def test_model_without_floating_point_inputs_is_refused():
    model = keras.Sequential([keras.Input((3,), dtype="int32"), LAYERS.Embedding(5, 2)])
    with pytest.raises(
        ProbeError,
        match=r"must be asked of a model with floating-point inputs\. Received: integers only",
    ):
        ic.check(model, np.zeros((2, 3), "int32"), jacobian_spectrum=True)


def test_operation_without_a_second_direction_costs_the_largest_at_most(normal):
    @keras.ops.custom_gradient
    def doubled(x):
        def backward(*args, upstream=None):
            return 2.0 * (args[0] if upstream is None else upstream)

        return 2.0 * x, backward

    class Doubling(LAYERS.Layer):
        def call(self, x):
            return doubled(x)

    model = keras.Sequential([keras.Input((4,)), LAYERS.Dense(4, use_bias=False), Doubling()])
    model.set_weights([np.eye(4, dtype="float32")])
    found = measured(model, normal(2, 4))
    assert found.mean_square == pytest.approx(4.0, abs=3 * math.sqrt(2.0 * 8 * 16 / 16) / 8)
    if (
        keras.backend.backend() == "jax"
    ):  # functions with a reverse rule of their own have no forward one there
        assert found.largest is None
        assert found.note.startswith("the largest singular value is not known: ")
    else:
        assert found.largest == pytest.approx(2.0, rel=FLOAT32)


def test_output_that_the_input_does_not_reach_has_no_singular_value_but_zero(normal):
    model = keras.Sequential(
        [keras.Input((4,)), LAYERS.Dense(4, kernel_initializer="zeros"), LAYERS.Dense(2)]
    )
    found = measured(model, normal(2, 4))
    assert (found.mean_square, found.standard_error, found.largest) == (0.0, 0.0, 0.0)


def test_report_has_it_where_it_was_asked_for(net, normal):
    model, _ = net
    report = ic.check(model, normal(4, 12), jacobian_spectrum=True)
    assert report.profile.spectrum == measured(model, normal(4, 12))
    assert ic.Report.from_json(report.to_json()) == report
    assert "Singular values from inputs to outputs: mean square" in str(report)
    assert ic.check(model, normal(4, 12)).profile.spectrum is None
