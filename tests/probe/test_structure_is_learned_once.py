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
