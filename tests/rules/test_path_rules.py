import math

import pytest

from keras_initcheck.rules.gains import BackwardGain, ForwardGain
from keras_initcheck.rules.judgement import judge
from keras_initcheck.rules.path_rules import (
    GradientSpread,
    MeasuredPathGain,
    MeasuredPathGradient,
)
from tests.support.profiles import findings_of


def own(make, name, ln_size, ln_gradient=0.0, kind="other", **changes):
    """A site whose output and gradient have those logarithms of their second moments."""
    return make.site(
        name,
        kind,
        activations=make.places(h=math.exp(ln_size)),
        random_gradients=make.places(h=math.exp(ln_gradient)),
        **changes,
    )


def behind_function(make, ln_gain, *, ln_gradient=None, **changes):
    """Two layers, a function that multiplies by `e^ln_gain`, and a layer and a head behind it.

    The gradient before the function has `e^ln_gradient`, or what such a factor makes of it.
    """
    below = ln_gain if ln_gradient is None else ln_gradient
    before = make.places(h=math.exp(below), x=math.exp(below))
    after = make.places(h=math.exp(ln_gain), x=math.exp(ln_gain))
    return make.chain(
        make.weight_layer("first", chain=0, random_gradients=before),
        make.weight_layer("second", chain=0, random_gradients=before),
        own(make, "function", ln_gain, layer_type="Lambda"),
        make.weight_layer("third", chain=1, activations=after),
        make.head(),
        **changes,
    )


def severities(rule, profile):
    return [finding.severity for finding in findings_of(rule, profile)]


@pytest.mark.parametrize(
    ("ln_gain", "expected"),
    [(-5.9, []), (-6.1, ["warning"]), (6.1, ["warning"]), (-12.1, ["error"])],
)
def test_function_between_layers_is_named_beyond_the_budget(make, ln_gain, expected):
    profile = behind_function(make, ln_gain)
    assert severities(MeasuredPathGain(), profile) == expected
    assert {finding.site for finding in findings_of(MeasuredPathGain(), profile)} <= {"function"}


def test_message_says_what_the_function_does(make):
    (finding,) = findings_of(MeasuredPathGain(), behind_function(make, 2 * math.log(1e-6)))
    assert "1e6 times weaker in `function` (Lambda)" in finding.message
    assert finding.fix.startswith("Keep the size of the signal in `function` (Lambda)")
    assert finding.culprits == ("function",)


def test_function_has_the_budget_of_the_optimizer(make):
    assert severities(MeasuredPathGain(), behind_function(make, -11.0, optimizer="Adam")) == []
    assert severities(MeasuredPathGain(), behind_function(make, -13.0, optimizer="Adam")) == [
        "warning"
    ]


def test_gradient_follows_from_the_signal(make):
    report = judge(behind_function(make, -14.0))
    found = {finding.code: finding for finding in report.findings}
    assert (found["IC211"].severity, found["IC306"].severity) == ("error", "info")
    assert "This follows from IC211" in found["IC306"].message


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize(
    ("ln_gradient", "expected"), [(5.9, []), (6.1, ["warning"]), (12.1, ["error"])]
)
def test_gradient_that_grows_alone_is_chaos_for_every_optimizer(
    make, optimizer, ln_gradient, expected
):
    profile = behind_function(make, 0.1, ln_gradient=0.1 + ln_gradient, optimizer=optimizer)
    assert severities(MeasuredPathGradient(), profile) == expected
    assert severities(MeasuredPathGain(), profile) == []


@pytest.mark.parametrize(
    ("optimizer", "ln_gradient", "expected"),
    [
        ("SGD", -11.0, []),
        ("SGD", -13.0, ["warning"]),
        ("Adam", -19.0, []),
        ("SGD", -25.0, ["warning"]),
    ],
)
def test_gradient_that_shrinks_alone_is_a_warning_at_most(make, optimizer, ln_gradient, expected):
    profile = behind_function(make, 0.1, ln_gradient=ln_gradient, optimizer=optimizer)
    assert severities(MeasuredPathGradient(), profile) == expected


