"""Verdicts on where weights come from, on real models."""

import keras
import numpy as np
import pytest
from keras import initializers, layers

import keras_initcheck as ic
from keras_initcheck.initializers import ForActivation
from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.probe import Probe


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


def mlp(initializer="glorot_uniform", use_bias=True, width=64):
    """Three layers; an initializer is given as a name or a config, so that each draws anew."""
    make = initializers.get if isinstance(initializer, str) else lambda given: given()
    hidden = [
        layers.Dense(
            width,
            "relu",
            use_bias=use_bias,
            kernel_initializer=make(initializer),
            name=f"hidden_{number}",
        )
        for number in range(3)
    ]
    return keras.Sequential([keras.Input((64,)), *hidden, layers.Dense(10, name="head")])


def draws(model, **options):
    found = ic.check(model, **options).profile.weights
    return {weight.name: weight.draw for weight in found}


def verdicts(model):
    return {name: draw.verdict for name, draw in draws(model).items()}


def train(model, steps=30):
    model.compile(keras.optimizers.SGD(0.1), "mse")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 64)), rng.normal(size=(64, 10))
    for _ in range(steps):
        model.train_on_batch(x.astype("float32"), y.astype("float32"))


INITIALIZERS = {
    "he_normal": "he_normal",
    "glorot_uniform": "glorot_uniform",
    "normal": lambda: initializers.RandomNormal(stddev=0.1),
    "truncated": lambda: initializers.TruncatedNormal(stddev=0.1),
    "orthogonal": lambda: initializers.Orthogonal(1.4),
    "identity": lambda: initializers.Identity(0.5),
    "zeros": "zeros",
    "ours": lambda: ForActivation("relu"),
    "our orthogonal": lambda: ForActivation("relu", distribution="orthogonal"),
}


@pytest.mark.parametrize("name", INITIALIZERS)
def test_weights_as_drawn_are_fresh(name):
    assert set(verdicts(mlp(INITIALIZERS[name])).values()) == {"fresh"}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["he_normal", "glorot_uniform", "normal"])
def test_weights_drawn_in_few_bits_are_fresh(name, dtype):
    keras.config.set_dtype_policy(dtype)
    try:
        assert set(verdicts(mlp(INITIALIZERS[name], width=256)).values()) == {"fresh"}
    finally:
        keras.config.set_dtype_policy("float32")


def test_layers_of_every_kind_are_fresh():
    image = x = keras.Input((12, 12, 3))
    x = layers.Conv2D(16, 3, activation="relu")(x)
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(3)(x))
    x = layers.PReLU()(layers.SeparableConv2D(8, 3)(x))
    x = layers.GlobalAveragePooling2D()(layers.Conv2DTranspose(8, 3)(x))
    tokens = t = keras.Input((6,), dtype="int32")
    t = layers.Embedding(50, 16)(t)
    t = layers.LayerNormalization()(t + layers.MultiHeadAttention(2, 8)(t, t))
    t = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(t)
    t = layers.TimeDistributed(layers.Dense(8))(t)
    t = layers.GRU(8)(layers.EinsumDense("abc,cd->abd", output_shape=(None, 8))(t))
    found = verdicts(keras.Model([image, tokens], layers.Dense(2)(layers.Concatenate()([x, t]))))
    assert len(found) == 39
    assert set(found.values()) == {"fresh"}


def test_unknown_initializer_has_no_verdict():
    model = mlp(lambda: lambda shape, dtype=None: keras.ops.ones(shape, dtype) / 8)
    assert draws(model)["hidden_0/kernel"].verdict == "unknown"


@pytest.mark.parametrize(
    ("make", "verdict", "words"),
    [
        (lambda rng, old: rng.normal(size=old.shape), "another draw", "N(0, "),
        (lambda rng, old: 3 * old, "another draw", "U(-"),
        (lambda rng, old: np.zeros_like(old), "constant", "zeros"),
        (lambda rng, old: rng.standard_t(2, size=old.shape), "loaded or trained", "mean 0, std "),
    ],
    ids=["N(0,1)", "three times as large", "zeros", "heavy tails"],
)
def test_overwritten_kernel(make, verdict, words):
    model = mlp()
    kernel = model.get_layer("hidden_1").kernel
    kernel.assign(make(np.random.default_rng(0), to_numpy(kernel)))
    found = draws(model)
    draw = found.pop("hidden_1/kernel")
    assert (draw.verdict, draw.promised.words) == (verdict, "U(-0.217, 0.217)")
    assert draw.found.words.startswith(words)
    assert {each.verdict for each in found.values()} == {"fresh"}


