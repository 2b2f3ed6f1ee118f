"""Losses far above a guess, and heads that do not fit their loss."""

import math

import pytest

from keras_initcheck.rules.head import HeadAndLoss
from keras_initcheck.rules.judgement import judge
from keras_initcheck.rules.loss_at_init import LossAtInit
from tests.support.profiles import findings_of


def profile(make, *targets, **changes):
    return make.chain(
        make.weight_layer("hidden"),
        make.head(),
        **{"outputs": targets, "backend": "torch", **changes},
    )


def severities(rule, profile):
    return [finding.severity for finding in findings_of(rule, profile)]


def logits(make, deviation, value=12.0, **changes):
    """A classifier whose loss applies the softmax."""
    return make.target(
        activation=None,
        from_logits=True,
        value=value,
        logit_deviation=deviation,
        minimum=-3.0,
        **changes,
    )


def test_classifier_that_guesses_is_silent(make):
    assert not severities(LossAtInit(), profile(make, make.target()))


@pytest.mark.parametrize(("deviation", "count"), [(19.9, 0), (20.1, 1)])
def test_large_logits_are_a_warning(make, deviation, count):
    assert severities(LossAtInit(), profile(make, logits(make, deviation))) == ["warning"] * count


@pytest.mark.parametrize(("deviation", "count"), [(14.9, 0), (15.1, 1)])
def test_clipped_probabilities_bear_less(make, deviation, count):
    assert (
        severities(LossAtInit(), profile(make, make.target(value=12.0, logit_deviation=deviation)))
        == ["warning"] * count
    )


def test_tensorflow_finds_the_logits_behind_probabilities(make):
    assert not severities(
        LossAtInit(),
        profile(make, make.target(value=16.0, logit_deviation=19.0), backend="tensorflow"),
    )


@pytest.mark.parametrize(("surplus", "count"), [(1.9, 0), (2.1, 1)])
def test_large_logits_that_are_mostly_right_are_silent(make, surplus, count):
    assert (
        len(
            severities(
                LossAtInit(), profile(make, logits(make, 50.0, value=math.log(10) + surplus))
            )
        )
        == count
    )


def test_binary_decision_is_held_against_ln_2(make):
    labels = make.labels(0.0, 1.0)
    binary = make.target(
        "binary_crossentropy",
        activation="sigmoid",
        width=1,
        value=2.8,
        logit_deviation=40.0,
        labels=labels,
    )
    (finding,) = findings_of(LossAtInit(), profile(make, binary))
    assert "2.8 before training, and 0.693 by guessing" in finding.message


def test_large_input_of_the_head_is_named(make):
    head = make.head(activations=make.places(x=400.0))
    (finding,) = findings_of(
        LossAtInit(), make.chain(make.weight_layer("hidden"), head, outputs=(logits(make, 30.0),))
    )
    assert "The input of the head has a root mean square of 20." in finding.message
    assert (finding.site, finding.culprits) == ("head", ("head",))


@pytest.mark.parametrize(
    ("variance", "culprits"),
    [(2.0, ("b",)), (2 / 64, ("head",))],
    ids=["an amplifying layer", "none"],
)
def test_layer_that_makes_the_heads_input_large_is_the_culprit(make, variance, culprits):
    layers = [
        make.weight_layer("a"),
        make.weight_layer("b", variance),
        make.head(activations=make.places(x=400.0)),
    ]
    (finding,) = findings_of(
        LossAtInit(), make.chain(*layers, outputs=(logits(make, 30.0, site=2),))
    )
    assert (finding.site, finding.culprits) == ("head", culprits)
    assert ("`b` ½ · 64 · 2 = 64." in finding.details) is (culprits == ("b",))
    assert ("`b` amplifies the signal" in finding.message) is (culprits == ("b",))


@pytest.mark.parametrize(
    "changes", [{"step": 1}, {"batch_size": 3}], ids=["trained", "few samples"]
)
def test_trained_networks_and_few_samples_are_not_judged(make, changes):
    assert not severities(LossAtInit(), profile(make, logits(make, 50.0), **changes))


def test_logits_that_are_not_known_are_not_judged(make):
    assert not severities(LossAtInit(), profile(make, logits(make, math.nan)))


@pytest.mark.parametrize("deviation", [9.4, math.nan], ids=["narrow logits", "not known"])
@pytest.mark.parametrize(("surplus", "count"), [(29.9, 0), (30.1, 1)])
def test_loss_far_above_a_guess_is_a_warning_whatever_the_logits(make, deviation, surplus, count):
    output = logits(make, deviation, value=math.log(10) + surplus)
    found = findings_of(LossAtInit(), profile(make, output))
    assert [(each.severity, each.expected) for each in found] == [
        ("warning", "within 30 of 2.3")
    ] * count
    assert not any("nan" in finding.message for finding in found)