def test_gradient_in_front_of_the_second_layer_with_weights_is_nobodys(make):
    profile = make.chain(
        make.weight_layer("first", random_gradients=make.places(h=math.exp(9.0))),
        own(make, "function", 0.0),
        make.weight_layer("second", chain=1),
        make.head(),
    )
    assert severities(MeasuredPathGradient(), profile) == []


@pytest.mark.parametrize(("ln_gain", "expected"), [(-5.9, []), (-6.1, ["warning"])])
def test_function_outside_of_layers_is_named_by_the_layer_behind_it(make, ln_gain, expected):
    below, behind = make.places(h=math.exp(ln_gain), x=math.exp(ln_gain)), math.exp(ln_gain)
    follows = {"inputs_known": False, "follows_previous": True}
    after = make.places(h=behind, x=behind)
    profile = make.chain(
        make.weight_layer("first", random_gradients=below),
        make.weight_layer("second", random_gradients=below),
        make.weight_layer("third", activations=after, **follows),
        make.head(activations=after),
    )
    found = findings_of(MeasuredPathGain(), profile)
    assert [finding.severity for finding in found] == expected
    assert not findings_of(ForwardGain(), profile)
    for finding in found:
        assert finding.fix.startswith("Keep the size of the signal in the function before `third`")


def test_function_before_the_head_counts(make):
    tiny = make.places(x=math.exp(-13.0))
    last = make.head(activations=tiny, inputs_known=False, follows_previous=True)
    profile = make.chain(make.weight_layer("first"), make.weight_layer("second"), last)
    (finding,) = findings_of(MeasuredPathGain(), profile)
    assert (finding.severity, finding.site) == ("error", "head")
    assert "in the function before `head`" in finding.message


def test_unknown_arithmetic_is_no_function_of_the_output_before(make):
    tiny = make.places(x=math.exp(-13.0))
    last = make.head(activations=tiny, inputs_known=False)
    profile = make.chain(make.weight_layer("first"), make.weight_layer("second"), last)
    assert severities(MeasuredPathGain(), profile) == []


def with_unknown_functions(make, ln_factor, variance=1 / 64, optimizer="SGD"):
    """Layers whose functions behind them multiply the gradient by `e^ln_factor`."""
    layers = []
    for k in range(4):
        gradient = math.exp((3 - k) * (ln_factor + math.log(64 * variance)))
        ratio = math.exp(ln_factor) * 64 * variance
        changes = {"inputs_known": False, "follows_previous": True} if k else {}
        layers.append(
            make.weight_layer(
                f"wave_{k}",
                variance,
                activation="unknown",
                random_gradients=make.places(h=gradient, x=gradient * ratio),
                predicted_backward_ratio=ratio,
                predicted_forward_ratio=64 * variance,
                **changes,
            )
        )
    return make.chain(*layers, make.head(), optimizer=optimizer)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_function_that_makes_chaos_is_told_instead_of_the_weights(make, optimizer):
    profile = with_unknown_functions(make, 6.0, optimizer=optimizer)
    (finding,) = findings_of(MeasuredPathGradient(), profile)
    assert finding.severity == "error"
    assert "The function after `wave_" in finding.message
    assert not findings_of(BackwardGain(), profile)


def test_weights_around_an_unknown_activation_are_told(make):
    profile = with_unknown_functions(make, math.log(0.5), variance=64.0 / 64)
    (finding,) = findings_of(BackwardGain(), profile)
    assert finding.severity == "warning"


def test_gradient_of_a_stream_is_not_that_of_its_branch(make):
    stream = make.places(h=math.exp(10.0))
    profile = make.chain(
        make.weight_layer("stem", random_gradients=stream),
        make.weight_layer("stem_2", chain=1, random_gradients=stream),
        make.weight_layer("branch", chain=2),
        make.weight_layer("sum", chain=3, inputs_known=False),
        make.head(),
    )
    assert severities(MeasuredPathGradient(), profile) == []