def test_scaled_orthogonal_kernel():
    model = mlp("orthogonal")
    kernel = model.get_layer("hidden_1").kernel
    kernel.assign(3 * to_numpy(kernel))
    draw = draws(model)["hidden_1/kernel"]
    assert (draw.verdict, draw.found.words) == ("another draw", "orthogonal × 3")


def test_independent_numbers_are_no_orthogonal_matrix():
    model = mlp("orthogonal")
    kernel = model.get_layer("hidden_1").kernel
    kernel.assign(np.random.default_rng(0).normal(size=(64, 64)) / 8)
    assert draws(model)["hidden_1/kernel"].verdict == "another draw"


def test_numbers_drawn_twice():
    same = initializers.HeNormal(seed=1)
    found = verdicts(mlp(lambda: same))
    assert {name for name, each in found.items() if each == "drawn twice"} == {
        f"hidden_{number}/kernel" for number in range(3)
    }


def test_numbers_drawn_twice_in_another_shape():
    model = mlp()
    small = layers.Dense(4, kernel_initializer=initializers.RandomNormal(seed=1))
    wide = layers.EinsumDense(
        "ab,bcd->acd", output_shape=(2, 2), kernel_initializer=initializers.RandomNormal(seed=1)
    )
    x = model.inputs[0]
    model = keras.Model(x, [small(x), wide(x)])
    assert [*verdicts(model).values()].count("drawn twice") == 2


@pytest.mark.parametrize("has_steps", [True, False], ids=["trained", "loaded"])
def test_trained_weights(has_steps):
    model = mlp()
    train(model)
    if not has_steps:
        other = mlp()
        other.set_weights(model.get_weights())
        model = other
    assert set(verdicts(model).values()) == {"loaded or trained"}


def test_layer_that_was_not_loaded_is_fresh():
    model, other = mlp(), mlp()
    train(model)
    for name in ("hidden_1", "hidden_2", "head"):
        other.get_layer(name).set_weights(model.get_layer(name).get_weights())
    found = verdicts(other)
    assert (found.pop("hidden_0/kernel"), found.pop("hidden_0/bias")) == ("fresh", "fresh")
    assert set(found.values()) == {"loaded or trained"}


def test_load_that_leaves_out_a_layer_is_reported(tmp_path):
    """A stem with another number of inputs does not fit the file."""

    def network(num_inputs):
        hidden = [layers.Dense(64, "relu", name=f"hidden_{number}") for number in range(3)]
        return keras.Sequential(
            [keras.Input((num_inputs,)), *hidden, layers.Dense(10, name="head")]
        )

    trained, other = network(64), network(48)
    train(trained)
    trained.save_weights(tmp_path / "net.weights.h5")
    with pytest.warns(UserWarning):
        other.load_weights(tmp_path / "net.weights.h5", skip_mismatch=True)
    (found,) = [each for each in ic.check(other).findings if each.code == "IC109"]
    assert "1 of 4 kernels is still as drawn" in found.message
    assert found.culprits == ("hidden_0",)


def test_bias_that_was_set_to_ones():
    model = mlp()
    model.get_layer("hidden_1").bias.assign(np.ones(64))
    draw = draws(model)["hidden_1/bias"]
    assert (draw.verdict, draw.found.words) == ("constant", "ones")
    assert draws(model)["hidden_1/kernel"].verdict == "fresh"


def test_nan_has_no_verdict():
    model = mlp()
    model.get_layer("hidden_1").kernel.assign(np.full((64, 64), np.nan))
    assert draws(model)["hidden_1/kernel"].verdict == "unknown"


def test_repeated_probe_does_not_compare():
    batch = take_batch(np.ones((8, 64), "float32"))
    profile = Probe(mlp()).measure(batch, is_exact=False)
    assert profile.measurement.weight_draws == ()
    assert {weight.draw for weight in profile.weights} == {None}


def test_first_rows_stand_for_a_very_large_weight(monkeypatch):
    monkeypatch.setattr("keras_initcheck.probe.profile.drawn_values.MOST_COPIED", 1000)
    assert set(verdicts(mlp()).values()) == {"fresh"}
