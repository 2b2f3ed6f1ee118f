"""Gradients of random networks against finite differences of their output's second moment.

Where every step multiplies second moments, `q_out` is linear in the second moment of each input,
and for tensors of one size `d q_out / d q_in` is the mean square of the gradient.
"""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_initcheck.theory.activations import numpy_activation
from keras_initcheck.theory.propagation.activation import Activation
from keras_initcheck.theory.propagation.linear import Affine, Weight
from keras_initcheck.theory.propagation.merge import Multiply, Sum
from keras_initcheck.theory.propagation.noise import Dropout
from keras_initcheck.theory.propagation.rule import Source
from keras_initcheck.theory.propagation.signal import Signal
from tests.support.propagation import propagate

RELU = Activation(numpy_activation("relu"))
STEP = 1e-4  # in ln q
WIDTH = 64.0

sizes = st.floats(0.1, 3.0)
weights = st.builds(lambda gain: Weight(WIDTH, WIDTH, gain / WIDTH), sizes)
unary_rules = st.one_of(
    weights,
    st.builds(Affine.constant, st.floats(0.3, 2.0)),
    st.builds(Dropout, st.floats(0.0, 0.8)),
)


def add_step(draw, nodes):
    """Adds a random step; only weights receive a ReLU's output, and give it mean zero again."""
    earlier = st.sampled_from([each for each, (rule, _) in enumerate(nodes) if rule is not RELU])
    kind = draw(st.sampled_from(["unary", "relu", "sum", "product"]))
    if kind in ("sum", "product"):
        inputs = tuple(draw(st.lists(earlier, min_size=2, max_size=3)))
        coefficients = tuple(draw(st.lists(sizes, min_size=len(inputs), max_size=len(inputs))))
        nodes.append((Sum(coefficients) if kind == "sum" else Multiply(), inputs))
        return
    nodes.append((RELU if kind == "relu" else draw(unary_rules), (draw(earlier),)))
    if kind == "relu":
        nodes.append((draw(weights), (len(nodes) - 1,)))


@st.composite
def networks(draw):
    """Nodes behind two sources; ends in the sum of all nodes that no other one uses."""
    nodes = [(Source(Signal(draw(st.floats(-2.0, 2.0)))), ()) for _ in range(2)]
    for _ in range(draw(st.integers(1, 7))):
        add_step(draw, nodes)
    used = {index for _, inputs in nodes for index in inputs}
    return [*nodes, (Sum(), tuple(each for each in range(len(nodes)) if each not in used))]


def output_second_moment(nodes, position, log_change):
    """`q` of the last node with the source at that position changed by a factor."""
    source = nodes[position][0].signal
    changed = list(nodes)
    changed[position] = (Source(Signal(source.log_second_moment + log_change)), ())
    return propagate(changed)[-1].signal.second_moment


@pytest.mark.parametrize("position", [0, 1])
@settings(max_examples=60, deadline=None)
@given(nodes=networks())
def test_gradient_is_the_slope_of_the_output(position, nodes):
    predicted = propagate(nodes)
    rise = output_second_moment(nodes, position, STEP) - output_second_moment(
        nodes, position, -STEP
    )
    slope = rise / (2.0 * math.sinh(STEP) * predicted[position].signal.second_moment)
    scale = predicted[-1].signal.second_moment
    # Products of several powers of q are not linear in it: the next term is of order STEP².
    assert math.exp(predicted[position].log_gradient) == pytest.approx(
        slope, rel=1e-5, abs=1e-9 * scale
    )


@settings(max_examples=60, deadline=None)
@given(nodes=networks(), factor=st.floats(-50.0, 50.0))
def test_gradients_scale_with_the_gradient_at_the_output(nodes, factor):
    end = len(nodes) - 1
    unit, scaled = propagate(nodes, {end: 0.0}), propagate(nodes, {end: factor})
    assert [each.log_gradient for each in scaled] == pytest.approx(
        [each.log_gradient + factor for each in unit], abs=1e-9
    )


@settings(max_examples=60, deadline=None)
@given(nodes=networks())
def test_every_node_of_a_known_network_is_known(nodes):
    predicted = propagate(nodes)
    assert all(each.signal.is_known and each.unknown_since is None for each in predicted)
    assert all(-1e-12 <= each.signal.variance_share <= 1.0 + 1e-12 for each in predicted)
    squares = [each.signal.relative_mean**2 + each.signal.variance_share for each in predicted]
    assert squares == pytest.approx([1.0] * len(nodes), abs=1e-9)
