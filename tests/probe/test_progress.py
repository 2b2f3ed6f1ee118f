"""A probe names each of its phases as it begins, and counts the layers that a pass has called."""

import keras
import numpy as np

from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import Probe


def test_phases_of_a_check(seeded_keras):
    phases, counts = [], []

    def note(phase, num_done=None):
        phases.append(phase)
        counts.append(num_done)

    class Noting(keras.layers.Layer):
        def call(self, x):
            if counts and counts[-1] is not None:
                seen.append(counts[-1]())
            return x

    seen = []
    model = keras.Sequential([keras.layers.Dense(3), Noting(), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    x = np.ones((4, 3), "float32")
    Probe(model, progress=note).measure(take_batch(x, x), with_first_step=True)
    assert phases == [
        "building the model",
        "running the pass",
        "predicting, and looking at the draws of the weights",
        "making the first step, and taking it back",
    ]
    assert 2 in seen and counts[1]() == 0