def products(make, ln_ratio, variance, number=3, **changes):
    """Layers of the user's own with a matrix of 64 by 64, each of which makes that ratio."""
    layers = []
    for k in range(number):
        size = (k + 1) * ln_ratio
        gradient = (number - 1 - k) * ln_ratio
        matrix = make.kernel(f"own_{k}", variance, role="other", fan_in=64.0, fan_out=64.0)
        facts = {"fan_in": None, "fan_out": None}
        site = own(make, f"own_{k}", size, gradient, num_parameters=64 * 64)
        layers.append((site, [type(matrix)(**{**vars(matrix), **facts})]))
    last = make.places(h=1.0, x=math.exp(number * ln_ratio))
    inputs = (("x", make.moments()),)
    return make.chain(*layers, make.head(activations=last), inputs=inputs, **changes)


def test_matrices_of_own_layers_are_told_like_kernels(make):
    profile = products(make, math.log(0.5 * 64 * 1e-4), 1e-4)
    (forward,) = findings_of(ForwardGain(), profile)
    (backward,) = findings_of(BackwardGain(), profile)
    assert forward.culprits == ("own_1", "own_2")  # the first catches up
    assert "he_normal" in forward.fix
    assert backward.severity == "warning"
    assert not findings_of(MeasuredPathGain(), profile)


def test_matrix_that_does_not_explain_the_ratio_is_no_kernel(make):
    profile = products(make, -14.0, 1.0)
    assert not findings_of(ForwardGain(), profile)
    assert severities(MeasuredPathGain(), profile) == ["error"]


@pytest.mark.parametrize(("ln_ratio", "expected"), [(-11.0, []), (-13.0, ["error"])])
def test_first_layer_of_the_users_own_counts_when_it_cannot_catch_up(make, ln_ratio, expected):
    assert severities(MeasuredPathGain(), products(make, ln_ratio, 1.0, number=1)) == expected


def test_what_a_normalization_follows_is_silent(make):
    profile = make.chain(
        make.weight_layer("first"),
        own(make, "function", -14.0),
        make.weight_layer("second", activations=make.places(math.exp(-14.0), x=math.exp(-14.0))),
        make.site("norm", "normalization"),
        make.head(),
    )
    assert severities(MeasuredPathGain(), profile) == []


def test_own_normalization_starts_a_path(make):
    standardized = make.moments(mean=0.0)
    profile = make.chain(
        make.weight_layer("first"),
        own(make, "function", -14.0),
        make.site("own_norm", activations=make.places(standardized), num_parameters=64),
        make.weight_layer("second", chain=1),
        make.head(),
    )
    assert severities(MeasuredPathGain(), profile) == []


@pytest.mark.parametrize(("ln_size", "expected"), [(-0.5, []), (3.0, ["warning"])])
def test_small_signal_that_a_function_restores_is_silent(make, ln_size, expected):
    small = make.places(h=math.exp(-4.0))
    profile = make.chain(
        make.weight_layer("first", activations=small),
        own(make, "restores", ln_size, num_parameters=64),
        make.weight_layer("second", chain=1, activations=make.places(x=math.exp(ln_size))),
        make.head(),
    )
    assert severities(MeasuredPathGain(), profile) == expected


def test_table_of_vectors_starts_a_path(make):
    table = make.kernel("quantized", 1e-6, role="other", fan_in=512.0)
    site = own(make, "quantized", math.log(1.1e-6), num_parameters=512 * 64)
    x = make.places(x=1.1e-6)
    profile = make.chain(make.weight_layer("first"), (site, [table]), make.head(activations=x))
    assert severities(MeasuredPathGain(), profile) == []


def test_unit_vectors_may_be_made_larger(make):
    unit = -math.log(64.0)

    def scaled(ln_size):
        return make.chain(
            make.weight_layer("first"),
            own(make, "unit", unit),
            own(make, "scale", ln_size),
            make.head(activations=make.places(x=math.exp(ln_size))),
        )

    assert severities(MeasuredPathGain(), scaled(5.0)) == []
    assert severities(MeasuredPathGain(), scaled(7.0)) == ["warning"]


