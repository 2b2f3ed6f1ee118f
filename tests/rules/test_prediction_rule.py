"""The first layer that leaves its prediction, and the sentence on why. Six layers of 64 ReLU units:
a log ratio's variance is 0.0842.
"""

import math
from dataclasses import replace

import pytest

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.prediction_errors import parts_of
from keras_initcheck.rules.prediction import LeavesPrediction
from tests.support.profiles import findings_of

VARIANCE = 0.0842
TRAINED = "seem trained"


@pytest.fixture
def net(make):
    """`net(logs, **changes)`: layers whose measured log ratio to the prediction is given, `changes`
    are of the last one.
    """

    def made(logs, weights=None, first=None, **changes):
        layers = []
        for number, log in enumerate(logs):
            own = changes if number == len(logs) - 1 else {}
            facts = {
                "predicted_log10_second_moment": -log / math.log(10),
                "log_ratio_variance": VARIANCE,
            }
            layers.append(make.weight_layer(f"dense_{number}", **{**facts, **own}))
        profile = make.chain(*([first] if first else []), *layers, make.head())
        return profile.with_changes(weights=(*profile.weights, *(weights or ())))

    return made


def check(profile):
    return list(findings_of(LeavesPrediction(), profile))


@pytest.mark.parametrize("sign", [1, -1])
def test_boundary_is_the_band_of_all_layers_and_a_factor_of_two(net, sign):
    widest = math.sqrt(2 * math.log(2 * 3 / 0.01))
    edge = widest * math.sqrt(3 * VARIANCE) + math.log(2) - sign * 3 * VARIANCE / 2
    assert not check(net([0.0, 0.0, sign * (edge - 0.01)]))
    (finding,) = check(net([0.0, 0.0, sign * (edge + 0.01)]))
    assert (finding.code, finding.severity, finding.site) == ("IC210", "info", "dense_2")


def test_silent_where_the_prediction_holds(healthy, net):
    assert not check(healthy)
    assert not check(net([0.1, -0.2, 0.3]))


def test_head_is_left_to_the_loss(net):
    profile = net([0.0, 0.0])
    head = replace(profile.sites[-1], predicted_log10_second_moment=9.0)
    assert not check(profile.with_changes(sites=(*profile.sites[:-1], head)))


@pytest.mark.parametrize("predicted", [None, math.nan, -math.inf], ids=str)
def test_layer_without_a_prediction_is_not_judged(net, predicted):
    assert not check(net([0.0, 5.0], predicted_log10_second_moment=predicted))


def test_signal_that_is_not_finite_is_left_to_other_rules(net, make, broken, zero):
    assert not check(net([0.0, 5.0], activations=make.places(h=broken)))
    assert not check(net([0.0, 5.0], activations=make.places(h=zero)))


def test_first_layer_outside_is_named_with_its_number(net):
    (finding,) = check(net([0.0, 4.0, 9.0]))
    assert finding.site == "dense_1"
    assert finding.measured == pytest.approx(math.exp(4.0))
    assert finding.message.startswith(
        "From `dense_1` on, the signal is 7.4 times stronger than inputs and weights predict."
    )
    assert "fewer than 1 of 100 healthy networks" in finding.message


def test_normalisation_begins_a_new_band(net, make):
    norm = make.site("norm", "normalization", predicted_log10_second_moment=0.0)
    profile = make.chain(
        make.weight_layer("a", log_ratio_variance=5.0),
        norm,
        make.weight_layer("b", log_ratio_variance=VARIANCE),
    )
    assert [
        round(each.variance, 4) for each in Evidence(_predicted(profile)).deviations.values()
    ] == [
        5.0,
        0.0,
        VARIANCE,
    ]
    profile = make.chain(
        make.weight_layer("a", log_ratio_variance=5.0), replace(norm, layer_type="Normalization")
    )
    assert Evidence(_predicted(profile)).deviations[1].variance == 5.0


def test_where_ways_meet_the_wider_band_holds_and_the_larger_operand_is_followed(make):
    narrow = make.weight_layer("narrow", log_ratio_variance=3.0, activations=make.places(h=9.0))
    wide = make.weight_layer("wide", log_ratio_variance=0.1, inputs=(0,))
    profile = _predicted(
        make.chain(
            make.site("start", "other"), narrow, wide, make.site("add", "merge", inputs=(1, 2))
        )
    )
    found = Evidence(profile).deviations
    assert found[3].variance == 3.0
    parts = parts_of(found[3], found, profile.sites, profile.measurement)
    assert [profile.sites[index].name for index, _ in parts] == [
        "add",
        "narrow",
        "start",
    ]


