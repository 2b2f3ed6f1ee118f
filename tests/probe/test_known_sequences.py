"""Attention, recurrent layers and embeddings, against their definitions in float64 numpy."""

import math

import keras
import numpy as np
import pytest

from tests.support.by_hand import in_float64, mse_gradient, norm, q

LAYERS = keras.layers
ROW = (4, 5)
SEED = 3


def numeric_gradient(function, point, step=1e-5):
    """Central differences of a float64 function of one array."""
    gradient = np.zeros_like(point)
    for index in np.ndindex(point.shape):
        moved = np.zeros_like(point)
        moved[index] = step
        gradient[index] = (function(point + moved) - function(point - moved)) / (2 * step)
    return gradient


def softmax(scores):
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


NAMES = ("query", "key", "value", "attention_output")


@pytest.fixture(scope="module")
def attention(measure, normal, set_weights):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(ROW)
    model = keras.Model(inputs, LAYERS.MultiHeadAttention(2, 3, name="attention")(inputs, inputs))
    model.compile("sgd", "mse")
    set_weights(model, SEED)
    x, y = normal(2, *ROW, seed=1), normal(2, *ROW, seed=2)
    kernels = [
        dict(
            (weight.path.split("attention/", 1)[1], np.asarray(weight, "float64"))
            for weight in model.weights
        )
    ]
    return measure(model, x, y), kernels[0], *in_float64(x, y)


def project(x, weights, name):
    return np.einsum("btc,chd->bthd", x, weights[f"{name}/kernel"]) + weights[f"{name}/bias"]


def mixed(query, key, value):
    scores = np.einsum("bthd,bshd->bhts", query, key) / math.sqrt(3)
    return np.einsum("bhts,bshd->bthd", softmax(scores), value)


def output(mixed, weights):
    kernel = weights["attention_output/kernel"]
    return np.einsum("bthd,hdc->btc", mixed, kernel) + weights["attention_output/bias"]


def test_attention_signals(attention, assert_moments):
    profile, weights, x, _ = attention
    query, key, value = (project(x, weights, name) for name in NAMES[:3])
    weighted = mixed(query, key, value)
    hand = {
        "query": (x, query),
        "key": (x, key),
        "value": (x, value),
        "attention_output": (weighted, output(weighted, weights)),
    }
    for name, (received, made) in hand.items():
        site = profile.site(f"attention/{name}")
        assert_moments(site.activations.x, received)
        assert_moments(site.activations.h, made)


def test_attention_gradients(attention, assert_moments):
    profile, weights, x, y = attention

    def loss(query, key, value):
        return q(output(mixed(query, key, value), weights) - y)

    hand = [project(x, weights, name) for name in NAMES[:3]]
    for position, name in enumerate(NAMES[:3]):

        def of_one(tensor, position=position):
            return loss(*[tensor if position == other else hand[other] for other in range(3)])

        dh = numeric_gradient(of_one, hand[position])
        dx = np.einsum("bthd,chd->btc", dh, weights[f"{name}/kernel"])
        site = profile.site(f"attention/{name}")
        if (
            name == "key"
        ):  # a shift of all keys changes no score: the bias has no gradient, and the moments cancel
            assert site.loss_gradients.h.second_moment == pytest.approx(q(dh), rel=1e-4)
        else:
            assert_moments(site.loss_gradients.h, dh, rtol=2e-4)
        assert site.loss_gradients.x.second_moment == pytest.approx(q(dx), rel=2e-4)


def test_attention_fans_of_the_projections(attention):
    profile = attention[0]
    fans = {
        weight.name: (weight.fan_in, weight.fan_out)
        for weight in profile.weights
        if weight.role == "kernel"
    }
    expected = {f"attention/{name}/kernel": (5, 6) for name in NAMES[:3]} | {
        "attention/attention_output/kernel": (6, 5)
    }
    assert fans == expected


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def run_lstm(x, kernel, recurrent_kernel, bias):
    h = c = np.zeros((len(x), len(recurrent_kernel)))
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent_kernel + bias, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h


def run_gru(x, kernel, recurrent_kernel, bias):
    h = np.zeros((len(x), len(recurrent_kernel)))
    for t in range(x.shape[1]):
        xz, xr, xh = np.split(x[:, t] @ kernel + bias[0], 3, axis=1)
        hz, hr, hh = np.split(h @ recurrent_kernel + bias[1], 3, axis=1)
        update, reset = sigmoid(xz + hz), sigmoid(xr + hr)
        h = update * h + (1 - update) * np.tanh(xh + reset * hh)
    return h


@pytest.mark.parametrize(
    ("layer", "run", "gates"),
    [(LAYERS.LSTM, run_lstm, 4), (LAYERS.GRU, run_gru, 3)],
    ids=["lstm", "gru"],
)
def test_recurrent_layer_is_one_site(
    layer, run, gates, measure, normal, set_weights, assert_moments
):
    model = keras.Sequential([keras.Input(ROW), layer(3, name="recurrent")])
    model.compile("sgd", "mse")
    set_weights(model, SEED)
    x, y = normal(4, *ROW, seed=1), normal(4, 3, seed=2)
    profile = measure(model, x, y)
    x, y, *weights = in_float64(x, y, *model.get_weights())
    h = run(x, *weights)
    (site,) = profile.sites
    assert (site.kind, site.forward_ratio) == ("recurrent", None)
    assert_moments(site.activations.h, h)
    assert_moments(site.loss_gradients.h, mse_gradient(h, y))
    assert [weight.fan_in for weight in profile.weights[:2]] == [5, 3]
    assert [weight.fan_out for weight in profile.weights[:2]] == [3, 3]
    for position, weight in enumerate(profile.weights):

        def loss(value, position=position):
            return q(run(x, *weights[:position], value, *weights[position + 1 :]) - y)

        assert weight.gradient_norm == pytest.approx(
            norm(numeric_gradient(loss, weights[position])), rel=2e-4
        )


def test_embedding(measure, normal, set_weights, assert_moments):
    model = keras.Sequential(
        [keras.Input((3,), dtype="int32"), LAYERS.Embedding(7, 4, name="embedding")]
    )
    model.compile("sgd", "mse")
    set_weights(model, SEED)
    ids = np.array([[0, 1, 1], [5, 6, 0]])
    y = normal(2, 3, 4)
    profile = measure(model, ids, y)
    (table,) = in_float64(*model.get_weights())
    h = table[ids]
    dtable = np.zeros_like(table)
    np.add.at(dtable, ids, mse_gradient(h, y))
    (site,), (weight,) = profile.sites, profile.weights
    assert_moments(site.activations.h, h)
    assert_moments(site.loss_gradients.h, mse_gradient(h, y))
    assert (site.kind, weight.role, weight.fan_in) == ("embedding", "embedding", None)
    assert weight.gradient_norm == pytest.approx(norm(dtable), rel=1e-4)
    assert weight.gradient.share_zero == pytest.approx(3 / 7, rel=1e-6)
