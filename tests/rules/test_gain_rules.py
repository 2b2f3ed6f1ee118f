import itertools
import math
from dataclasses import replace

import pytest

from keras_initcheck.rules.gains import BackwardGain, ForwardGain
from keras_initcheck.rules.thresholds import Thresholds
from tests.support.profiles import findings_of

VGG16 = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]


@pytest.fixture
def vgg16(make):
    """VGG16's thirteen convolutions with ReLU and Glorot weights of 3x3 kernels."""

    def conv(number, channels, filters):
        shapes = {
            "layer_type": "Conv2D",
            "input_shape": (1, 8, 8, channels),
            "output_shape": (1, 8, 8, filters),
        }
        return make.weight_layer(
            f"conv{number}", 2 / (9 * channels + 9 * filters), 9 * channels, 9 * filters, **shapes
        )

    pairs = enumerate(itertools.pairwise(VGG16), start=1)
    layers = [conv(number, channels, filters) for number, (channels, filters) in pairs]
    return lambda optimizer: make.chain(*layers, make.head(), optimizer=optimizer)


def chain_of_gain(make, ln_gain, *after, **changes):
    """A layer on the data that keeps the scale, one that multiplies the second moment by
    `e^ln_gain`, and what follows.
    """
    variance = 2 / 64 * math.exp(ln_gain)
    return make.chain(
        make.weight_layer("first"),
        make.weight_layer("second", variance),
        *(after or (make.head(),)),
        **changes,
    )


def test_glorot_in_vgg16_is_a_warning_with_sgd(vgg16):
    (finding,) = findings_of(ForwardGain(), vgg16("SGD"))
    assert finding.severity == "warning"
    assert math.log2(finding.measured) == pytest.approx(
        -13.755, abs=1e-3
    )  # 2^-9 3^-3 over conv2..13
    assert "The signal fades: 120 times weaker from `conv2` to `conv13`." in finding.message
    assert finding.place == "conv2 … conv13"
    assert "The weights of the 12 layers multiply the mean square by e^-9.5" in finding.details
    assert "`conv3` ½ · 576 · 0.00116 = 0.333" in finding.details
    assert "he_normal" in finding.fix


def test_glorot_in_vgg16_loses_less_of_the_gradient(vgg16):
    (finding,) = findings_of(BackwardGain(), vgg16("SGD"))
    assert math.log(finding.measured) == pytest.approx(math.log(2**-9 * (2 / 3) ** 3))


def test_glorot_in_vgg16_is_silent_with_adam(vgg16):
    assert not [
        *findings_of(ForwardGain(), vgg16("Adam")),
        *findings_of(BackwardGain(), vgg16("Adam")),
    ]


def test_he_is_silent(healthy):
    assert not [*findings_of(ForwardGain(), healthy), *findings_of(BackwardGain(), healthy)]


@pytest.mark.parametrize(
    ("ln_gain", "expected"), [(5.9, []), (6.1, ["warning"]), (-6.1, ["warning"]), (12.1, ["error"])]
)
@pytest.mark.parametrize("rule", [ForwardGain(), BackwardGain()], ids=["forward", "backward"])
def test_boundary_of_the_budget(make, rule, ln_gain, expected):
    assert [
        finding.severity for finding in findings_of(rule, chain_of_gain(make, ln_gain))
    ] == expected


def test_one_odd_layer_is_the_only_culprit(make):
    layers = [
        make.weight_layer("a"),
        make.weight_layer("b", 1.9 / 64),
        make.weight_layer("c", 2e-4 / 64),
        make.head(),
    ]
    (finding,) = findings_of(ForwardGain(), make.chain(*layers))
    assert finding.culprits == ("c",)
    assert finding.site == "c"


def test_equal_layers_are_culprits_until_nine_tenths_are_explained(make):
    layers = [make.weight_layer(f"dense_{number}", 1 / 64) for number in range(11)]
    (finding,) = findings_of(ForwardGain(), make.chain(*layers, make.head()))
    assert finding.culprits == tuple(f"dense_{number}" for number in range(1, 10))
    assert "and 6 more" in finding.details