def test_place_where_it_began_is_named(make, net):
    pool = make.site(
        "pool",
        "pass",
        layer_type="AveragePooling2D",
        predicted_log10_second_moment=-4.0 / math.log(10),
    )
    (finding,) = check(net([4.0], first=pool))
    assert (
        "The difference begins in `pool`. `pool` joins positions that are alike" in finding.message
    )
    (finding,) = check(net([1.0, 1.7, 2.4, 3.1, 3.8]))
    assert "Most of the difference arises in `dense_0`." in finding.message


def test_sum_has_something_in_common(make, net):
    add = make.site("add", "merge", predicted_log10_second_moment=-4.0 / math.log(10))
    (finding,) = check(net([4.0], first=add))
    assert "`add` joins signals that have something in common" in finding.message


def _predicted(profile):
    return profile.with_changes(
        sites=tuple(replace(site, predicted_log10_second_moment=0.0) for site in profile.sites),
    )


class TestCause:
    def test_is_not_made_up(self, net):
        (finding,) = check(net([0.0, 4.0]))
        assert finding.message.endswith("Its cause is not known.")

    def test_training(self, net):
        (finding,) = check(replace(net([0.0, 4.0]), step=7))
        assert "The weights have been trained" in finding.message

    def test_trained_before(self, net, make):
        biases = [make.kernel("dense_0", 1e-4, role="bias", name="dense_0/bias")]
        (finding,) = check(net([0.0, 4.0], biases))
        assert TRAINED in finding.message
        fresh = make.kernel("dense_1", 0.0, role="bias", name="dense_1/bias")
        (finding,) = check(net([0.0, 4.0], [*biases, fresh]))
        assert TRAINED not in finding.message

    def test_bias(self, net, make):
        biases = [make.kernel("dense_1", 0.5, role="bias", name="dense_1/bias")]
        (finding,) = check(net([0.0, 4.0], biases))
        assert "Its bias makes 50% of the signal" in finding.message

    def test_same_kernel_again(self, net):
        profile = net([0.0, 4.0])
        weights = tuple(replace(weight, fingerprint=1.5) for weight in profile.weights)
        (finding,) = check(profile.with_changes(weights=weights))
        assert "equal those of `dense_0`" in finding.message

    def test_weights_with_a_mean(self, net, make):
        profile = net([0.0, 4.0])
        kernel = replace(profile.weights[1], moments=make.moments(2 / 64, mean=0.1))
        (finding,) = check(
            profile.with_changes(weights=(profile.weights[0], kernel, *profile.weights[2:]))
        )
        assert "The weights have a mean" in finding.message

    @pytest.mark.parametrize(
        ("x", "sentence"),
        [
            (
                {"max_abs": 20.0},
                "The data is not normalized: its largest value is 20 times the root mean square.",
            ),
            ({"mean": 0.9}, "The data is not centered"),
            ({"batch_share": 0.02}, "only 2% of the variance between them"),
            ({"max_abs": 9.0, "mean": 0.5, "batch_share": 0.2}, "Its cause is not known"),
        ],
        ids=["outlier", "uncentred", "alike", "none"],
    )
    def test_input(self, net, make, x, sentence):
        (finding,) = check(net([4.0], activations=make.places(x=make.moments(**x))))
        assert sentence in finding.message

    def test_outlier_in_depth_is_not_said_of_the_data(self, net, make):
        (finding,) = check(net([0.0, 4.0], activations=make.places(x=make.moments(max_abs=20.0))))
        assert "A few values make most of the signal" in finding.message

    def test_saturation(self, net, make):
        gradients = make.places(h=1.0, z=0.01)
        (finding,) = check(net([0.0, 4.0], activation="tanh", random_gradients=gradients))
        assert "Its units saturate: 10% of the gradient passes" in finding.message

    def test_dead_units(self, net, make):
        (finding,) = check(net([0.0, 4.0], activations=make.places(h=make.moments(share_dead=0.7))))
        assert "70% of its units are zero for every sample" in finding.message

    @pytest.mark.parametrize(
        ("after", "is_padded"),
        [((8, 6, 6, 64), True), ((8, 4, 4, 64), False)],
        ids=["same", "valid"],
    )
    def test_padding(self, net, make, after, is_padded):
        kernel = make.kernel("dense_1", 2 / 64)
        profile = net(
            [0.0, 4.0], layer_type="Conv2D", input_shape=(8, 6, 6, 64), output_shape=after
        )
        kernels = (profile.weights[0], replace(kernel, shape=(3, 3, 64, 64), fingerprint=3.0))
        (finding,) = check(profile.with_changes(weights=kernels))
        assert ("Its padding" in finding.message) is is_padded
