"""Sparse data of SciPy and of the framework: the numbers of the dense data, or a sentence that says
what to pass.
"""

import keras
import numpy as np
import pytest
from keras import layers

import keras_initcheck as ic
from keras_initcheck.records.errors import DataError

RANDOM = np.random.default_rng(0)
DENSE = np.where(RANDOM.random((40, 8)) < 0.3, RANDOM.random((40, 8)), 0.0).astype("float32")
Y = RANDOM.standard_normal((40, 3)).astype("float32")
KINDS = ["csr_matrix", "coo_array", "csc_matrix", "framework"]


def sparse(kind):
    if kind != "framework":
        return getattr(pytest.importorskip("scipy.sparse"), kind)(DENSE)
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return torch.tensor(DENSE).to_sparse()
    if backend == "jax":
        from jax.experimental.sparse import BCOO

        return BCOO.fromdense(DENSE)
    import tensorflow as tf

    return tf.sparse.from_dense(DENSE)


def network():
    keras.utils.set_random_seed(0)
    is_sparse = keras.backend.backend() != "torch"
    model = keras.Sequential(
        [
            keras.Input((8,), sparse=is_sparse),
            layers.Dense(8, "relu", name="first"),
            layers.Dense(3, name="head"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.01), "mse", run_eagerly=keras.backend.backend() == "tensorflow"
    )
    return model


def numbers(profile):
    places = [(site.activations.h, site.loss_gradients.h) for site in profile.sites]
    return [profile.loss, *(moments.second_moment for pair in places for moments in pair)]


@pytest.mark.parametrize("kind", KINDS)
def test_sparse_data_give_the_numbers_of_dense_data(kind):
    if kind == "framework" and keras.backend.backend() == "torch":
        pytest.skip("Keras takes none on torch")
    profile = ic.check(network(), sparse(kind), Y).profile
    assert numbers(profile) == pytest.approx(
        numbers(ic.check(network(), DENSE, Y).profile), rel=1e-5
    )
    assert profile.batch_size == 32
    assert profile.not_probed == ()  # which would name predictions that failed, too


@pytest.mark.backend("torch")
def test_sparse_tensor_of_torch_is_told_to_be_made_dense():
    with pytest.raises(
        DataError,
        match=(
            r"must be given dense tensors on torch, in `fit` too\. .* torch\.sparse_coo\. Pass"
            r" x\.to_dense\(\)"
        ),
    ):
        ic.check(network(), sparse("framework"), Y)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_fit_with_sparse_data_is_probed_and_stays_the_same():
    models = [network() for _ in range(2)]
    watcher = ic.InitCheck(None, on_drift="ignore")
    for model, callbacks in zip(models, ([], [watcher]), strict=True):
        model.fit(
            sparse("csr_matrix"), Y, batch_size=32, shuffle=False, verbose=0, callbacks=callbacks
        )
    assert all(
        np.array_equal(a, b)
        for a, b in zip(models[0].get_weights(), models[1].get_weights(), strict=True)
    )
    assert watcher.first_report.profile.loss == pytest.approx(
        ic.check(network(), DENSE, Y).profile.loss, rel=1e-5
    )
