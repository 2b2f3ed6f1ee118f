import math

import numpy as np
import pytest

from keras_initcheck.theory.activations import numpy_activation
from keras_initcheck.theory.propagation.activation import Activation
from keras_initcheck.theory.propagation.graph import Network
from keras_initcheck.theory.propagation.linear import IDENTITY, Affine, Weight
from keras_initcheck.theory.propagation.merge import Multiply, Sum
from keras_initcheck.theory.propagation.normalization import Standardization
from keras_initcheck.theory.propagation.rule import Source, Unpredictable
from keras_initcheck.theory.propagation.signal import Signal
from tests.support.propagation import SOURCE, chain, propagate


@pytest.mark.parametrize(
    ("name", "gain"), [("relu", 2.0), ("relu", 1.0), ("tanh", 1.0), ("gelu", 3.0)]
)
def test_simulated_network_is_predicted(name, gain, generator):
    # Eight layers of 600 units: ln q scatters by sqrt(8 * 5 / 600) = 0.26 in one ReLU network, the
    # mean of two by 0.18.
    width, depth, function = 600, 8, numpy_activation(name)
    predicted = propagate(
        chain(*[Weight(width, width, gain / width), Activation(function)] * depth)
    )
    logs = []
    for _ in range(2):
        signal, layers = generator.normal(size=(32, width)), []
        for _ in range(depth):
            weights = generator.normal(0.0, math.sqrt(gain / width), (width, width))
            layers.append((weights, signal @ weights))
            signal = function(layers[-1][1])
        gradient = generator.normal(size=signal.shape)
        for weights, pre_activation in reversed(layers):
            slope = (function(pre_activation + 1e-6) - function(pre_activation - 1e-6)) / 2e-6
            gradient = (gradient * slope) @ weights.T
        logs.append((np.log(np.mean(signal**2)), np.log(np.mean(gradient**2))))
    forward, backward = np.mean(logs, axis=0)
    assert (predicted[-1].signal.log_second_moment, predicted[0].log_gradient) == pytest.approx(
        (forward, backward), abs=0.5
    )


def test_hundreds_of_layers_go_beyond_floats():
    predicted = propagate(
        chain(*[Weight(1000, 1000, 1.0), Activation(numpy_activation("relu"))] * 300)
    )
    assert predicted[-1].signal.log10_second_moment == pytest.approx(
        300 * math.log10(500.0), abs=1e-4
    )
    assert predicted[0].log_gradient == pytest.approx(300 * math.log(500.0), abs=1e-4)


def test_gradients_of_a_fork_add_up():
    nodes = [SOURCE, (IDENTITY, (0,)), (Affine.constant(2.0), (0,)), (Sum(), (1, 2))]
    assert math.exp(propagate(nodes)[0].log_gradient) == pytest.approx(1.0 + 4.0)


def test_gate_multiplies_the_gradient_by_the_other_operand():
    nodes = [SOURCE, (Source(Signal(math.log(9.0))), ()), (Multiply(), (0, 1))]
    signal, gate, product = propagate(nodes)
    assert [math.exp(each.log_gradient) for each in (signal, gate, product)] == pytest.approx(
        [9.0, 1.0, 1.0]
    )


def test_gradients_start_where_they_are_given():
    first, head, other = propagate(
        [SOURCE, (Affine.constant(3.0), (0,)), (IDENTITY, (0,))], {1: math.log(0.5)}
    )
    assert [math.exp(each.log_gradient) for each in (first, head, other)] == pytest.approx(
        [4.5, 0.5, 0.0]
    )


def test_output_that_is_used_as_well_gets_both_gradients():
    predicted = propagate([SOURCE, (Affine.constant(2.0), (0,))], {0: 0.0, 1: 0.0})
    assert math.exp(predicted[0].log_gradient) == pytest.approx(1.0 + 4.0)


def test_unknown_passes_on_to_the_next_normalization():
    predicted = propagate(
        chain(
            Unpredictable("a gate"),
            Weight(4, 4, 1.0),
            Activation(np.tanh),
            Standardization(1e-3),
            IDENTITY,
        )
    )
    assert [each.signal.is_known for each in predicted] == [True, False, False, False, True, True]
    assert [each.unknown_since for each in predicted] == [None, 1, 1, 1, None, None]


def test_gradient_is_unknown_below_what_has_no_rule():
    predicted = propagate(chain(Unpredictable("a gate"), Weight(4, 4, 0.5)))
    assert math.isnan(predicted[0].log_gradient)
    assert [math.exp(each.log_gradient) for each in predicted[1:]] == pytest.approx([2.0, 1.0])


def test_closed_branch_hands_nothing_back():
    nodes = [
        SOURCE,
        (Weight(4, 4, 1.0), (0,)),
        (Weight(4, 4, 0.0), (1,)),
        (Sum(), (0, 2)),
    ]
    stream, inner, _, total = propagate(nodes)
    assert (stream.log_gradient, inner.log_gradient, total.signal.second_moment) == (
        0.0,
        -math.inf,
        pytest.approx(1.0),
    )


@pytest.mark.parametrize("inputs", [(1,), (2,), (-1,)], ids=["itself", "a later one", "none"])
def test_nodes_out_of_order_are_refused(inputs):
    network = Network()
    network.add(Source(Signal(0.0)))
    with pytest.raises(
        ValueError, match=r"that were added before\. Received: inputs=\(-?\d,\) at position 1\."
    ):
        network.add(IDENTITY, inputs)
