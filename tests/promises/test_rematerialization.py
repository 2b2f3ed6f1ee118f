"""Checkpoints, Keras' own and those in a layer's code: each layer is one site, with the numbers of
the model without them.
"""

import contextlib

import keras
import numpy as np
import pytest
from keras import layers

import keras_initcheck as ic
from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import Probe
from keras_initcheck.probe.tap.pass_record import LOSS
from keras_initcheck.records.errors import ProbeError

X = np.random.default_rng(0).standard_normal((16, 6)).astype("float32")
Y = np.random.default_rng(1).standard_normal((16, 3)).astype("float32")

MODES = {
    "full": {"mode": "full"},
    "activations": {"mode": "activations"},
    "larger_than": {"mode": "larger_than", "output_size_threshold": 1},
    "list_of_layers": {"mode": "list_of_layers", "layer_names": ["first", "second"]},
}
needs_scope = pytest.mark.skipif(
    not hasattr(keras, "RematScope"), reason="this Keras has no RematScope"
)


class Block(layers.Layer):
    """A dense layer, a normalization and a dropout in a layer that calls them as `wrap` says."""

    def __init__(self, wrap, **options):
        super().__init__(**options)
        self.parts = [
            layers.Dense(6, "relu", name="dense"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.5, seed=3, name="drop"),
        ]
        self.wrap = wrap

    def build(self, input_shape):
        for part in self.parts:
            part.build(input_shape)

    def call(self, x, training=None):
        def run(x):
            for part in self.parts[1:]:
                x = part(x, training=training)
            return x

        return self.wrap(run)(self.parts[0](x))


def network(wrap=None, scope=contextlib.nullcontext, **options):
    """Layers that are made inside of `scope()`, one of them shared; with `wrap`, a block too, that
    wraps what it runs.
    """
    keras.utils.set_random_seed(0)
    with scope():
        shared = layers.Dense(6, "tanh", name="second")
        parts = [
            layers.Dense(6, "relu", name="first"),
            shared,
            shared,
            *([Block(wrap, name="block")] if wrap else []),
        ]
        head = layers.Dense(3, name="head")
    model = keras.Sequential([keras.Input((6,)), *parts, head], name="network")
    model.compile(keras.optimizers.Adam(0.01), "mse", **options)
    return model


def rematerialized(mode, **options):
    return network(scope=lambda: keras.RematScope(**MODES[mode]), **options)


def as_it_is(function):
    return function


def numbers(profile):
    """Second moments of activations and gradients at every place, and of every weight's
    gradient.
    """
    found = {}
    for site in profile.sites:
        places = {
            "signal": site.activations,
            "loss": site.loss_gradients,
            "random": site.random_gradients,
        }
        for name, place in places.items():
            for letter in "xzh":
                moments = getattr(place, letter) if place is not None else None
                if moments is not None:
                    found[site.name, name, letter] = moments.second_moment
    found.update(
        {
            (weight.name, "gradient"): weight.gradient_norm
            for weight in profile.weights
            if weight.gradient_norm is not None
        }
    )
    return found


def assert_same_numbers(profile, expected):
    found, expected = numbers(profile), numbers(expected)
    assert found.keys() == expected.keys()
    assert {
        name: value
        for name, value in found.items()
        if value != pytest.approx(expected[name], rel=1e-5)
    } == {}


def values(model):
    return [
        np.asarray(keras.ops.convert_to_numpy(variable))
        for variable in [*model.variables, *model.optimizer.variables]
    ]


def assert_same_values(model, other):
    assert all(np.array_equal(a, b) for a, b in zip(values(model), values(other), strict=True))


@needs_scope
@pytest.mark.parametrize(
    "mode",
    [
        "full",
        *(
            pytest.param(mode, marks=pytest.mark.backend("torch"))
            for mode in MODES
            if mode != "full"
        ),
    ],
)
def test_scope_changes_no_number(mode):
    model = rematerialized(mode)
    report = ic.check(model, X, Y)
    assert_same_numbers(report.profile, ic.check(network(), X, Y).profile)
    assert [site.name for site in report.profile.sites][:3] == ["first", "second", "second#2"]
    assert report.profile.not_probed == ()
    assert_same_values(model, network())
    assert not any("rematerialized_call" in layer.__dict__ for layer in model.layers)


