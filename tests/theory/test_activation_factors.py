import cProfile
import pstats

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_initcheck.theory.activation_factors import FactorTable, exact_factors
from keras_initcheck.theory.activations import numpy_activation

INTERPOLATION = 2e-4  # relative, between nodes that are a 16th of an octave apart


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "sigmoid"])
def test_every_column_is_the_exact_factor(name: str) -> None:
    second_moments = np.array([3e-4, 0.7, 0.7, 1.0, 5.3, 900.0])
    columns = FactorTable().arrays(name, numpy_activation(name), second_moments)
    exact = [exact_factors(numpy_activation(name), q) for q in second_moments]
    for column, attribute in zip(columns, ("forward", "backward", "noise"), strict=True):
        expected = [getattr(factors, attribute) for factors in exact]
        np.testing.assert_allclose(column, expected, rtol=INTERPOLATION, atol=INTERPOLATION)


def test_a_node_itself_is_exact() -> None:
    forward, backward, noise = FactorTable().arrays("tanh", np.tanh, np.array([2.0, 0.25]))
    exact = [exact_factors(np.tanh, q) for q in (2.0, 0.25)]
    assert forward.tolist() == [factors.forward for factors in exact]
    assert backward.tolist() == [factors.backward for factors in exact]
    assert noise.tolist() == [factors.noise for factors in exact]


def test_each_node_is_computed_once() -> None:
    calls = []

    def function(z: np.ndarray) -> np.ndarray:
        calls.append(len(z))
        return np.tanh(z)

    table = FactorTable()
    table.arrays("f", function, np.array([1.01, 1.02, 1.01]))
    num_calls = len(calls)
    table.arrays("f", function, np.array([1.03]))
    assert len(calls) == num_calls
    table.arrays("f", function, np.array([300.0]))
    table.arrays("f", function, np.array([1e-5]))
    grown = len(calls)
    assert grown > num_calls
    table.arrays("f", function, np.array([1.03, 1e-5, 300.0]))
    assert len(calls) == grown


def test_functions_of_different_keys_are_kept_apart() -> None:
    table, second_moments = FactorTable(), np.array([1.0])
    assert table.arrays("linear", lambda z: z, second_moments)[0] == pytest.approx(1.0)
    assert table.arrays("half", lambda z: 0.5 * z, second_moments)[0] == pytest.approx(0.25)


def test_number_of_python_calls_does_not_grow_with_the_number_of_sites() -> None:
    table, few, many = FactorTable(), np.array([0.9, 1.1]), np.linspace(0.9, 1.1, 1000)
    table.arrays("tanh", np.tanh, many)

    def count(second_moments: np.ndarray) -> int:
        profile = cProfile.Profile()
        profile.runcall(table.arrays, "tanh", np.tanh, second_moments)
        return int(pstats.Stats(profile).total_calls)

    assert count(many) == count(few) <= 80


@pytest.mark.parametrize("second_moment", [0.0, -1.0, np.inf, np.nan])
def test_second_moment_that_is_no_scale_is_refused(second_moment: float) -> None:
    with pytest.raises(
        ValueError, match=r"`second_moments` must be positive and finite\. Received"
    ):
        FactorTable().arrays("relu", numpy_activation("relu"), np.array([1.0, second_moment]))


def test_no_sites_give_no_factors() -> None:
    assert [len(column) for column in FactorTable().arrays("tanh", np.tanh, np.array([]))] == [
        0
    ] * 3


def test_factors_that_overflow_are_infinite_and_raise_no_warning() -> None:
    forward, backward, _ = FactorTable().arrays("exp", np.exp, np.array([1.0, 1e3]))
    assert forward[0] == pytest.approx(np.e**2)
    assert np.isinf(forward[1])
    assert np.isinf(backward[1])


@pytest.mark.parametrize("second_moment", [5e-324, 1.7e308])
def test_smallest_and_largest_second_moment_have_factors(second_moment: float) -> None:
    forward, backward, noise = FactorTable().arrays(
        "relu", numpy_activation("relu"), np.array([second_moment])
    )
    assert np.isfinite(backward).all()
    assert len(forward) == len(noise) == 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20))
def test_arrays_agree_with_one_site_at_a_time(second_moments: list[float]) -> None:
    table = FactorTable()
    columns = table.arrays("softsign", numpy_activation("softsign"), np.array(second_moments))
    alone = [
        table.factors("softsign", numpy_activation("softsign"), q) for q in reversed(second_moments)
    ]
    assert columns[0].tolist() == [factors.forward for factors in reversed(alone)]
    assert columns[1].tolist() == [factors.backward for factors in reversed(alone)]
    assert columns[2].tolist() == [factors.noise for factors in reversed(alone)]
