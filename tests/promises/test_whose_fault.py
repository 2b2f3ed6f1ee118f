"""A failure is told as the model's only where the model has it without a probe, too; the rest is
called a fault of this package.
"""

import keras
import numpy as np
import pytest
from keras import layers

import keras_initcheck as ic
from keras_initcheck.probe.data import tabular_inputs
from keras_initcheck.probe.profile import structure_builder
from keras_initcheck.probe.tap import outputs_and_labels
from keras_initcheck.probe.tap.recorder import Recorder
from keras_initcheck.records.errors import DataError, ProbeError
from keras_initcheck.theory.propagation.graph import Network

X = np.random.default_rng(0).standard_normal((8, 6)).astype("float32")
Y = np.random.default_rng(1).standard_normal((8, 3)).astype("float32")


class Switched(layers.Layer):
    """Hands its input on until `is_on`, so that the model can be made."""

    def __init__(self, action, **options):
        super().__init__(**options)
        self.action = action
        self.is_on = False

    def call(self, x):
        return self.action(x) if self.is_on else x


class Block(layers.Layer):
    """A layer that calls another one."""

    def __init__(self, inner, **options):
        super().__init__(**options)
        self.inner = inner

    def call(self, x):
        return self.inner(x)


def boom(x):
    raise RuntimeError("boom")


def network(*first, loss="mse", **options):
    """The given layers and a head, compiled; switched layers are on."""
    model = keras.Sequential(
        [keras.Input((6,)), *first, layers.Dense(3, name="head")], name="network"
    )
    model.compile("sgd", loss, run_eagerly=True, **options)
    for layer in first:
        for each in (layer, getattr(layer, "inner", None)):
            if isinstance(each, Switched):
                each.is_on = True
    return model


def attributes(model):
    return [set(layer.__dict__) for layer in model.layers]


def refuse(*arguments, **options):
    raise IndexError("nobody thought of this")


def test_fault_of_ours_names_the_layer_and_is_to_be_reported(monkeypatch):
    original = Recorder._close

    def close(self, site, *arguments):
        return refuse() if site.name == "head" else original(self, site, *arguments)

    model = network()
    before = attributes(model)
    monkeypatch.setattr(Recorder, "_close", close)
    with pytest.raises(
        ProbeError,
        match=(
            r"keras_initcheck failed on layer 'head', .*: IndexError: nobody .*; please report it"
        ),
    ) as caught:
        ic.check(model, X, Y)
    assert "nobody thought of this" in str(caught.value.__cause__)
    assert attributes(model) == before


@pytest.mark.parametrize(
    ("module", "name", "work"),
    [
        (structure_builder, "_site", "the statistics of layer 'head'"),
        (outputs_and_labels, "_output_stats", "the labels"),
        (tabular_inputs, "columns", "the columns of the inputs"),
    ],
)
def test_fault_of_ours_after_the_pass_says_at_what(monkeypatch, module, name, work):
    monkeypatch.setattr(module, name, refuse)
    with pytest.raises(
        ProbeError,
        match=f"keras_initcheck failed at {work}: IndexError: nobody .*; please report it",
    ):
        ic.check(network(), X, Y)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_fault_of_ours_in_a_fit_steps_aside_and_is_to_be_reported(monkeypatch):
    monkeypatch.setattr(Recorder, "_close", refuse)
    with pytest.warns(
        ic.InitCheckWarning,
        match=r"steps aside .* keras_initcheck failed on layer 'head'.* please report it",
    ):
        network().fit(X, Y, verbose=0, callbacks=[ic.InitCheck(None)])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Switched(boom, name="bad"),
            r"its layer 'bad' \(Switched\) raises RuntimeError: boom",
        ),
        (
            lambda: Block(Switched(boom, name="bad"), name="block"),
            r"its layer 'block/bad' \(Switched\) raises RuntimeError: boom",
        ),
        (
            lambda: Switched(lambda x: None, name="bad"),
            r"its layer 'bad' \(Switched\) returned None, which is no tensor",
        ),
        (
            lambda: Switched(lambda x: "text", name="bad"),
            r"its layer 'bad' \(Switched\) returned str, which is no tensor",
        ),
    ],
    ids=["raises", "nested", "None", "text"],
)
def test_layer_that_fails_by_itself_is_named(make, words):
    with pytest.raises(
        ProbeError,
        match=f"The model 'network' must run on the batch. Without keras_initcheck, too, .*{words}",
    ) as caught:
        ic.check(network(make()), X, Y)
    assert "please report" not in str(caught.value)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    "action",
    [lambda x: (x, 2 * x), lambda x: {"a": x, "b": "text"}],
    ids=["tuple", "dict with a text"],
)
def test_odd_outputs_of_the_last_layer_are_measured(action):
    layer = Switched(action, name="odd")
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3, name="first"), layer])
    layer.is_on = True
    assert [site.name for site in ic.check(model, X).profile.sites] == ["first", "odd"]