@pytest.mark.parametrize(
    ("variance", "is_trainable", "count"),
    [(2e-6, True, 0), (2e-6, False, 1), (2e6, True, 1)],
    ids=["shrinks", "frozen", "amplifies"],
)
def test_first_layer_on_the_data_counts_forward_only_if_it_amplifies_or_is_frozen(
    make, variance, is_trainable, count
):
    first = make.weight_layer("first", variance, is_trainable=is_trainable)
    profile = make.chain(first, make.weight_layer("second"), make.head())
    assert len(list(findings_of(ForwardGain(), profile))) == count
    assert not list(findings_of(BackwardGain(), profile))


@pytest.mark.parametrize("kind", ["embedding", "weight"])
def test_layer_after_weights_is_not_on_the_data(make, kind):
    before = make.site("before", kind)
    profile = make.chain(before, make.weight_layer("dense", 2e-6), make.head())
    assert [finding.severity for finding in findings_of(ForwardGain(), profile)] == ["warning"]


def test_chains_are_judged_apart(make):
    layers = [
        make.weight_layer("a"),
        make.weight_layer("b", 2 / 64 * math.exp(-4)),
        make.site("add", "merge", layer_type="Add"),
    ]
    layers += [make.weight_layer("c", 2 / 64 * math.exp(-4), chain=1), make.head()]
    assert not list(findings_of(ForwardGain(), make.chain(*layers)))


def test_intended_zero_parts_a_chain(make):
    zeros = make.weight_layer("zeros", 0.0)
    profile = make.chain(make.weight_layer("a"), zeros, make.weight_layer("b"), make.head())
    assert not list(findings_of(ForwardGain(), profile))


@pytest.mark.parametrize(
    ("rest", "severity"),
    [(1.0, "info"), (1e-4, "error"), (0.0, "info")],
    ids=["works", "below epsilon", "zero gamma"],
)
def test_normalisation_that_follows_takes_the_scale_out(make, rest, severity):
    norm = make.site("norm", "normalization", activations=make.places(h=rest))
    profile = chain_of_gain(make, -15.0, make.site("relu", "activation"), norm, make.head())
    for rule in (ForwardGain(), BackwardGain()):
        (finding,) = findings_of(rule, profile)
        assert finding.severity == severity


def test_constant_scaling_is_no_normalization(make):
    profile = chain_of_gain(
        make, -15.0, make.site("norm", "normalization", layer_type="Normalization"), make.head()
    )
    assert [finding.severity for finding in findings_of(ForwardGain(), profile)] == ["error"]


def test_single_layer_before_a_normalisation_is_silent(make):
    layers = [
        make.weight_layer("a"),
        make.site("norm", "normalization"),
        make.weight_layer("depthwise", 2e-6, chain=1),
    ]
    assert not list(
        findings_of(
            ForwardGain(), make.chain(*layers, make.site("norm2", "normalization"), make.head())
        )
    )


@pytest.mark.parametrize(
    ("ln_gain", "sum_q", "severity"),
    [(-7.0, 1.0, "info"), (-7.0, 2e-3, "warning"), (7.0, 1e6, "warning")],
)
def test_small_branch_beside_a_skip_connection_is_information(make, ln_gain, sum_q, severity):
    layers = [make.weight_layer("stem"), make.weight_layer("a", chain=1)]
    branch = make.weight_layer(
        "b", 2 / 64 * math.exp(ln_gain), chain=1, activations=make.places(h=1e-3)
    )
    shortcut = make.weight_layer("shortcut", activation=None, chain=2, inputs=(0,))
    add = make.site(
        "add", "merge", layer_type="Add", inputs=(2, 3), activations=make.places(h=sum_q)
    )
    (finding,) = findings_of(ForwardGain(), make.chain(*layers, branch, shortcut, add, make.head()))
    assert finding.severity == severity


def test_small_branch_of_a_residual_block_is_information(make):
    layers = [make.weight_layer("stem"), make.weight_layer("a", chain=1)]
    branch = make.weight_layer(
        "b", 2 / 64 * math.exp(-7.0), chain=1, activations=make.places(h=1e-3)
    )
    add = make.site(
        "add", "merge", layer_type="Add", inputs=(2, 0), activations=make.places(h=2e-3)
    )
    (finding,) = findings_of(ForwardGain(), make.chain(*layers, branch, add, make.head()))
    assert finding.severity == "info"


