import math

import numpy as np
import pytest

from keras_initcheck.theory.propagation.padding import overlap
from keras_initcheck.theory.propagation.pooling import AveragePooling, MaxPooling
from keras_initcheck.theory.propagation.signal import UNKNOWN, ZERO, Signal

AFTER_RELU = Signal.from_moments(1 / math.sqrt(2 * math.pi), 0.5 - 0.5 / math.pi)
SAMPLES = 200_000  # standard errors of second moments are below 0.5%


def correlated(generator, cells, correlation):
    shared, own = generator.normal(size=(SAMPLES, 1)), generator.normal(size=(SAMPLES, cells))
    return math.sqrt(correlation) * shared + math.sqrt(1.0 - correlation) * own


def gradient_factor(rule):
    return math.exp(rule.log_gradient_factors(Signal(0.0))[0])


@pytest.mark.parametrize(("cells", "q"), [(4, 0.244), (9, 0.197), (49, 0.166)])
def test_average_pooling_after_relu(cells, q):
    assert AveragePooling(cells, cells).forward(AFTER_RELU).second_moment == pytest.approx(
        q, abs=5e-4
    )


def test_average_pooling_of_simulated_cells(generator, assert_predicts):
    cells = generator.normal(0.5, 1.0, (SAMPLES, 4))
    assert_predicts(
        AveragePooling(4, 4).forward(Signal.from_moments(0.5, 1.0)),
        cells.mean(axis=1),
        rel=0.01,
    )


@pytest.mark.parametrize(
    ("cells", "gaussian", "rectified"),
    [(4, 1.55133, 1.54379), (9, 2.56262, 2.56256)],
)
def test_max_pooling_of_independent_cells(cells, gaussian, rectified):
    assert MaxPooling(cells, cells).forward(Signal(0.0)).second_moment == pytest.approx(
        gaussian, abs=1e-5
    )
    after_relu = MaxPooling(cells, cells, is_rectified=True).forward(AFTER_RELU)
    assert after_relu.second_moment == pytest.approx(rectified, abs=1e-5)


@pytest.mark.parametrize("mean", [-0.5, 0.0, 1.0])
def test_max_pooling_of_simulated_cells(mean, generator, assert_predicts):
    cells = 2.0 * generator.normal(mean, 1.0, (SAMPLES, 4))
    assert_predicts(
        MaxPooling(4, 4).forward(Signal.from_moments(2.0 * mean, 4.0)),
        cells.max(axis=1),
        rel=0.015,
    )
    rectified = np.maximum(cells, 0.0)
    rule, signal = (
        MaxPooling(4, 4, is_rectified=True),
        Signal.from_moments(rectified.mean(), rectified.var()),
    )
    assert_predicts(rule.forward(signal), rectified.max(axis=1), rel=0.015)


@pytest.mark.parametrize("is_rectified", [False, True])
def test_independent_cells_are_an_upper_bound_for_correlated_ones(is_rectified, generator):
    predicted = MaxPooling(4, 4, is_rectified).forward(AFTER_RELU if is_rectified else Signal(0.0))
    simulated = []
    for correlation in (0.3, 0.7):
        cells = correlated(generator, 4, correlation).max(axis=1)
        simulated.append(np.mean(np.maximum(cells, 0.0 if is_rectified else -np.inf) ** 2))
    assert predicted.second_moment > simulated[0] > simulated[1]


@pytest.mark.parametrize(
    "rule", [AveragePooling(4, 4), MaxPooling(4, 4), MaxPooling(4, 4, is_rectified=True)]
)
def test_pooling_of_zeros_and_of_the_unknown(rule):
    assert rule.forward(ZERO) == ZERO
    assert not rule.forward(UNKNOWN).is_known
    assert rule.forward(Signal(3000.0)).log_second_moment == pytest.approx(3000.0, abs=2.0)


@pytest.mark.parametrize(
    ("window", "stride"),
    [
        pytest.param(2, 2, id="side by side"),
        pytest.param(3, 2, id="overlapping"),
        pytest.param(6, 6, id="global"),
    ],
)
def test_gradient_through_pooling(window, stride, generator):
    # Pooling of a row of six positions as sums over its windows, written out.
    counted = overlap((6,), (window,), (stride,))
    windows = [range(start, start + window) for start in range(0, 6 - window + 1, stride)]
    signal, gradient = (
        generator.normal(size=(20_000, 6)),
        generator.normal(size=(20_000, len(windows))),
    )
    average, largest = np.zeros_like(signal), np.zeros_like(signal)
    for column, cells in enumerate(windows):
        average[:, list(cells)] += gradient[:, [column]] / window
        winners = cells[0] + signal[:, list(cells)].argmax(axis=1)
        largest[np.arange(len(signal)), winners] += gradient[:, column]
    assert gradient_factor(AveragePooling.over(counted)) == pytest.approx(
        np.mean(average**2), rel=0.04
    )
    assert gradient_factor(MaxPooling.over(counted)) == pytest.approx(np.mean(largest**2), rel=0.04)


@pytest.mark.parametrize("size", [2, 3])
def test_gradient_through_square_windows_side_by_side(size):
    counted = overlap((12, 12), (size, size), (size, size))
    assert gradient_factor(AveragePooling.over(counted)) == pytest.approx(size**-4)
    assert gradient_factor(MaxPooling.over(counted)) == pytest.approx(size**-2)


def test_gradient_through_global_average_pooling():
    assert gradient_factor(AveragePooling.over(overlap((7, 5), (7, 5), (1, 1)))) == pytest.approx(
        (7 * 5) ** -2
    )
