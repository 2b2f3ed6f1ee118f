"""The structure of a pass is one instance, with which its analysis and its description are kept."""

import keras
import numpy as np
import pytest

from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import Probe


@pytest.mark.parametrize("is_exact", [True, False], ids=["exact", "repeated"])
def test_structure_is_learned_once_for_a_pass(is_exact):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu")])
    probe, batch = Probe(model), take_batch(np.ones((2, 4), "float32"))
    first, second = (probe.measure(batch, is_exact=is_exact) for _ in range(2))
    assert second.structure is first.structure


class Alternating(keras.Model):
    """Calls one of two layers, the other one at the next call."""

    def __init__(self):
        super().__init__()
        self.branches = [keras.layers.Dense(3, name="left"), keras.layers.Dense(3, name="right")]
        self.is_right = False

    def call(self, x):
        return self.branches[self.is_right](x)


@pytest.mark.backend("torch")  # the others trace a repeated pass, in which the choice is fixed
def test_eager_pass_that_calls_another_layer_is_learned_again():
    model = Alternating()
    for branch in model.branches:
        branch.build((None, 4))
    probe, batch, called = Probe(model), take_batch(np.ones((2, 4), "float32")), []
    for model.is_right in (False, True, True, False):
        profile = probe.measure(batch, is_exact=False)
        called.append([site.name for site in profile.sites])
    assert called == [["left"], ["right"], ["right"], ["left"]]
