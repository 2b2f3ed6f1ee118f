"""The matrix of sites × statistics, every number worked out by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from keras_initcheck.outputs.json_values import encode
from keras_initcheck.outputs.site_statistics import (
    STATISTICS,
    describe,
    hash_sites,
    measure,
    worst_log10_ratio,
)
from keras_initcheck.records.draw import Draw
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.statistics import Places

BY_HAND = {
    "log10_second_moment_x": 2.0,  # of 100
    "log10_second_moment_z": 1.0,  # of 10
    "log10_second_moment_h": -3.0,  # of 0.001
    "mean_h": 0.5,
    "standard_deviation_h": 3.0,  # of the variance 9
    "share_zero_h": 0.75,
    "share_nonfinite_h": 0.125,
    "batch_share_h": 0.625,
    "log10_loss_gradient_second_moment_x": -2.0,
    "log10_loss_gradient_second_moment_h": -4.0,
    "log10_random_gradient_second_moment_x": 3.0,
    "log10_random_gradient_second_moment_h": 4.0,
    "log10_forward_ratio": 2.0,  # of 100
    "log10_predicted_forward_ratio": -1.0,  # of 0.1
    "log10_backward_ratio": -2.0,  # of 0.01
    "log10_predicted_backward_ratio": 1.0,  # of 10
    "log_ratio_variance": 0.04,
    "log10_forward_gain": -1.5,
    "log10_backward_gain": 1.5,
    # Kernels of 10 elements with mean square 1 and 30 elements with mean square 5:
    "weight_rms": 2.0,  # (10 + 150) / 40 = 4
    "weight_gradient_rms": 0.5,  # in the same way: (10 * 0.1 + 30 * 0.3) / 40 = 0.25
    "log10_gradient_to_weight": (
        -1.0
    ),  # gradients of norm 3 and 4, weights of norm 30 and 40: 5 / 50
    "share_nonfinite_loss_gradient_h": 0.25,
    "share_nonfinite_random_gradient_h": 1.0,
    "log10_predicted_second_moment_h": -2.5,
    "log10_predicted_gradient_h": 3.5,
    "standard_deviation_z": math.sqrt(10.0),  # of the variance 10
    "log10_largest_h": 4.0,  # of 10,000
    "draw": 5.0,  # kernels that are fresh, a bias that is another draw
}


@pytest.fixture
def profile(make):
    """One site with two kernels, as an LSTM has them."""
    h = make.moments(
        0.001,
        mean=0.5,
        variance=9.0,
        share_zero=0.75,
        share_nonfinite=0.125,
        batch_share=0.625,
        max_abs=1e4,
    )
    site = make.site(
        0,
        "lstm",
        activations=Places(make.moments(100.0), make.moments(10.0), h),
        loss_gradients=Places(x=make.moments(0.01), h=make.moments(0.0001, share_nonfinite=0.25)),
        random_gradients=Places(
            x=make.moments(1000.0), h=make.moments(10_000.0, share_nonfinite=1.0)
        ),
        forward_ratio=100.0,
        predicted_forward_ratio=0.1,
        backward_ratio=0.01,
        predicted_backward_ratio=10.0,
        predicted_log10_second_moment=-2.5,
        predicted_log10_gradient=3.5,
        **{
            name: BY_HAND[name]
            for name in ("log_ratio_variance", "log10_forward_gain", "log10_backward_gain")
        },
    )
    kernels = [
        replace(
            make.kernel(site),
            draw=Draw("fresh"),
            moments=replace(make.moments(square), num_elements=count),
            gradient=replace(make.moments(gradient), num_elements=count),
            norm=norm,
            gradient_norm=norm / 10,
        )
        for count, square, gradient, norm in ((10, 1.0, 0.1, 30.0), (30, 5.0, 0.3, 40.0))
    ]
    bias = replace(
        make.kernel(site),
        role="bias",
        draw=Draw("another draw"),
        moments=make.moments(1e6),
        norm=1e6,
        gradient_norm=1e6,
    )
    return Profile.of("net", (site,), (*kernels, bias))


def column(profile, name):
    return measure(profile)[:, list(STATISTICS).index(name)].tolist()


@pytest.mark.parametrize("name", STATISTICS)
def test_statistic_is_what_it_is_by_hand(profile, name):
    assert column(profile, name) == pytest.approx([BY_HAND[name]], abs=1e-12)


def test_what_was_not_measured_is_nan(make):
    site = replace(make.other(0, "add", "Add", "merge"), activations=Places())
    assert np.isnan(measure(Profile.of("net", (site,)))).all()


def test_rows_are_the_sites_in_order(make):
    sites = tuple(
        make.site(index, name, ratio) for index, name, ratio in ((0, "b", 0.01), (1, "a", 10.0))
    )
    assert column(Profile.of("net", sites), "log10_forward_ratio") == [-2.0, 1.0]


def test_no_sites_are_a_matrix_without_rows():
    matrix = measure(Profile.of("empty", ()))
    assert (matrix.shape, matrix.dtype) == ((0, len(BY_HAND)), np.float64)


def test_second_moments_keep_their_extremes(make):
    moments = [make.moments(number) for number in (0.0, math.inf, math.nan, 1e300)]
    sites = tuple(
        make.site(index, "a", activations=Places(h=each)) for index, each in enumerate(moments)
    )
    assert column(Profile.of("net", sites), "log10_second_moment_h") == pytest.approx(
        [-math.inf, math.inf, math.nan, 300.0], nan_ok=True
    )


def test_ratios_keep_their_extremes(make):
    sites = tuple(
        make.site(index, "a", ratio)
        for index, ratio in enumerate((0.0, math.inf, math.nan, 1e300, 1e-300))
    )
    expected = [-math.inf, math.inf, math.nan, 300.0, -300.0]
    assert column(Profile.of("net", sites), "log10_forward_ratio") == pytest.approx(
        expected, nan_ok=True
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gradient_norm": 0.0}, -math.inf),
        ({"norm": 0.0}, math.nan),
        ({"gradient_norm": None}, math.nan),
        ({"gradient_norm": math.nan}, math.nan),
        ({"gradient_norm": math.inf}, math.inf),
        ({"gradient_norm": 1e-300, "norm": 1e300}, -600.0),
    ],
    ids=["no gradient flows", "zero weights", "not trained", "nan", "inf", "beyond float64"],
)
def test_gradient_to_weight_at_its_limits(make, changes, expected):
    site = make.site(0, "dense")
    profile = Profile.of("net", (site,), (replace(make.kernel(site), **changes),))
    assert column(profile, "log10_gradient_to_weight") == pytest.approx([expected], nan_ok=True)


def test_description_lists_the_sites_column_by_column(make):
    dense = make.site(0, "block/dense", activation="relu", chain=1, output_shape=(32, 7, 5))
    again = make.site(
        1,
        "block/dense#2",
        inputs=(0,),
        num_parameters=0,
        is_head=True,
        output_shape=None,
        unpredicted="a recurrent layer",
    )
    facts = json.loads(json.dumps(encode(describe(Profile.of("net", (dense, again))))))
    assert facts["model"] == "net"
    assert facts["statistics"] == list(BY_HAND)
    assert facts["sites"] == {
        "names": ["block/dense", "block/dense#2"],
        "layers": ["block/dense", "block/dense"],
        "layer_types": ["Dense", "Dense"],
        "kinds": ["weight", "weight"],
        "inputs": [[], [0]],
        "inputs_known": [True, True],
        "output_shapes": [[7, 5], None],
        "num_parameters": [16_512, 0],
        "activations": ["relu", None],
        "are_heads": [False, True],
        "unpredicted": [None, "a recurrent layer"],
    }


def test_hash_is_that_of_the_list_of_sites(make):
    sites = [make.site(0, "a"), make.site(1, "b")]
    same = [make.site(0, "a", 3.0), make.site(1, "b", 4.0)]
    others = [
        sites[:1],
        sites[::-1],
        [sites[0], make.site(1, "c")],
        [sites[0], make.site(1, "b", layer_type="Conv2D")],
        [],
    ]
    hashes = [hash_sites(Profile.of("net", tuple(each)).structure) for each in (sites, *others)]
    assert hash_sites(Profile.of("another net", tuple(same)).structure) == hashes[0]
    assert len(set(hashes)) == len(hashes)
    assert all(len(bytes.fromhex(each)) == 6 for each in hashes)


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ([(0.01, 1.0), (10.0, 1.0)], 2.0),
        ([(1.0, 1e4)], 4.0),
        ([(None, 1.0)], 0.0),
        ([(math.nan, 10.0)], 1.0),
        ([(0.0, 1.0)], math.inf),
        ([], None),
    ],
    ids=["falls", "backward", "not measured", "nan", "dead", "none"],
)
def test_worst_ratio_is_the_largest_distance_from_one(make, ratios, expected):
    sites = [
        make.site(index, f"s{index}", forward_ratio=f, backward_ratio=b)
        for index, (f, b) in enumerate(ratios)
    ]
    head = make.site(len(sites), "head", 1e9, is_head=True)
    assert worst_log10_ratio(Profile.of("net", (*sites, head))) == expected
