"""Labels that the head cannot give, and labels of another scale than its output."""

import math
from dataclasses import replace

import pytest

from keras_initcheck.rules.judgement import judge
from keras_initcheck.rules.label_rules import LabelScale, LabelsOutOfRange
from tests.support.profiles import findings_of


def profile(make, *targets, **changes):
    return make.chain(make.weight_layer("hidden"), make.head(), outputs=targets, **changes)


def severities(rule, profile):
    return [finding.severity for finding in findings_of(rule, profile)]


def test_labels_in_range_are_silent(make):
    targets = (
        make.target(),
        make.regression(),
        make.target("binary_crossentropy", activation="sigmoid", labels=make.labels(0.0, 1.0)),
    )
    assert not severities(LabelsOutOfRange(), profile(make, *targets))


@pytest.mark.parametrize(
    ("minimum", "maximum", "fix"),
    [
        (1.0, 10.0, "Subtract 1"),
        (0.0, 12.0, "Give the head 13 units"),
        (-1.0, 9.0, "Number the classes from 0; mask"),
    ],
    ids=["from one", "too many", "negative"],
)
def test_classes_that_the_head_does_not_have_are_an_error(make, minimum, maximum, fix):
    (finding,) = findings_of(
        LabelsOutOfRange(),
        profile(make, make.target(labels=make.labels(minimum, maximum, share_invalid=0.1))),
    )
    assert finding.severity == "error"
    assert (
        finding.message
        == f"The labels of `out` range from {minimum:g} to {maximum:g}; the 10 classes are 0 to 9."
    )
    assert finding.fix.startswith(fix)


@pytest.mark.parametrize(
    ("value", "expected"), [(2.3, "info"), (math.nan, "error")], ids=["computed", "refused"]
)
def test_sample_weights_may_mask_classes_that_the_framework_takes(make, value, expected):
    masked = make.target(
        labels=make.labels(-1.0, 9.0, share_invalid=0.1), is_weighted=True, value=value
    )
    assert severities(LabelsOutOfRange(), profile(make, masked)) == [expected]


def test_labels_with_nan_are_an_error_and_explain_the_loss(make):
    broken = make.regression(labels=make.labels(share_nonfinite=0.25))
    report = judge(profile(make, broken, loss=math.nan))
    assert [(finding.code, finding.severity) for finding in report.findings] == [
        ("IC405", "error"),
        ("IC402", "info"),
    ]
    assert report.findings[0].message.startswith("25% of the labels of `out`")


@pytest.mark.parametrize(("is_multi_hot", "expected"), [(True, "warning"), (False, "info")])
def test_rows_that_are_no_distribution_are_told(make, is_multi_hot, expected):
    rows = make.labels(0.0, 1.0, share_invalid=0.5, is_multi_hot=is_multi_hot)
    assert severities(
        LabelsOutOfRange(), profile(make, make.target("categorical_crossentropy", labels=rows))
    ) == [expected]


@pytest.mark.parametrize(
    ("activation", "loss", "count"),
    [
        ("softmax", "mean_squared_error", 1),
        ("softmax", "binary_crossentropy", 1),
        ("sigmoid", "mean_squared_error", 0),
        ("sigmoid", "binary_crossentropy", 0),
    ],
)
def test_several_classes_are_no_choice_of_one(make, activation, loss, count):
    rows = make.labels(0.0, 1.0, is_multi_hot=True)
    target = make.target(loss, activation=activation, labels=rows)
    assert severities(LabelsOutOfRange(), profile(make, target)) == ["warning"] * count


def test_binary_labels_of_minus_one_and_one_are_an_error(make):
    labels = make.labels(-1.0, 1.0, share_invalid=0.5)
    assert severities(
        LabelsOutOfRange(),
        profile(make, make.target("binary_crossentropy", activation="sigmoid", labels=labels)),
    ) == ["error"]


@pytest.mark.parametrize(
    ("activation", "minimum", "maximum", "count"),
    [
        ("tanh", -1.0, 1.0, 0),
        ("tanh", -1.1, 1.1, 0),  # 2.2 wide: 0.11 are granted
        ("tanh", -1.12, 1.12, 1),
        ("sigmoid", 0.0, 255.0, 1),
        ("relu", 0.0, 1e6, 0),
        ("relu", -2.0, 2.0, 1),
        (None, -1e6, 1e6, 0),
        ("unknown", -1e6, 1e6, 0),
    ],
)
def test_regression_reaches_what_its_activation_gives(make, activation, minimum, maximum, count):
    target = make.regression(activation=activation, labels=make.labels(minimum, maximum))
    assert severities(LabelsOutOfRange(), profile(make, target)) == ["warning"] * count


