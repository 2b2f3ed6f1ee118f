"""What a finding says of itself: its place, and its headline."""

import pytest

from keras_initcheck.records.finding import Finding, first_sentence


def finding(**facts):
    return Finding(
        **{
            "code": "IC102",
            "slug": "forward-gain",
            "severity": "error",
            "message": "The signal dies. It was measured.",
            "why": "The loss follows it.",
            "fix": 'Use kernel_initializer="he_normal". That cures IC103 too.',
            **facts,
        }
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It dies. Then it rests.", "It dies."),
        ("It dies", "It dies."),
        ("The gain is 0.5 or 1. 5 layers follow.", "The gain is 0.5 or 1. 5 layers follow."),
        ("Zeros (Zhang et al. 2019). Also ones.", "Zeros (Zhang et al. 2019)."),
        ("`a.b` dies. `c` rests.", "`a.b` dies."),
        ("What?", "What?"),
        ("", ""),
    ],
)
def test_first_sentence_ends_with_a_period_that_another_one_follows(text, expected):
    assert first_sentence(text) == expected


def test_headline_is_what_happens_and_the_cure():
    assert finding().headline == 'The signal dies. Use kernel_initializer="he_normal".'
    assert finding(fix="").headline == "The signal dies."


@pytest.mark.parametrize(
    ("facts", "place"),
    [
        ({}, "whole network"),
        ({"layer": "a"}, "a"),
        ({"site": "a#2", "layer": "a"}, "a#2"),
        ({"site": "b", "span": ("a", "c")}, "a … c"),
        ({"site": "a#2", "span": ("a", "a")}, "a#2"),
    ],
    ids=["network", "layer", "site", "layers in a row", "one layer"],
)
def test_place_is_what_the_finding_is_about(facts, place):
    assert finding(**facts).place == place
