"""The loss and its gradients are those of training where Keras takes the logits behind an output.

On TensorFlow its cross-entropies look behind a softmax or a sigmoid, and clip nothing.
"""

import warnings

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.probe import engine

pytestmark = pytest.mark.backend("tensorflow")

LAYERS, LOSSES = keras.layers, keras.losses
SAMPLES, WIDTH, CLASSES, STEPS = 16, 6, 4, 5
SAME = 1e-6
"""Relative: the same operations on the same float32 numbers, summed in another order at most."""
SQUARES = 1e-5
"""Relative: second moments of gradients, sums of a few dozen float32 squares."""


def large(units, activation=None):
    """A layer that saturates whatever squashes its results."""
    return LAYERS.Dense(
        units, activation, kernel_initializer=keras.initializers.RandomNormal(stddev=6.0, seed=1)
    )


def fused(units, activation):
    return [large(units, activation)]


def separate(units, activation):
    return [large(units), LAYERS.Activation(activation)]


def softmax_layer(units, activation):
    return [large(units), LAYERS.Softmax()]


def nested(units, activation):
    return [keras.Sequential([keras.Input((8,)), large(units, activation)])]


def model_of(head, units, activation):
    return keras.Sequential([keras.Input((WIDTH,)), large(8, "relu"), *head(units, activation)])


def one_hot(*shape):
    chosen = np.random.default_rng(1).integers(0, CLASSES, shape)
    return np.eye(CLASSES, dtype="float32")[chosen]


def tape_gradients(model, x, y):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True))
    return tape.gradient(loss, [variable.value for variable in model.trainable_variables])


def assert_is_that_of_training(model, x, y):
    """The loss of `evaluate`, which runs as a graph, and of `train_on_batch`; gradients of a tape.

    Returns:
        The report.
    """
    report = ic.check(model, x, y)  # without a warning, which would be an error here
    measured = [weight.gradient.second_moment for weight in report.profile.weights]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* received `from_logits=True`")
        expected = [np.mean(np.square(each)) for each in tape_gradients(model, x, y)]
        losses = [model.evaluate(x, y, verbose=0), model.train_on_batch(x, y)]
    assert [report.profile.loss] * 2 == pytest.approx(losses, rel=SAME)
    assert measured == pytest.approx(expected, rel=SQUARES)
    return report


CROSSENTROPIES = [
    (LOSSES.CategoricalCrossentropy, "softmax", head)
    for head in (fused, separate, softmax_layer, nested)
] + [(LOSSES.BinaryCrossentropy, "sigmoid", head) for head in (fused, separate)]


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize(("loss", "activation", "head"), CROSSENTROPIES)
def test_loss_and_gradients_are_those_of_training(normal, loss, activation, head, from_logits):
    is_binary = activation == "sigmoid"
    y = one_hot(SAMPLES)[:, :1] if is_binary else one_hot(SAMPLES)
    model = model_of(head, y.shape[1], activation)
    model.compile("sgd", loss(from_logits=from_logits))
    profile = assert_is_that_of_training(model, normal(SAMPLES, WIDTH), y).profile
    assert profile.loss > -np.log(keras.config.epsilon()), "a clipped loss would look the same"
    assert profile.outputs[0].value == pytest.approx(profile.loss, rel=SAME)


def test_gradient_begins_before_the_activation(normal):
    model = model_of(fused, CLASSES, "softmax")
    model.compile("sgd", LOSSES.CategoricalCrossentropy())
    head = ic.check(model, normal(SAMPLES, WIDTH), one_hot(SAMPLES)).profile.sites[-1]
    assert head.loss_gradients.z.second_moment > 0.0
    assert head.loss_gradients.h is None


def test_no_rule_sees_a_fault_in_that_on_a_usual_network(normal):
    model = keras.Sequential(
        [keras.Input((WIDTH,)), LAYERS.Dense(8, "relu"), LAYERS.Dense(CLASSES), LAYERS.Softmax()]
    )
    model.compile("sgd", LOSSES.CategoricalCrossentropy())
    report = assert_is_that_of_training(model, normal(SAMPLES, WIDTH), one_hot(SAMPLES))
    assert [finding.code for finding in report.findings if finding.code.startswith("IC3")] == []


@pytest.mark.parametrize("is_block", [False, True], ids=["layer", "block"])
def test_loop_over_steps_hides_the_logits_from_both(normal, is_block):
    head = large(CLASSES, "softmax")
    if is_block:
        head = keras.Sequential([keras.Input((8,)), head])
    model = keras.Sequential(
        [keras.Input((STEPS, WIDTH)), large(8, "relu"), LAYERS.TimeDistributed(head)]
    )
    model.compile("sgd", LOSSES.CategoricalCrossentropy())
    x, y = normal(SAMPLES, STEPS, WIDTH), one_hot(SAMPLES, STEPS)
    assert_is_that_of_training(model, x, y)


def test_loss_of_one_s_own_with_keras_logits_is_not_told_as_a_second_softmax(normal):
    def own(labels, outputs):
        return LOSSES.categorical_crossentropy(labels, outputs)

    model = model_of(fused, CLASSES, "softmax")
    model.compile("sgd", own)
    report = assert_is_that_of_training(model, normal(SAMPLES, WIDTH), one_hot(SAMPLES))
    assert "IC406" not in [finding.code for finding in report.findings]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_private_name_is_the_tensor_before_the_activation(activation):
    name = engine.load().LOGITS
    logits = keras.ops.convert_to_tensor([[1.0, 2.0]])
    assert getattr(keras.activations.get(activation)(logits), name) is logits
    assert getattr(getattr(keras.ops, activation)(logits), name) is logits