def test_standardised_labels_are_silent(make):
    assert not severities(LabelScale(), profile(make, make.regression()))


@pytest.mark.parametrize(
    ("deviation", "optimizer", "reason"),
    [
        (14.9, "SGD", None),
        (15.1, "SGD", "are large"),
        (49.9, "Adam", None),
        (50.1, "Adam", "are large"),
        (0.051, "SGD", None),
        (0.049, "SGD", "are small beside"),
    ],
)
def test_labels_far_from_the_output_are_a_warning(make, deviation, optimizer, reason):
    target = make.regression(deviation=deviation)
    found = list(findings_of(LabelScale(), profile(make, target, optimizer=optimizer)))
    assert [finding.severity for finding in found] == ["warning"] * (reason is not None)
    assert all(f"of `out` {reason}" in finding.message for finding in found)


@pytest.mark.parametrize(("mean", "count"), [(14.9, 0), (15.1, 1)])
def test_mean_counts_with_adam_as_well(make, mean, count):
    target = make.regression(mean=mean, deviation=11.0)
    assert len(findings_of(LabelScale(), profile(make, target, optimizer="Adam"))) == count


def test_output_that_is_large_beside_usual_labels_is_to_blame(make):
    large = make.regression(minimum=-900.0, maximum=900.0, logit_deviation=300.0, value=9e4)
    (finding,) = findings_of(LabelScale(), profile(make, large))
    assert finding.fix == LabelScale.fix_of_output
    first = make.weight_layer("hidden", activations=make.places(x=9e4))
    report = judge(make.chain(first, make.head(), outputs=(large,)))
    assert [(each.code, each.severity) for each in report.findings] == [
        ("IC403", "warning"),
        ("IC407", "info"),
    ]


def test_a_few_large_labels_are_not_to_be_standardized(make):
    """5% of the labels are -100: their standard deviation is 21.8."""
    rewards = make.labels(-100.0, 0.0, mean=-5.0, deviation=21.8, absolute_deviation=5.0)
    (finding,) = findings_of(
        LabelScale(), profile(make, make.regression(labels=rewards, value=501.0))
    )
    assert finding.fix.startswith("Use keras.losses.Huber()")


@pytest.mark.parametrize(("mean", "count"), [(4.9, 0), (5.1, 1), (-5.1, 1)])
def test_mean_beyond_five_deviations_is_a_warning(make, mean, count):
    assert (
        severities(LabelScale(), profile(make, make.regression(mean=mean))) == ["warning"] * count
    )


def test_bias_at_the_labels_mean_is_enough(make):
    assert not severities(
        LabelScale(), profile(make, make.regression(mean=15.0, minimum=14.0, maximum=16.0))
    )


def test_output_that_is_scaled_to_the_labels_is_silent(make):
    target = make.regression(deviation=100.0)
    assert severities(LabelScale(), profile(make, target)) == ["warning"]
    assert not severities(LabelScale(), profile(make, replace(target, logit_deviation=10.1)))


def test_absolute_errors_are_held_against_the_mean_deviation(make):
    target = replace(make.regression(deviation=100.0, value=81.0), loss="mean_absolute_error")
    (finding,) = findings_of(LabelScale(), profile(make, target))
    assert finding.message.endswith("Its loss is 81; the best constant has 80.")
    assert not severities(LabelScale(), profile(make, replace(target, value=79.0)))


@pytest.mark.parametrize(
    "changes",
    [{"loss": "huber"}, {"activation": "unknown"}, {"activation": "relu"}, {"labels": None}],
    ids=["huber", "unknown activation", "relu", "labels all alike"],
)
def test_scale_is_not_judged_where_it_cannot_be_told(make, changes):
    target = make.regression(deviation=100.0)
    changed = (
        {**changes, "labels": replace(target.labels, deviation=0.0)}
        if "labels" in changes
        else changes
    )
    assert not severities(LabelScale(), profile(make, replace(target, **changed)))


@pytest.mark.parametrize(
    "changes", [{"step": 1}, {"batch_size": 3}], ids=["trained", "few samples"]
)
def test_trained_networks_and_few_samples_are_not_judged(make, changes):
    assert not severities(LabelScale(), profile(make, make.regression(deviation=100.0), **changes))