@pytest.mark.parametrize(
    ("ln_gains", "severity"),
    [((-5.0, -5.0), "info"), ((-7.0, -7.0), "warning"), ((-13.0, -14.0), "error")],
)
def test_branch_has_the_budget_of_a_chain_without_its_smallest_layer(make, ln_gains, severity):
    layers = [
        make.weight_layer(f"b_{k}", 2 / 64 * math.exp(ln_gain), chain=1)
        for k, ln_gain in enumerate(ln_gains)
    ]
    add = make.site("add", "merge", layer_type="Add", inputs=(2, 0))
    profile = make.chain(make.weight_layer("stem"), *layers, add, make.head())
    for rule in (ForwardGain(), BackwardGain()):
        (finding,) = findings_of(rule, profile)
        assert finding.severity == severity


def test_gate_is_information(make):
    multiply = make.site("multiply", "merge", layer_type="Multiply", inputs=(1,))
    (finding,) = findings_of(ForwardGain(), chain_of_gain(make, -7.0, multiply, make.head()))
    assert finding.severity == "info"


def test_stride_of_a_convolution_is_not_held_against_its_gradient(make):
    shapes = {"layer_type": "Conv2D", "input_shape": (1, 16, 16, 32), "output_shape": (1, 8, 8, 32)}
    layers = [
        make.weight_layer(f"conv{number}", 2 / 288, 288.0, 72.0, **shapes) for number in range(8)
    ]
    assert not list(findings_of(BackwardGain(), make.chain(*layers, make.head())))


def test_same_without_a_stride_is_a_warning(make):
    layers = [make.weight_layer(f"dense{number}", 2 / 288, 288.0, 72.0) for number in range(8)]
    (finding,) = findings_of(BackwardGain(), make.chain(*layers, make.head()))
    assert math.log(finding.measured) == pytest.approx(-7 * math.log(4))
    assert (
        "fan_avg" in finding.fix
    )  # the forward rule is kept, so He's initializer would change nothing


def test_one_initialiser_cures_both_directions(make):
    profile = chain_of_gain(make, -7.0)
    (forward,), (backward,) = (
        findings_of(ForwardGain(), profile),
        findings_of(BackwardGain(), profile),
    )
    assert "he_normal" in forward.fix
    assert backward.fix == f"{forward.fix} This follows from IC102."
    assert forward.site == backward.site


def test_gain_beyond_float64_is_infinite(make):
    layers = [make.weight_layer(f"dense_{number}", 1e100) for number in range(5)]
    (finding,) = findings_of(ForwardGain(), make.chain(*layers, make.head()))
    assert finding.measured == math.inf


def test_cost_is_told(make):
    (finding,) = findings_of(ForwardGain(), chain_of_gain(make, -7.0))
    assert "SGD took 2 to 5 times the steps" in finding.why


def test_a_layer_that_its_bias_leads_is_left_to_the_measured_rules(make):
    """As between sigmoids, where a bias of minus half of the weights' sums takes out what inputs
    around 1/2 add.
    """
    layers = [make.weight_layer(f"dense_{k}", variance=16 / 64) for k in range(6)]
    plain = make.chain(*layers, make.head())
    bias = make.kernel("dense_0", 0.0)
    for size, expected in ((0.49, 1), (0.51, 0)):
        # of what the weights make of an input of unit scale: 64 · 16/64
        biases = [
            replace(
                bias,
                name=f"dense_{k}/bias",
                layer=f"dense_{k}",
                role="bias",
                moments=make.moments(size * 16.0),
            )
            for k in range(6)
        ]
        led = plain.with_changes(weights=(*plain.weights, *biases))
        assert len(list(findings_of(ForwardGain(), led))) == expected
        (backward,) = findings_of(BackwardGain(), led)
        assert ("IC102" in backward.fix) is bool(expected)  # no cause that no finding tells of


