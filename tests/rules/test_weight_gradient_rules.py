"""Weights without a gradient, and models without a trainable weight."""

from dataclasses import replace

import pytest

from keras_initcheck.rules.judgement import judge
from keras_initcheck.rules.weight_gradient import NothingToTrain, NoWeightGradient
from tests.support.profiles import findings_of


def with_gradients(make, zero, connected=("a", "head"), **changes):
    kernels = [
        make.kernel(name, 0.1, gradient=make.moments() if name in connected else zero, **changes)
        for name in ("a", "b", "head")
    ]
    layers = [
        make.weight_layer(name, kernels=[kernel])
        for name, kernel in zip("ab", kernels, strict=False)
    ]
    return make.chain(*layers, make.head(kernels=[kernels[-1]]))


def test_trainable_weight_without_a_gradient_is_named(make, zero):
    (finding,) = findings_of(NoWeightGradient(), with_gradients(make, zero))
    assert (finding.severity, finding.culprits) == ("warning", ("b",))
    assert "1 of 3 trainable weights receive no gradient: `b/kernel`" in finding.message


def test_weights_that_all_get_a_gradient_are_not_mentioned(make, zero):
    assert not findings_of(NoWeightGradient(), with_gradients(make, zero, ("a", "b", "head")))


def without_any(make, zero, *outputs, **changes):
    """A network none of whose weights receives a gradient."""
    profile = with_gradients(make, zero, connected=())
    return profile.with_changes(outputs=outputs, **{"loss": 15.9, **changes})


def test_no_gradient_for_any_weight_is_an_error(make, zero):
    (finding,) = findings_of(NoWeightGradient(), without_any(make, zero))
    assert (finding.severity, finding.site) == ("error", None)
    assert finding.message == "No trainable weight receives a gradient from the loss."
    assert finding.culprits == ("a", "b", "head")
    assert "argmax" in finding.fix


def test_clipped_probabilities_are_named_as_the_cause(make, zero):
    (finding,) = findings_of(
        NoWeightGradient(), without_any(make, zero, make.target(value=15.9, logit_deviation=900.0))
    )
    assert (
        "The softmax of `out` gives 0 or 1, and the loss, 15.9 where guessing costs 2.3, clips"
        " both" in finding.message
    )
    assert "from_logits=True" in finding.fix


@pytest.mark.parametrize(
    "changes",
    [{"from_logits": True}, {"maximum": 0.9}, {"minimum": 0.1}, {"loss": "mean_squared_error"}],
    ids=["logits", "not sure", "not sure of the opposite", "no cross-entropy"],
)
def test_probabilities_that_are_not_clipped_are_no_cause(make, zero, changes):
    target = make.target(**{"value": 15.9, "loss": "categorical_crossentropy", **changes})
    (finding,) = findings_of(NoWeightGradient(), without_any(make, zero, target))
    assert finding.severity == "error"
    assert "clips" not in finding.message


@pytest.mark.parametrize(
    ("value", "severity"), [(1.2e-7, "info"), (1.1e-6, "error")], ids=["learned", "not yet"]
)
def test_loss_that_is_learned_needs_no_gradient(make, zero, value, severity):
    (finding,) = findings_of(NoWeightGradient(), without_any(make, zero, make.target(value=value)))
    assert finding.severity == severity


def test_labels_of_zeros_are_named_as_the_cause(make, zero):
    labels = make.labels(0.0, 0.0, deviation=0.0, absolute_deviation=0.0)
    target = make.target("categorical_crossentropy", value=0.0, labels=labels)
    (finding,) = findings_of(NoWeightGradient(), without_any(make, zero, target, loss=0.0))
    assert finding.severity == "error"
    assert "All its labels are zero" in finding.message


def test_sample_weights_of_zeros_are_named_as_the_cause(make, zero):
    target = make.target(is_weighted=True, maximum=0.5)
    (finding,) = findings_of(NoWeightGradient(), without_any(make, zero, target, loss=0.0))
    assert finding.severity == "error"
    assert "every sample weight is zero" in finding.message


def test_bias_that_is_trained_is_left_to_other_rules(make, zero):
    profile = without_any(make, zero)
    bias = replace(make.kernel("head", 0.0, gradient=make.moments()), role="bias")
    assert not findings_of(
        NoWeightGradient(), profile.with_changes(weights=(*profile.weights, bias))
    )


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 1),
        ({"layer_type": "BatchNormalization", "kind": "normalization"}, 0),
        ({"is_silent": True}, 0),
    ],
    ids=["alone", "batch normalization", "a silent layer"],
)
def test_single_sample_may_lose_its_gradient_to_one_layer(make, zero, changes, count):
    profile = without_any(make, zero, batch_size=1)
    silent = {"activations": make.places(h=zero)}
    facts = silent if "is_silent" in changes else changes
    sites = (replace(profile.sites[0], **facts), *profile.sites[1:])
    assert len(findings_of(NoWeightGradient(), profile.with_changes(sites=sites))) == count


def test_frozen_weights_need_no_gradient(make, zero):
    assert not findings_of(NoWeightGradient(), with_gradients(make, zero, is_trainable=False))


def test_zero_weights_excuse_missing_gradients(make, zero):
    profile = with_gradients(make, zero)
    head = replace(profile.weights[-1], moments=zero)
    (finding,) = findings_of(
        NoWeightGradient(), profile.with_changes(weights=(*profile.weights[:-1], head))
    )
    assert finding.severity == "info"


def test_zero_weights_without_a_gradient_excuse_nothing(make, zero):
    profile = with_gradients(make, zero)
    gate = replace(make.kernel("gate", 0.0, gradient=zero), role="other", moments=zero)
    (finding,) = findings_of(
        NoWeightGradient(), profile.with_changes(weights=(*profile.weights, gate))
    )
    assert (finding.severity, finding.culprits) == ("warning", ("b", "gate"))


def test_warning_that_explains_the_loss_of_every_gradient_becomes_an_error(make, zero):
    target = make.target(value=15.9, logit_deviation=900.0)
    cause, consequence = judge(without_any(make, zero, target, backend="torch")).findings
    assert (cause.code, cause.severity) == ("IC404", "error")
    assert cause.message.endswith(
        "That is an error because of IC304: No trainable weight receives a gradient from the loss."
    )
    assert (consequence.code, consequence.severity) == ("IC304", "info")
    assert consequence.message.endswith("This follows from IC404.")


def frozen(make, optimizer="Adam", **changes):
    """A compiled network whose kernels are not trainable."""
    kernels = [make.kernel(name, 1 / 32, is_trainable=False, **changes) for name in ("a", "head")]
    layers = [make.weight_layer("a", kernels=kernels[:1]), make.head(kernels=kernels[1:])]
    return make.chain(*layers, optimizer=optimizer)


def test_compiled_model_without_a_trainable_weight_is_an_error(make):
    (finding,) = findings_of(NothingToTrain(), frozen(make))
    assert finding.severity == "error"
    assert "fit changes nothing: `a/kernel`, `head/kernel` are frozen." in finding.message


def test_model_that_is_not_compiled_may_be_frozen(make):
    assert not findings_of(NothingToTrain(), frozen(make, optimizer=None))


def test_statistics_alone_are_nothing_to_train(make):
    assert not findings_of(NothingToTrain(), frozen(make, role="state"))


def test_frozen_part_beside_a_trained_one_is_meant(make):
    profile = frozen(make)
    trained = replace(profile.weights[1], is_trainable=True)
    assert not findings_of(
        NothingToTrain(), profile.with_changes(weights=(profile.weights[0], trained))
    )
