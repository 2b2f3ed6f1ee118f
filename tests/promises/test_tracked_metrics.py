"""The compiled loss of several outputs makes a metric for each; those that a probe's pass made are
forgotten with it.
"""

import keras
import numpy as np

import keras_initcheck as ic


def tracked(model):
    """Identities of what the compiled loss takes for tracked: a stale one hides a later object at
    the same place.
    """
    return {name: set(ids) for name, ids in model._compile_loss._tracker.stored_ids.items()}


def test_check_leaves_no_identity_in_the_loss():
    inputs = keras.Input((6,))
    model = keras.Model(inputs, [keras.layers.Dense(3)(inputs), keras.layers.Dense(1)(inputs)])
    model.compile("sgd", ["mse", "mae"])
    before = tracked(model)
    ic.check(
        model, np.ones((4, 6), "float32"), [np.ones((4, 3), "float32"), np.ones((4, 1), "float32")]
    )
    assert tracked(model) == before