@needs_scope
def test_compiled_probe_of_a_scope_changes_no_number():
    options = {"cotangents": (LOSS,), "is_exact": False}
    profiles = [
        Probe(model).measure(take_batch(X, Y), **options)
        for model in (rematerialized("full"), network())
    ]
    assert_same_numbers(*profiles)


@needs_scope
def test_training_of_a_scope_is_bitwise_the_same_with_the_callback():
    is_eager = (
        keras.backend.backend() == "tensorflow"
    )  # Keras itself traces no rematerialized layer there
    models = [rematerialized("full", run_eagerly=is_eager) for _ in range(2)]
    watcher = ic.InitCheck(None, on_drift="ignore")
    for model, callbacks in zip(models, ([], [watcher]), strict=True):
        keras.utils.set_random_seed(1)
        model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0, callbacks=callbacks)
    assert_same_values(*models)
    assert watcher.report.profile.step == 4


def checkpoint(function):
    """What a user writes around a part of a layer's call."""
    backend = keras.backend.backend()
    if backend == "torch":
        import torch.utils.checkpoint

        return lambda x: torch.utils.checkpoint.checkpoint(function, x, use_reentrant=False)
    if backend == "jax":
        import jax

        return jax.checkpoint(function)
    import tensorflow as tf

    return tf.recompute_grad(function)


@pytest.mark.backend("torch")
def test_layer_that_torch_runs_twice_is_one_site():
    model, plain = network(checkpoint), network(as_it_is)
    report = ic.check(model, X, Y)
    assert_same_numbers(report.profile, ic.check(plain, X, Y).profile)
    assert report.profile.not_probed == ()
    assert_same_values(model, plain)  # the second run moves no average and no seed either


@pytest.mark.backend("tensorflow", "jax")
@pytest.mark.parametrize(
    "is_exact",
    [True, pytest.param(False, marks=pytest.mark.backend("tensorflow"))],
    ids=["exact", "compiled"],
)
def test_layers_inside_a_users_checkpoint_are_named_and_the_others_right(is_exact):
    model, plain = network(checkpoint), network(as_it_is)
    profile, expected = (
        Probe(each).measure(take_batch(X, Y), is_exact=is_exact) for each in (model, plain)
    )
    inside = {
        "block/norm": "called inside a traced loop or a checkpoint",
        "block/drop": "called inside a traced loop or a checkpoint",
    }
    assert dict(profile.not_probed).items() >= inside.items()
    found, right = numbers(profile), numbers(expected)
    outside = [
        key
        for key in found
        if key[0].startswith(("first", "second", "head", "block/dense")) and key in right
    ]
    assert len(outside) > 20
    assert {
        key: found[key] for key in outside if found[key] != pytest.approx(right[key], rel=1e-5)
    } == {}
    assert_same_values(model, plain)


@pytest.mark.backend("torch")
def test_spectrum_through_a_users_checkpoint_is_that_of_the_model_without():
    model, plain = network(checkpoint), network(as_it_is)
    found, expected = (
        ic.check(each, X, jacobian_spectrum=True).profile.spectrum for each in (model, plain)
    )
    assert found.mean_square == pytest.approx(expected.mean_square, rel=1e-5)
    assert found.largest == pytest.approx(expected.largest, rel=1e-4)
    assert_same_values(model, plain)


@pytest.mark.backend("torch")
@pytest.mark.filterwarnings("ignore:.*None of the inputs have requires_grad:UserWarning")
def test_reentrant_checkpoint_is_told():
    import torch.utils.checkpoint

    def reentrant(function):
        return lambda x: torch.utils.checkpoint.checkpoint(function, x, use_reentrant=True)

    with pytest.raises(
        ProbeError, match=r"`torch\.utils.checkpoint` must be called with use_reentrant=False"
    ):
        ic.check(network(reentrant), X, Y)


class Forgetful(layers.Layer):
    """Holds a layer that it never calls, so that Keras takes every model with it for unbuilt."""

    def __init__(self):
        super().__init__(name="forgetful")
        self.unused = layers.Dense(2)

    def build(self, input_shape):
        pass

    def call(self, x):
        return 2.0 * x


@needs_scope
def test_model_that_keras_takes_for_unbuilt():
    with keras.RematScope(mode="full"):
        model = keras.Sequential(
            [keras.Input((6,)), layers.Dense(6, "relu"), Forgetful(), layers.Dense(3)]
        )
    assert Probe(model).measure(take_batch(X)).site("forgetful").activations.h.second_moment > 0