def tied(make, *sites, **changes):
    """A transformer whose output is made from its table of ten tokens N(0, 1), of width 64."""
    table = make.kernel(
        "table", 1.0, 10.0, 64.0, role="embedding", name="table/embeddings", is_trainable=True
    )
    first = (make.site("table", "embedding"), [table])
    output = logits(make, 14.2, value=82.0, site=2)
    return make.chain(
        first, make.site("norm", "normalization"), *sites, outputs=(output,), **changes
    )


@pytest.mark.parametrize("name", ["table#2", "tied_head"], ids=["called again", "own layer"])
def test_table_that_is_the_head_as_well_is_named(make, name):
    (finding,) = findings_of(LossAtInit(), tied(make, make.site(name)))
    assert (finding.layer, finding.culprits) == ("table", ("table",))
    assert finding.message.startswith("The table `table/embeddings` is the head as well")
    assert "82 before training, and 2.3 by guessing" in finding.message
    assert finding.fix == "Draw the table with RandomNormal(stddev=0.1), 1 / sqrt(64), or less."


def test_head_with_a_kernel_of_its_own_does_not_use_the_table(make):
    head = make.weight_layer("head", 1 / 64, 64.0, 10.0, activation=None, is_head=True, chain=None)
    (finding,) = findings_of(LossAtInit(), tied(make, head))
    assert finding.culprits == ("head",)


def test_loss_of_a_misfit_is_told_once(make):
    misfit = make.target(
        activation=None, minimum=-90.0, maximum=90.0, value=14.0, logit_deviation=30.0
    )
    assert [finding.code for finding in judge(profile(make, misfit)).findings] == ["IC406"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"from_logits": True}, ["warning"]),
        ({"from_logits": True, "activation": None, "minimum": -2.0}, []),
        ({"activation": None, "minimum": -0.1}, ["warning"]),
        ({"activation": None}, ["warning"]),
        ({"activation": "tanh", "minimum": -0.9}, ["warning"]),
        ({"activation": "relu"}, ["warning"]),
        ({"activation": "softsign"}, ["warning"]),
        ({"activation": "hard_sigmoid"}, ["warning"]),
        ({"activation": "softplus", "maximum": 9.0}, []),
        ({"activation": "sigmoid"}, ["info"]),
        ({"inner_activation": "softmax"}, ["warning"]),
        ({"inner_activation": "relu"}, []),
        ({"from_logits": True, "activation": "tanh", "minimum": -0.9}, ["warning"]),
        ({"from_logits": True, "activation": "relu"}, []),
        ({"activation": "unknown", "minimum": -0.1}, []),
        ({"activation": "softmax", "width": 1}, ["error"]),
        ({"loss": "mean_squared_error", "activation": "softmax", "width": 1}, ["error"]),
        (
            {"loss": "binary_crossentropy", "activation": "sigmoid", "from_logits": True},
            ["warning"],
        ),
        ({"loss": "binary_crossentropy", "activation": "sigmoid", "width": 1}, []),
        ({"loss": "binary_crossentropy", "activation": "hard_sigmoid", "width": 1}, []),
        ({"loss": "binary_crossentropy", "activation": "softplus", "width": 1}, ["warning"]),
        ({"loss": "mean_squared_error", "activation": None, "minimum": -2.0}, []),
    ],
    ids=[
        "softmax",
        "softmax twice",
        "logits",
        "no softmax",
        "no softmax, all in 0..1 by chance",
        "tanh",
        "relu, which may be zero for all",
        "softsign",
        "hard sigmoid, which may be zero for all",
        "softplus, which Keras normalizes",
        "sigmoids, which Keras normalizes",
        "softmax behind softmax",
        "softmax behind relu",
        "tanh as logits",
        "relu as logits",
        "unknown",
        "softmax over one",
        "softmax over one, squared error",
        "sigmoid twice",
        "sigmoid",
        "hard sigmoid for a decision",
        "softplus for a decision",
        "regression",
    ],
)
def test_head_must_fit_its_loss(make, changes, expected):
    facts = {"loss": "sparse_categorical_crossentropy", **changes}
    assert severities(HeadAndLoss(), profile(make, make.target(**facts))) == expected


def test_softmax_over_one_unit_explains_the_missing_gradient(make):
    one = make.target(width=1)
    (finding,) = findings_of(HeadAndLoss(), profile(make, one))
    assert finding.fix.startswith('Use Dense(1, activation="sigmoid")')


