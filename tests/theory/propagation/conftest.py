"""Comparison of a prediction with a simulated tensor."""

import numpy as np
import pytest


@pytest.fixture
def assert_predicts():
    """Asserts that a signal is that of an array; `rel` is relative to its second moment and to its
    root.
    """

    def compare(signal, values, rel):
        mean, second_moment = np.mean(values), np.mean(np.square(values))
        assert signal.second_moment == pytest.approx(second_moment, rel=rel), (
            f"q: {signal.second_moment} against {second_moment}"
        )
        assert signal.mean == pytest.approx(mean, abs=rel * second_moment**0.5), (
            f"mean: {signal.mean} against {mean}"
        )

    return compare


@pytest.fixture
def generator():
    return np.random.default_rng(0)
