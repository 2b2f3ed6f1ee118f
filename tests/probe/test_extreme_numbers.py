"""Numbers at the ends of the number formats: squares beyond float32, sums beyond float16, NaN and
infinity, gains beyond float64.
"""

import math

import keras
import numpy as np
import pytest

from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.probe.probe import Probe

LAYERS = keras.layers
WIDTH = 8
RANDOM = ("random",)

exact_and_repeated = pytest.mark.parametrize("is_exact", [True, False], ids=["exact", "repeated"])
"""A repeated probe takes fast rows, and must notice that they do not serve."""


def identity_layer(scale, **options):
    """A dense layer that multiplies by `scale`, so that its ratio is `scale²` forward and
    backward.
    """
    layer = LAYERS.Dense(WIDTH, use_bias=False, **options)
    layer.build((None, WIDTH))
    layer.kernel.assign(scale * np.eye(WIDTH, dtype="float32"))
    return layer


def chain(scales):
    return keras.Sequential([keras.Input((WIDTH,)), *(identity_layer(scale) for scale in scales)])


def close_to(value):
    """Without the absolute tolerance of `pytest.approx`, under which every tiny number is equal to
    every other.
    """
    return pytest.approx(value, rel=1e-5, abs=0)


def q(array):
    return np.mean(np.square(np.asarray(array, "float64")))


@exact_and_repeated
@pytest.mark.parametrize("scale", [1e20, 1e30, 1e-20, 1e-30], ids=str)
def test_second_moment_that_float32_cannot_hold_is_measured(
    measure, normal, assert_moments, scale, is_exact
):
    x = normal(16, WIDTH)
    site = measure(chain([scale]), x, cotangents=RANDOM, is_exact=is_exact).sites[0]
    expected = np.asarray(x, "float64") * np.float64(np.float32(scale))
    assert not 1e-38 < q(expected) < 3e38
    assert_moments(site.activations.h, expected)
    assert site.activations.h.second_moment == close_to(q(expected))
    assert site.activations.h.variance == close_to(expected.var())
    assert site.forward_ratio == close_to(scale**2)
    assert site.backward_ratio == close_to(scale**2)
    assert site.random_gradients.x.second_moment == close_to(
        scale**2 * site.random_gradients.h.second_moment
    )


@exact_and_repeated
@pytest.mark.parametrize("scale", [1e3, 1e-3], ids=["exploding", "vanishing"])
def test_deep_net_is_followed_to_the_end_of_float32(measure, normal, scale, is_exact):
    x = normal(16, WIDTH)
    profile = measure(chain([scale] * 12), x, cotangents=RANDOM, is_exact=is_exact)
    found = [site.activations.h.log10_second_moment for site in profile.sites]
    step = 2 * math.log10(scale)
    assert found == pytest.approx(
        [math.log10(q(x)) + step * number for number in range(1, 13)], abs=1e-4
    )
    cotangent = profile.sites[-1].random_gradients.h.log10_second_moment
    arriving = [site.random_gradients.x.log10_second_moment for site in reversed(profile.sites)]
    assert arriving == pytest.approx(
        [cotangent + step * number for number in range(1, 13)], abs=1e-4
    )
    assert profile.log10_forward_gain == pytest.approx(
        11 * step, abs=1e-4
    )  # the head belongs to no gain
    assert profile.log10_backward_gain == pytest.approx(11 * step, abs=1e-4)


@exact_and_repeated
def test_weight_that_cannot_be_squared_in_float32_keeps_its_norm(measure, normal, is_exact):
    weight = measure(
        chain([1e25]), normal(4, WIDTH) * 1e-25, cotangents=RANDOM, is_exact=is_exact
    ).weights[0]
    assert weight.moments.second_moment == close_to(1e50 / WIDTH)
    assert weight.norm == close_to(1e25 * math.sqrt(WIDTH))


def test_lowest_float32_that_masks_are_made_of_is_measured(measure, normal, assert_moments):
    x = normal(16, WIDTH)
    x[::4] = np.finfo("float32").min
    assert_moments(measure(chain([1e-10]), x, cotangents=RANDOM).inputs[0][1], x)


def test_repeated_probe_in_range_does_without_the_exact_rows(measure, normal):
    x = normal(16, WIDTH)
    moments = measure(chain([2.0]), x, cotangents=RANDOM, is_exact=False).sites[0].activations.h
    assert math.isnan(
        moments.max_abs
    )  # fast rows do not take it: this is how the tests above tell that exact ones were made
    assert moments.second_moment == close_to(q(2.0 * x))


@exact_and_repeated
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_summed_in_float32(measure, assert_moments, dtype, is_exact):
    # 8192 multiples of 4 up to 380, exact in both formats. In float16 their sum and the squares
    # beyond 256² would be infinite; in bfloat16
    # the sum would come to a halt where it is 256 times a term.
    x = np.random.default_rng(0).integers(32, 96, (1024, WIDTH)).astype("float32") / 64
    model = keras.Sequential([keras.Input((WIDTH,)), identity_layer(256.0, dtype=dtype)])
    site = measure(model, x, cotangents=RANDOM, is_exact=is_exact).weight_sites[
        0
    ]  # before Keras 3.6 a cast comes first
    sampled = ("mean", "variance", "batch_share", "max_abs", "share_dead")
    assert_moments(site.activations.z, 256.0 * x, skip=() if is_exact else sampled)
    assert site.forward_ratio == close_to(256.0**2)
    assert site.backward_ratio == close_to(256.0**2)


