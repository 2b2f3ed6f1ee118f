"""The optimizer's counter is read where TensorFlow mirrors it on several devices."""

import pytest

from keras_initcheck.probe.keras_model.optimizers import steps_taken


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize("accumulation", [None, 2])
def test_steps_are_counted_inside_the_scope_and_outside(accumulation):
    import keras
    import tensorflow as tf

    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.1, gradient_accumulation_steps=accumulation), "mse")
        model.optimizer._iterations.assign(5)
        inside = steps_taken(model)
    assert inside == steps_taken(model) == (2 if accumulation else 5)
