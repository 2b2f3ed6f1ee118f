"""Small builders for the probe's tests, and the moments of an array computed a second way."""

import dataclasses
import math

import keras
import numpy as np
import pytest

from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import Probe
from keras_initcheck.records.statistics import Moments


@pytest.fixture(autouse=True)
def _seeded(seeded_keras):
    """Every test starts from the same seeds and names."""


@pytest.fixture(scope="session")
def measure():
    """`measure(model, x, y, sample_weight, **options)`: the profile of one batch."""

    def measured(model, x, y=None, sample_weight=None, **options):
        return Probe(model).measure(take_batch(x, y, sample_weight, batch_size=1024), **options)

    return measured


@pytest.fixture(scope="session")
def normal():
    """`normal(*shape, seed=0, scale=1)`: standard normal float32 numbers."""

    def drawn(*shape, seed=0, scale=1.0):
        return (np.random.default_rng(seed).standard_normal(shape) * scale).astype("float32")

    return drawn


@pytest.fixture(scope="session")
def set_weights(normal):
    """Gives every variable of a model seeded normal values of a standard deviation that keeps
    signals near 1, and returns the model.
    """

    def changed(model, seed=0, scale=1.0):
        for number, variable in enumerate(model.weights):
            if keras.backend.is_float_dtype(variable.dtype):
                spread = scale / math.sqrt(max(1, math.prod(variable.shape[:-1])))
                values = normal(*variable.shape, seed=1000 * seed + number, scale=spread)
                is_variance = variable.path.endswith(("moving_variance", "gamma"))
                variable.assign(1 + np.abs(values) if is_variance else values)
        return model

    return changed


def moments_by_hand(array):
    """The moments of a numpy array in float64, by their definitions in
    `keras_initcheck.records.profile`.
    """
    array = np.asarray(array, "float64")
    units = array.reshape(len(array), -1) if array.ndim > 1 else array.reshape(-1, 1)
    columns = array.reshape(-1, array.shape[-1] if array.ndim > 1 else 1)
    is_finite = np.isfinite(columns)
    finite = columns[is_finite]
    variance = finite.var()
    batch_share = (
        np.where(np.isfinite(units), units, 0.0).var(axis=0).mean() / variance
        if variance
        else math.nan
    )
    return Moments(
        mean=finite.mean(),
        variance=variance,
        second_moment=np.mean(finite**2),
        max_abs=np.abs(finite).max(),
        share_zero=np.mean(array == 0),
        share_nonfinite=np.mean(~is_finite),
        batch_share=batch_share,
        num_elements=array.size,
        share_dead=np.mean(~np.any(np.where(is_finite, columns, 0.0), axis=0)),
    )


@pytest.fixture(scope="session")
def assert_moments():
    """`assert_moments(measured, array)`: fails with every statistic that differs from numpy's.

    A mean is compared in units of the root of the second moment, because it can be zero up to
    rounding.
    """

    def check(measured, array, rtol=1e-4, skip=()):
        expected = dataclasses.asdict(moments_by_hand(array))
        tolerance = {name: {"rel": rtol, "abs": 1e-30, "nan_ok": True} for name in expected}
        tolerance["mean"]["abs"] = max(rtol * math.sqrt(expected["second_moment"]), 1e-30)
        tolerance["batch_share"]["abs"] = tolerance["share_zero"]["abs"] = tolerance["share_dead"][
            "abs"
        ] = 1e-6
        wrong = {
            name: (getattr(measured, name), value)
            for name, value in expected.items()
            if name not in skip
            and getattr(measured, name) != pytest.approx(value, **tolerance[name])
        }
        assert not wrong, f"measured, by hand: {wrong}"

    return check
