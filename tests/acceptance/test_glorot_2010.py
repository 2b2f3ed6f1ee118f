"""Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural
networks", sections 4.2 and 4.3.

Five hidden tanh layers of 1000 units on inputs of standard deviation 0.5. The expected numbers come
from an independent simulation of the same experiment (batch 300); the paper shows them as curves in
its figures 6 and 7.
"""

import math

import keras
import numpy as np
import pytest

import keras_initcheck as ic


def five_tanh_layers(make_initializer):
    hidden = [
        keras.layers.Dense(
            1000, "tanh", kernel_initializer=make_initializer(seed), name=f"tanh{seed}"
        )
        for seed in range(1, 6)
    ]
    head = keras.layers.Dense(10, "softmax", kernel_initializer=make_initializer(6))
    model = keras.Sequential([keras.Input((1000,)), *hidden, head])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def standard(seed):
    return keras.initializers.RandomUniform(-1 / math.sqrt(1000), 1 / math.sqrt(1000), seed=seed)


def normalized(seed):
    return keras.initializers.GlorotUniform(seed=seed)


@pytest.fixture(scope="module", params=[standard, normalized], ids=["standard", "normalized"])
def measured(request):
    generator = np.random.default_rng(0)
    x = 0.5 * generator.standard_normal((300, 1000))
    profile = ic.check(
        five_tanh_layers(request.param), x, generator.integers(0, 10, 300), batch_size=300
    ).profile
    return request.param.__name__, profile


def hidden(profile):
    return [profile.site(f"tanh{position}") for position in range(1, 6)]


def test_activations_shrink_as_in_figure_6(measured):
    name, profile = measured
    expected = {
        "standard": (0.269, 0.152, 0.087, 0.050, 0.029),
        "normalized": (0.417, 0.363, 0.325, 0.297, 0.274),
    }[name]
    stds = [math.sqrt(site.activations.h.variance) for site in hidden(profile)]
    # two draws of the weights: 1000 units a layer give each factor 1/sqrt(500) of noise in the
    # variance, and five of them multiply
    assert stds == pytest.approx(expected, rel=0.05)


def test_back_propagated_gradients_shrink_as_in_figure_7(measured):
    name, profile = measured
    expected = {"standard": 0.0103, "normalized": 0.39}[name]
    first, last = (
        site.loss_gradients.h.variance for site in (hidden(profile)[0], hidden(profile)[-1])
    )
    # four factors with a relative noise of sqrt(2/1000) each from the weights, and as much from the
    # units' saturation; twice that
    assert first / last == pytest.approx(expected, rel=0.25)


def test_weight_gradients_are_alike_across_layers(measured):
    _, profile = measured
    norms = [profile.kernels(f"tanh{position}")[0].gradient_norm for position in range(1, 6)]
    # equation 14: what the signal loses forward, the gradient loses backward. 5.07e-5..5.15e-5 and
    # 6.86e-4..7.12e-4 in the simulation.
    assert max(norms) / min(norms) < 1.15


def test_variance_of_the_weights_is_the_paper_s(measured):
    name, profile = measured
    kernel = profile.kernels("tanh3")[0]
    # one million uniform draws: 0.1 per cent of noise
    assert kernel.fan_in * kernel.moments.second_moment == pytest.approx(
        {"standard": 1 / 3, "normalized": 1.0}[name], rel=0.005
    )
