"""Sizes in words: of the root mean square, whose logarithm is half of the second moment's."""

import math

import pytest

from keras_initcheck.rules.wording import (
    change_in_words,
    sizes_in_words,
    times,
    times_weaker_or_stronger,
)


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (290_000.0, "290,000 times stronger"),
        (1 / 290_000.0, "290,000 times weaker"),
        (12.3, "12 times stronger"),
        (1.04, "as strong as before"),
        (1.1, "1.1 times stronger"),
        (1 / 1.1, "1.1 times weaker"),
        (9.96e5, "1e6 times stronger"),
        (1.58e150, "1.6e150 times stronger"),
        (0.0, "infinitely weaker"),
        (math.inf, "infinitely stronger"),
    ],
)
def test_factor_on_the_root_mean_square_is_said_in_words(factor, words):
    ln_gain = 2.0 * math.log(factor) if factor else -math.inf
    assert times_weaker_or_stronger(ln_gain) == words


@pytest.mark.parametrize(
    ("ln_gain", "severity", "sentence"),
    [
        (-12.1, "error", "The signal dies: 420 times weaker from `a` to `b`."),
        (-6.1, "warning", "The signal fades: 21 times weaker from `a` to `b`."),
        (-6.1, "info", "The signal shrinks: 21 times weaker from `a` to `b`."),
        (6.1, "warning", "The signal grows: 21 times stronger from `a` to `b`."),
        (12.1, "error", "The signal explodes: 420 times stronger from `a` to `b`."),
    ],
)
def test_severity_chooses_the_verb(ln_gain, severity, sentence):
    assert change_in_words("forward", ln_gain, ["a", "b"], severity) == sentence


def test_gradient_goes_from_the_last_layer_to_the_first():
    assert change_in_words("backward", -12.1, ["a", "b"], "error") == (
        "The gradient dies: 420 times weaker on its way back from `b` to `a`."
    )
    assert sizes_in_words("backward", [4.0, 1e-8], ["a", "b"]) == (
        "Root mean square: 2 behind `b`, 1e-4 before `a`. "
    )


def test_factor_beyond_the_range_of_floats_is_said():
    assert times(2.0 * 1000.25 * math.log(10.0)) == "1.8e1000"
