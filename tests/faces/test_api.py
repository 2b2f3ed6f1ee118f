"""What `check` and `assert_healthy` hand on to the rules."""

import keras
import pytest

import keras_initcheck as ic


@pytest.fixture(scope="module")
def exploding():
    """Three layers that multiply the mean square by 32 each: e^10.4 forward, a warning with SGD,
    and e^6.9 back to the first.
    """
    normal = keras.initializers.RandomNormal
    layers = [
        keras.layers.Dense(
            64, "relu", kernel_initializer=normal(0.0, 1.0, seed=n), name=f"dense_{n}"
        )
        for n in range(3)
    ]
    return keras.Sequential(
        [keras.Input((64,)), *layers, keras.layers.Dense(3, name="head")], name="exploding"
    )


def codes(report):
    return {finding.code for finding in report.findings if finding.severity != "info"}


def test_thresholds_decide_what_is_a_finding(exploding):
    assert codes(ic.check(exploding)) == {"IC102", "IC103"}
    assert codes(ic.check(exploding, thresholds={"sgd_gain_warning": 12.0})) == set()


def test_exempt_layers_are_left_alone_and_counted(exploding):
    report = ic.check(exploding, exempt={"dense_*": ["forward-gain", "IC104"]})
    assert {finding.code for finding in report.findings} == {"IC103"}
    assert report.num_exempted == 2  # one of the layers together
    assert "2 findings exempted" in str(report)


def test_assertion_takes_the_same_choices(exploding):
    with pytest.raises(AssertionError, match="IC102"):
        ic.assert_healthy(exploding)
    ic.assert_healthy(exploding, exempt={"dense_*": ["*"]})


def test_wrong_choice_is_refused_before_anything_is_probed():
    with pytest.raises(ValueError, match="`thresholds` must name known thresholds"):
        ic.check(None, thresholds={"nope": 1.0})


def test_public_report_keeps_its_count_in_json(exploding):
    report = ic.check(exploding, exempt={"dense_*": ["*"]})
    assert ic.Report.from_json(report.to_json()).num_exempted == report.num_exempted > 0