def test_inputs_that_keras_refuses_are_told_as_before():
    with pytest.raises(
        ProbeError,
        match=(
            r"The model 'network' must be given inputs like \(None, 6\) float32. Received: \(8, 5\)"
            r" float32. "
        ),
    ):
        ic.check(network(), X[:, :5], Y)


def test_missing_input_is_told_with_keys():
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    model = keras.Model({"a": a, "b": b}, layers.Dense(3)(layers.Add()([a, b])))
    with pytest.raises(
        ProbeError,
        match=(
            r"inputs like 'a': \(None, 6\) float32, 'b': .* Received: 'a': \(8, 6\) float32,"
            r" 'c': .*"
        ),
    ):
        ic.check(model, {"a": X, "c": X})


@pytest.mark.filterwarnings("ignore:.*looks like it has unbuilt state:UserWarning")
def test_key_error_of_a_model_is_told_without_quotes_of_quotes():
    class Keyed(keras.Model):
        def __init__(self):
            super().__init__(name="keyed")
            self.dense = layers.Dense(3)

        def call(self, inputs):
            return self.dense(inputs["image"])

    with pytest.raises(
        ProbeError,
        match=r"Keras can build from inputs like 'picture': \(8, 6\) float32, .* KeyError: image$",
    ):
        ic.check(Keyed(), {"picture": X})


@pytest.mark.backend("tensorflow", "torch")
def test_missing_gradient_is_the_models(seeded_keras):
    with pytest.raises(
        ProbeError,
        match=(
            r"The model 'network' must have a gradient. Without keras_initcheck, too, .*no way back"
        ),
    ):
        ic.check(network(layers.Dense(6), Switched(without_gradient)), X, Y)


def without_gradient(x):
    """The identity, whose gradient raises."""
    if keras.backend.backend() == "torch":
        import torch

        class Identity(torch.autograd.Function):
            @staticmethod
            def forward(ctx, tensor):
                return tensor.clone()

            @staticmethod
            def backward(ctx, upstream):
                raise RuntimeError("no way back")

        return Identity.apply(x)
    import tensorflow as tf

    def backward(upstream):
        raise RuntimeError("no way back")

    return tf.custom_gradient(lambda tensor: (tf.identity(tensor), backward))(x)


def test_keras_loss_blames_the_labels():
    with pytest.raises(
        DataError,
        match=(
            r"labels must fit the model's loss \('mse'\). Received: outputs \(8, 3\).*, labels"
            r" \(8, 2\)"
        ),
    ):
        ic.check(network(), X, Y[:, :2])


def test_weights_that_do_not_fit_are_shown():
    with pytest.raises(
        DataError, match=r"labels \(8, 3\) float32, sample weights \(8, 2\) float32\. "
    ):
        ic.check(network(), X, Y, sample_weight=np.ones((8, 2)))


def test_loss_of_the_users_own_is_blamed_itself():
    def broken_loss(y_true, y_pred):
        raise NameError("name 'undefined' is not defined")

    with pytest.raises(
        DataError,
        match=r"The model's loss \(broken_loss\) must take .* NameError: name 'undefined'",
    ):
        ic.check(network(loss=broken_loss), X, Y)


def test_compute_loss_of_the_users_own_is_blamed_itself():
    class Own(keras.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            raise RuntimeError("boom")

    model = Own([keras.Input((6,)), layers.Dense(3)], name="own")
    model.compile("sgd", "mse")
    with pytest.raises(
        ProbeError,
        match=(
            r"The model 'own' must have a loss. Its own `compute_loss` fails.* RuntimeError: boom"
        ),
    ):
        ic.check(model, X, Y)


def test_prediction_that_fails_is_noted_and_costs_nothing(monkeypatch, harmless_failures):
    monkeypatch.setattr(Network, "log_gradients", refuse)
    report = ic.check(network(), X, Y)
    assert report.profile.sites[0].activations.h is not None
    (note,) = [why for name, why in report.profile.not_probed if name == "head"]
    assert note.startswith(
        "its prediction failed (IndexError: nobody thought of this); please report it"
    )


def test_prediction_that_fails_is_an_error_in_tests(monkeypatch):
    monkeypatch.setattr(Network, "log_gradients", refuse)
    with pytest.raises(ProbeError, match="nobody thought of this"):
        ic.check(network(), X, Y)
