import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_initcheck.theory.lanczos import largest_eigenvalue, singular_value


@pytest.fixture
def operator():
    """A random symmetric matrix with those eigenvalues, and a random start."""

    def made(eigenvalues, seed=0):
        generator = np.random.default_rng(seed)
        rotation, _ = np.linalg.qr(generator.standard_normal((len(eigenvalues), len(eigenvalues))))
        return rotation @ np.diag(eigenvalues) @ rotation.T, generator.standard_normal(
            len(eigenvalues)
        )

    return made


def test_all_of_a_small_space_is_exact(operator):
    matrix, start = operator([5.0, 3.0, 1.0, 0.0])
    value, error, num = largest_eigenvalue(lambda vector: matrix @ vector, start, num_steps=10)
    assert (value, error, num) == (pytest.approx(5.0, rel=1e-12), pytest.approx(0.0, abs=1e-9), 4)


@pytest.mark.parametrize("seed", range(5))
def test_value_is_a_lower_bound_and_its_error_reaches_an_eigenvalue(operator, seed):
    eigenvalues = np.sort(np.random.default_rng(seed).uniform(0.0, 1.0, 300))
    matrix, start = operator(eigenvalues, seed)
    value, error, num = largest_eigenvalue(lambda vector: matrix @ vector, start, num_steps=12)
    assert num == 12
    assert value <= eigenvalues[-1] + 1e-12
    assert np.abs(eigenvalues - value).min() <= error + 1e-12
    # of 300 numbers the best of twelve products is within (ln n)² / (4 · 12²) = 6% (Kuczynski &
    # Wozniakowski 1992), with room for chance
    assert value > 0.9 * eigenvalues[-1]


def test_error_after_one_product_is_the_residual_by_hand():
    # From (3, 4) / 5 with eigenvalues 1 and 2: the Rayleigh quotient is 0.36 + 1.28 = 1.64, and the
    # residual |(1 - 1.64) 0.6, (2 - 1.64) 0.8| = 0.48.
    value, error, num = largest_eigenvalue(
        lambda vector: np.array([1.0, 2.0]) * vector, np.array([3.0, 4.0]), num_steps=1
    )
    assert (value, error, num) == (pytest.approx(1.64), pytest.approx(0.48), 1)


def test_error_is_the_residual_of_the_vector_that_was_found(operator):
    # After all but one product of a known matrix, |A x - value x| from an eigenvector of the
    # projection of A on the Krylov space, by another orthonormal basis of it.
    matrix, start = operator([9.0, 5.0, 2.0, 1.0, 0.5])
    value, error, _ = largest_eigenvalue(lambda vector: matrix @ vector, start, num_steps=3)
    krylov = np.stack([start, matrix @ start, matrix @ matrix @ start], axis=1)
    basis, _ = np.linalg.qr(krylov)
    values, vectors = np.linalg.eigh(basis.T @ matrix @ basis)
    found = basis @ vectors[:, -1]
    assert value == pytest.approx(values[-1], rel=1e-9)
    assert error == pytest.approx(np.linalg.norm(matrix @ found - value * found), rel=1e-6)


def test_clusters_do_not_break_it(operator):
    matrix, start = operator([2.0] * 3 + [1.0] * 20)
    value, error, num = largest_eigenvalue(lambda vector: matrix @ vector, start, num_steps=20)
    assert (value, num) == (pytest.approx(2.0, rel=1e-9), 2)
    assert error < 1e-6


def test_nothing_passes(operator):
    assert largest_eigenvalue(lambda vector: 0.0 * vector, np.ones(4), num_steps=5)[:2] == (
        0.0,
        0.0,
    )


def test_singular_value_of_zero_keeps_its_error():
    assert singular_value(0.0, 0.04) == (0.0, pytest.approx(0.2))


@pytest.mark.parametrize("eigenvalue", [0.25, 1.0, 400.0])
def test_error_of_a_singular_value_falls_with_its_size(eigenvalue):
    # |s² - t²| <= e for the eigenvalue, hence |s - t| <= e / t.
    value, error = singular_value(eigenvalue, 0.2)
    assert (value, error) == pytest.approx((eigenvalue**0.5, 0.2 / eigenvalue**0.5))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.just(0.0) | st.floats(1e-9, 100.0), min_size=1, max_size=12), st.integers(1, 12))
def test_any_spectrum_is_bounded_from_below_within_the_error(spectrum, num_steps):
    start = np.random.default_rng(0).standard_normal(len(spectrum))
    value, error, num = largest_eigenvalue(
        lambda vector: np.array(spectrum) * vector, start, num_steps
    )
    rounding = 1e-6 * max(spectrum)
    assert 0.0 <= value <= max(spectrum) + rounding
    assert min(abs(value - each) for each in spectrum) <= error + rounding
    assert 1 <= num <= min(num_steps, len(spectrum))