def test_up_to_three_culprits_are_shown_with_their_factors(make):
    for num, expected in ((3, "`dense_3` ½ · 64 · 1.56e-4 = 0.005 ("), (4, " and 1 more (")):
        layers = [make.weight_layer(f"dense_{k}", 0.01 / 64) for k in range(1, num + 1)]
        profile = make.chain(make.weight_layer("first"), *layers, make.head())
        (finding,) = findings_of(ForwardGain(), profile)
        assert expected in finding.details


def test_chain_of_one_counted_layer_is_called_by_its_name(make):
    (finding,) = findings_of(BackwardGain(), chain_of_gain(make, -7.0))
    assert finding.message.startswith("The gradient fades: 33 times weaker before `second`.")
    assert finding.place == "second"


def test_layer_that_its_bias_leads_cannot_hide_what_others_lose(make):
    """What the weights multiply by e^10 behind a leading bias, others lose by e^-7 without one."""
    grown = 2 / 64 * math.exp(10.0)
    bias = make.kernel("led", 2.0 * 64 * grown, role="bias", name="led/bias")
    led = make.weight_layer("led", grown, kernels=[make.kernel("led", grown), bias])
    lost = make.weight_layer("lost", 2 / 64 * math.exp(-7.0))
    (finding,) = findings_of(
        ForwardGain(), make.chain(make.weight_layer("first"), led, lost, make.head())
    )
    assert finding.culprits == ("lost",)


def test_growing_branch_is_not_excused_by_its_skip_connection(make):
    layers = [make.weight_layer("stem"), make.weight_layer("a", chain=1)]
    branch = make.weight_layer("b", 2 / 64 * math.exp(7.0), chain=1)
    add = make.site("add", "merge", layer_type="Add", inputs=(2, 0))
    (finding,) = findings_of(ForwardGain(), make.chain(*layers, branch, add, make.head()))
    assert finding.severity == "warning"


def test_backward_gain_has_its_own_fix_where_the_forward_gain_is_in_order(make):
    """64 inputs and 8 outputs that feed on: He's weights keep the signal, and lose the gradient."""
    layers = [make.weight_layer(f"dense_{k}", 2 / 64, 64.0, 8.0) for k in range(6)]
    other = make.weight_layer("other", 2 / 64 * math.exp(-7.0), chain=1)
    norm = make.site("norm", "normalization", layer_type="Normalization")
    profile = make.chain(*layers, norm, other, make.head())
    backward, *rest = findings_of(BackwardGain(), profile)
    assert backward.culprits[0] == "dense_1"
    assert "fan_avg" in backward.fix
    assert [finding.site for finding in rest] == ["other"]
    assert "This follows from IC102." in rest[0].fix


@pytest.mark.parametrize(("share", "culprits"), [(0.9, ("b",)), (1.0, ("b", "c"))])
def test_share_of_the_gain_decides_how_many_culprits_are_named(make, share, culprits):
    layers = [make.weight_layer("a"), make.weight_layer("b", 2 / 64 * math.exp(-7.0))]
    layers += [make.weight_layer("c", 2 / 64 * math.exp(-0.1)), make.head()]
    thresholds = Thresholds(culprit_share=share)
    (finding,) = findings_of(ForwardGain(), make.chain(*layers), thresholds)
    assert finding.culprits == culprits


@pytest.mark.parametrize(
    ("measured", "mean", "severity"),
    [(1.0, 0.0, "info"), (0.0067, 0.0, "error"), (1.0, 0.05, "error"), (math.nan, 0.0, "error")],
    ids=["denied", "confirmed", "one sign", "not measured"],
)
def test_measured_ratios_decide_unless_weights_have_one_sign(measured, mean, severity, make):
    """Five ratios of e^-5 are e^-25; the weights' second moment is 2/64 e^-5 = 2e-4."""
    layers = [
        make.weight_layer(
            f"dense_{number}",
            kernels=[
                make.kernel(
                    f"dense_{number}",
                    2 / 64 * math.exp(-5),
                    moments=make.moments(2 / 64 * math.exp(-5), mean=mean / 5),
                )
            ],
            predicted_forward_ratio=math.exp(-5),
            forward_ratio=measured,
        )
        for number in range(6)
    ]
    (finding,) = findings_of(ForwardGain(), make.chain(*layers, make.head()))
    assert finding.severity == severity
    assert finding.message.startswith("What tells samples apart dies") == (mean > 0.0)