def test_gate_is_not_on_the_path(make):
    profile = make.chain(
        make.weight_layer("stream"),
        own(make, "gate", -14.0, num_parameters=64),
        own(make, "product", -14.0, kind="merge", layer_type="Multiply", inputs=(0, 1)),
        make.head(activations=make.places(x=math.exp(-14.0))),
    )
    assert severities(MeasuredPathGain(), profile) == []


def test_small_branch_of_a_sum_is_silent(make):
    profile = make.chain(
        make.weight_layer("stream"),
        own(make, "function", -14.0),
        make.weight_layer("branch", activations=make.places(math.exp(-14.0), x=math.exp(-14.0))),
        own(make, "sum", 0.0, kind="merge", layer_type="Add", inputs=(0, 2)),
        make.head(),
    )
    assert severities(MeasuredPathGain(), profile) == []


def test_mean_over_positions_may_shrink(make):
    def pooled(ln_size):
        pool = own(make, "mean", ln_size, input_shape=(8, 400, 64), output_shape=(8, 64))
        x = make.places(x=math.exp(ln_size))
        return make.chain(make.weight_layer("first"), pool, make.head(activations=x))

    assert severities(MeasuredPathGain(), pooled(-math.log(400.0))) == []
    assert severities(MeasuredPathGain(), pooled(-13.0)) == ["warning"]


def learning(make, ln_ratio, **changes):
    """A kernel whose gradient has `e^ln_ratio` of the squared norm of the bias's."""
    kernel = make.kernel("first", 2 / 64, gradient=make.moments(math.exp(ln_ratio)))
    bias = make.kernel(
        "first", 0.0, role="bias", name="first/bias", shape=(64,), gradient=make.moments(1.0)
    )
    layer = make.weight_layer("first", kernels=[kernel, bias])
    return make.chain(layer, make.head(kernels=[]), **changes)


@pytest.mark.parametrize(
    ("ln_ratio", "optimizer", "expected"),
    [
        (-5.9, "SGD", []),
        (-6.1, "SGD", ["warning"]),
        (-12.1, "SGD", ["error"]),
        (-11.0, "Adam", []),
        (-12.1, "Adam", ["warning"]),
        (30.0, "SGD", []),
    ],
)
def test_gradients_of_weights_beside_those_of_biases(make, ln_ratio, optimizer, expected):
    profile = learning(make, ln_ratio, optimizer=optimizer)
    assert severities(GradientSpread(), profile) == expected


def test_without_labels_nothing_is_said_of_gradients(healthy):
    assert not findings_of(GradientSpread(), healthy)


def test_small_input_explains_small_gradients(make):
    small = make.places(x=math.exp(-14.0))
    first = make.weight_layer("first", activations=small)[0]
    kernels = [
        make.kernel("first", 2 / 64, gradient=make.moments(math.exp(-14.0))),
        make.kernel("first", 0.0, role="bias", shape=(64,), gradient=make.moments(1.0)),
    ]
    profile = make.chain((first, kernels), make.head(), loss=2.3)
    found = {finding.code: finding.severity for finding in judge(profile).findings}
    assert (found["IC403"], found["IC307"]) == ("error", "info")  # as bad as what follows


def test_healthy_chain_is_silent(healthy):
    for rule in (MeasuredPathGain(), MeasuredPathGradient(), GradientSpread()):
        assert not findings_of(rule, healthy)


@pytest.mark.parametrize(("ln_sum", "expected"), [(0.0, []), (-7.0, ["warning"])])
def test_branch_that_is_added_to_something_larger_may_be_small(make, ln_sum, expected):
    small = make.places(h=math.exp(-7.0), x=math.exp(-7.0))
    total = make.places(h=math.exp(ln_sum))
    profile = make.chain(
        make.weight_layer("first", chain=0),
        make.weight_layer("second", chain=0),
        own(make, "function", -7.0, layer_type="Lambda"),
        make.weight_layer("third", chain=1, activations=small),
        own(make, "pool", ln_sum, kind="pass", inputs=(1,)),
        make.site("sum", "merge", inputs=(3, 4), activations=total),
        make.head(),
    )
    assert severities(MeasuredPathGain(), profile) == expected