@exact_and_repeated
def test_gradient_that_float16_holds_only_with_loss_scaling_is_measured(measure, is_exact):
    model = keras.Sequential([keras.Input((WIDTH,)), identity_layer(1.0, dtype="mixed_float16")])
    model.compile("sgd", keras.losses.MeanSquaredError())
    x = np.ones((64, WIDTH), "float32")
    profile = measure(model, x, x - 2.0**-8, is_exact=is_exact)
    gradient = (
        2 * 2.0**-8 / x.size
    )  # 1.5e-5 after scaling with 2¹⁵ is 0.5; unscaled it is subnormal in float16
    gradients = profile.sites[0].loss_gradients
    if is_exact:  # a repeated probe takes no mean of gradients
        assert gradients.h.mean == close_to(gradient)
    assert gradients.h.second_moment == close_to(gradient**2)
    assert profile.weights[0].gradient_norm == pytest.approx(64 * gradient * WIDTH, rel=1e-3, abs=0)


@exact_and_repeated
def test_nan_and_infinity_are_counted_and_left_out_of_the_moments(
    measure, normal, assert_moments, is_exact
):
    x = normal(16, WIDTH)
    x[0, 0] = math.nan
    x[1, 1:3] = math.inf, -math.inf
    site = measure(chain([3.0]), x, cotangents=RANDOM, is_exact=is_exact).sites[0]
    assert site.activations.x.share_nonfinite == pytest.approx(3 / 128)
    assert not site.activations.x.is_finite
    assert_moments(site.activations.x, x)
    made = 3.0 * x
    made[:2] = math.nan  # 0 · NaN and 0 · ∞ are NaN: the whole sample is lost
    assert site.activations.h.share_nonfinite == pytest.approx(2 / 16)
    assert_moments(site.activations.h, made)


@exact_and_repeated
def test_tensor_without_a_finite_number_has_share_one_and_no_moments(measure, is_exact):
    x = np.full((4, WIDTH), math.nan, "float32")
    moments = measure(chain([1.0]), x, cotangents=RANDOM, is_exact=is_exact).sites[0].activations.h
    assert moments.share_nonfinite == 1.0
    assert (moments.mean, moments.second_moment, moments.max_abs, moments.share_zero) == (
        0.0,
        0.0,
        0.0,
        0.0,
    )
    assert math.isnan(moments.batch_share)


@exact_and_repeated
def test_symmetric_tensor_whose_squares_vanish_is_not_taken_for_zero(measure, is_exact):
    x = np.tile(np.array([[1.0], [-1.0]], "float32"), (8, WIDTH))  # its mean is exactly 0
    model = keras.Sequential([keras.Input((WIDTH,)), LAYERS.Rescaling(1e-25)])
    moments = measure(model, x, cotangents=(), is_exact=is_exact).sites[0].activations.h
    assert moments.second_moment == close_to(1e-50)


@exact_and_repeated
def test_gain_beyond_float64_is_kept_as_its_logarithm(measure, normal, is_exact):
    # Each dense layer multiplies by 1e30 and the rescaling behind it takes that back, so that no
    # tensor leaves float32: q grows by 1e60 in
    # each of the six ratios, by 1e360 in their product.
    pairs = [(identity_layer(1e30), LAYERS.Rescaling(1e-30)) for _ in range(6)]
    model = keras.Sequential(
        [keras.Input((WIDTH,)), *(layer for pair in pairs for layer in pair), identity_layer(1.0)]
    )
    profile = measure(model, normal(16, WIDTH), cotangents=RANDOM, is_exact=is_exact)
    hidden = [site for site in profile.weight_sites if not site.is_head]
    assert [site.log10_forward_gain for site in hidden] == pytest.approx(
        [60, 120, 180, 240, 300, 360], rel=1e-5
    )
    assert [site.log10_backward_gain for site in hidden] == pytest.approx(
        [360, 300, 240, 180, 120, 60], rel=1e-5
    )
    assert profile.log10_forward_gain == pytest.approx(
        60, rel=1e-5
    )  # the last rescaling is behind the last hidden layer


def test_gradient_that_vanishes_in_float32_s_squares_is_told_from_one_of_zeros(measure, normal):
    """A repeated probe takes second moments, of which both have one of zero."""
    layers = [identity_layer(1e-12), identity_layer(1e-12), identity_layer(1.0)]
    model = keras.Sequential([keras.Input((WIDTH,)), *layers])
    x = normal(16, WIDTH)
    profile = measure(model, x, cotangents=RANDOM, is_exact=False)
    first = profile.sites[0].random_gradients.x
    assert first.second_moment == pytest.approx(1e-48, rel=0.2)  # of 128 draws


def test_gradient_of_zeros_is_measured_exactly_once(normal, monkeypatch):
    model = keras.Sequential([keras.Input((WIDTH,)), identity_layer(1.0), identity_layer(0.0)])
    probe, batch = Probe(model), take_batch(normal(16, WIDTH))
    passes, run = [], Probe._run

    def count(self, options, batch):
        passes.append(options)
        return run(self, options, batch)

    monkeypatch.setattr(Probe, "_run", count)
    for _ in range(3):
        profile = probe.measure(batch, cotangents=RANDOM, is_exact=False)
        assert profile.sites[0].random_gradients.h.second_moment == 0.0
    assert [options.is_exact for options in passes] == [False, True, False, False]