def test_large_input_explains_large_logits(make):
    first = make.weight_layer("hidden", activations=make.places(x=1e6))
    report = judge(make.chain(first, make.head(), outputs=(logits(make, 300.0),)))
    assert [(finding.code, finding.severity) for finding in report.findings] == [
        ("IC403", "warning"),
        ("IC404", "info"),
    ]
    assert report.findings[1].message.endswith("This follows from IC403.")


def test_output_made_outside_of_layers_is_judged_without_a_site(make):
    (finding,) = findings_of(LossAtInit(), profile(make, logits(make, 30.0, site=None)))
    assert (finding.site, finding.culprits) == (None, ())


@pytest.mark.parametrize(("size", "is_named"), [(2.9, False), (3.1, True)])
def test_input_of_the_head_is_named_from_three_times_the_usual_size(make, size, is_named):
    head = make.head(activations=make.places(x=size**2))
    output = make.target(value=12.0, logit_deviation=30.0)
    profile = make.chain(make.weight_layer("a"), head, outputs=(output,), batch_size=4)
    (finding,) = findings_of(LossAtInit(), profile)
    assert ("The input of the head" in finding.message) is is_named


@pytest.mark.parametrize(("ln_gain", "culprits"), [(1.9, ("head",)), (2.1, ("a",))])
def test_layers_amplify_the_input_of_the_head_if_they_explain_half_of_it(make, ln_gain, culprits):
    """An input of second moment e^4."""
    head = make.head(activations=make.places(x=math.exp(4.0)))
    output = make.target(value=12.0, logit_deviation=30.0)
    layer = make.weight_layer("a", 2 / 64 * math.exp(ln_gain))
    (finding,) = findings_of(LossAtInit(), make.chain(layer, head, outputs=(output,)))
    assert finding.culprits == culprits


@pytest.mark.parametrize(("num", "expected"), [(3, "= 10."), (4, "= 10 and 1 more.")])
def test_three_amplifying_layers_are_shown(make, num, expected):
    head = make.head(activations=make.places(x=1e3))
    layers = [make.weight_layer(f"dense_{k}", 10 * 2 / 64) for k in range(num)]
    outputs = (make.target(site=num, value=12.0, logit_deviation=30.0),)
    (finding,) = findings_of(LossAtInit(), make.chain(*layers, head, outputs=outputs))
    assert finding.details.endswith(expected)


@pytest.mark.parametrize(
    ("loss", "squashing"),
    [("sparse_categorical_crossentropy", "softmax"), ("binary_crossentropy", "sigmoid")],
)
def test_misfit_names_the_activation_that_the_loss_expects(make, loss, squashing):
    output = make.target(loss, site=0, activation=None, minimum=-1.0, maximum=1.0)
    (finding,) = findings_of(HeadAndLoss(), make.chain(make.head(), outputs=(output,)))
    assert f'activation="{squashing}"' in finding.fix


def test_tensorflow_undoes_a_second_softmax_but_not_a_third(make):
    twice = make.target(from_logits=True)
    thrice = make.target(from_logits=True, inner_activation="softmax")
    (finding,) = findings_of(HeadAndLoss(), profile(make, twice, backend="tensorflow"))
    assert finding.severity == "info"
    assert "Keras undoes the activation on TensorFlow" in finding.message
    assert severities(HeadAndLoss(), profile(make, thrice, backend="tensorflow")) == ["warning"]


def test_own_loss_that_applies_the_softmax_again_is_told_as_such(make):
    own = make.target(from_logits=True, is_own_loss=True)
    (finding,) = findings_of(HeadAndLoss(), profile(make, own))
    assert "a function of your own with the value of sparse_categorical" in finding.message
    # Keras undoes a softmax for its own losses only.
    assert severities(HeadAndLoss(), profile(make, own, backend="tensorflow")) == ["warning"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # 1 / (1 + e), e / (1 + e)
        ({"loss": "binary_crossentropy", "activation": "sigmoid"}, "below 0.269 or above 0.731"),
        # 1 / (1 + 9 e²), e² / (e² + 9)
        ({"loss": "sparse_categorical_crossentropy"}, "below 0.0148 or above 0.451"),
    ],
    ids=["sigmoid", "softmax"],
)
def test_probabilities_of_bounded_logits_are_told(make, changes, expected):
    (finding,) = findings_of(
        HeadAndLoss(), profile(make, make.target(inner_activation="tanh", **changes))
    )
    assert expected in finding.message
    assert finding.fix.startswith("Remove the tanh")


def test_sigmoids_for_classes_are_still_judged_by_their_loss(make):
    output = make.target(activation="sigmoid", value=12.0, logit_deviation=30.0)
    assert severities(LossAtInit(), profile(make, output)) == ["warning"]
