"""The elements that stand for a signal in a repeated probe."""

import keras
import numpy as np
import pytest

from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.engine.statistics_rows import FAST_SAMPLE_SIZE, FAST_SAMPLES, fast_sample
from keras_initcheck.probe.probe import Probe


def taken(*shape):
    units = int(np.prod(shape[1:]))
    numbers = np.arange(shape[0] * units).reshape(shape[0], units)
    return numbers[fast_sample(shape)]


@pytest.mark.parametrize("shape", [(3,), (4, 8), (16, 16, 16), (256, 16)])
def test_small_signal_is_taken_as_a_whole(shape):
    assert taken(*shape).size == np.prod(shape)


@pytest.mark.parametrize("shape", [(256, 512), (16, 48, 48, 64), (8, 128, 1000), (10_000, 20)])
def test_sample_is_bounded_and_has_samples_and_units_enough(shape):
    samples, units = taken(*shape).shape
    assert FAST_SAMPLE_SIZE / 2 < samples * units < FAST_SAMPLE_SIZE * 1.5
    assert min(shape[0], FAST_SAMPLES / 2) <= samples <= FAST_SAMPLES


def test_sample_holds_every_channel():
    channels = taken(16, 48, 48, 64)[0] % 64
    assert set(channels) == set(range(64))


def test_scalar_is_its_own_sample():
    assert fast_sample(()) == (slice(None, None, 1), slice(None, None, 1))


def test_sample_tells_what_the_whole_has(normal):
    layer = keras.layers.Dense(512, "relu", kernel_initializer="he_normal")
    model, x = keras.Sequential([keras.Input((512,)), layer]), normal(64, 512)
    probe = Probe(model)
    exact, fast = (
        probe.measure(take_batch(x, batch_size=64), cotangents=(), is_exact=is_exact).sites[0]
        for is_exact in (True, False)
    )
    whole, sample = exact.activations.h, fast.activations.h
    assert sample.second_moment == pytest.approx(whole.second_moment, rel=1e-5)
    # 4,096 elements, of which half are zero: four standard errors of the share and of the mean, and
    # as many of a variance between samples that differs from unit to unit.
    assert sample.share_zero == pytest.approx(whole.share_zero, abs=4 * 0.008)
    assert sample.mean == pytest.approx(whole.mean, abs=4 * whole.variance**0.5 / 64)
    assert sample.batch_share == pytest.approx(whole.batch_share, abs=0.1)
