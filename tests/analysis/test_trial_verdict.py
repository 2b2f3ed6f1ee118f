"""What a curve tells about learning, and what its noise hides."""

import math

import numpy as np
import pytest

from keras_initcheck.analysis.trial_verdict import judge_trial, levels
from keras_initcheck.records.trial import Trial

STEPS = 50


def noise(size, seed=0, steps=STEPS):
    return size * np.random.default_rng(seed).standard_normal(steps)


def judged(losses, guess=math.nan, **facts):
    curves = (("loss", tuple(map(float, losses))),)
    trial = Trial("net", "undecided", "", curves, guessing_loss=guess, **facts)
    return judge_trial(trial)


def line(start, end, steps=STEPS):
    return np.linspace(start, end, steps)


@pytest.mark.parametrize(
    ("losses", "guess", "verdict"),
    [
        (line(2.4, 1.1) + noise(0.05), 2.3, "learns"),
        (line(2.4, 1.1) + noise(0.05), math.nan, "learns"),
        (line(2.3, 2.2) + noise(0.005), 2.3, "learns slowly"),
        (line(2.3, 2.297) + noise(1e-5), math.nan, "learns slowly"),
        (line(2.3, 2.3) + noise(0.005), 2.3, "does not learn"),
        (line(15.6, 15.6) + noise(0.5), 2.3, "does not learn"),
        (line(2.3, 2.3) + noise(0.5), 2.3, "undecided"),
        (line(5.0, 2.4) + noise(0.02), 2.3, "undecided"),
        (line(0.1, 0.1) + noise(0.001), 2.3, "undecided"),
        (line(2.3, 15.0) + noise(0.5), 2.3, "diverges"),
        ([2.3, *np.geomspace(1e20, 100.0, 30), *line(100.0, 90.0, 19)], 2.3, "diverges"),
        ([*line(2.3, 9.0, 20), *[math.nan] * 30], 2.3, "diverges"),
        ([2.3] * 9, 2.3, "undecided"),
    ],
    ids=[
        "falls",
        "falls, guess unknown",
        "falls by little",
        "falls by very little, guess unknown",
        "stays",
        "stays far above guessing",
        "noise hides it",
        "comes down to guessing",
        "is trained",
        "rises",
        "rises far, and comes back in part",
        "NaN",
        "too short",
    ],
)
def test_verdict(losses, guess, verdict):
    assert judged(losses, guess).verdict == verdict


def test_reason_has_the_numbers():
    trial = judged(line(2.4, 1.1), 2.3)
    assert trial.reason == "the loss fell from 2.28 to 1.22 in 50 steps; guessing costs 2.30"


def test_first_step_without_a_finite_loss_is_named():
    trial = judged([2.0, 3.0, 9.0, *[math.nan] * 30])
    assert trial.reason == "the loss is nan from step 4 on"


def test_loss_that_overflows_once_is_judged_by_the_others():
    losses = line(2.4, 1.1)
    losses[20] = math.inf
    assert judged(losses, 2.3).verdict == "learns"


@pytest.mark.parametrize("seed", range(5))
def test_chance_alone_is_neither_learning_nor_divergence(seed):
    losses = 2.3 + noise(0.3, seed)
    assert judged(losses, 2.3).verdict in ("undecided", "does not learn")


def test_trial_as_long_as_recommended_tells():
    """The same slope and noise: hidden in 50 steps, certain in as many as the reason names."""
    short = judged(line(2.3, 2.25) + noise(0.05), 2.3)
    assert short.verdict == "undecided"
    steps = int(short.reason.rpartition("about ")[2].partition(" ")[0])
    slope = 0.05 / STEPS * steps
    assert judged(line(2.3, 2.3 - slope, steps) + noise(0.05, steps=steps), 2.3).learns


def test_penalties_are_not_learning():
    """Weight decay alone takes a regularizer's penalty down."""
    penalties = tuple(line(50.0, 30.0).tolist())
    losses = 2.3 + noise(0.005) + np.array(penalties)
    assert judged(losses, 2.3, penalties=penalties).verdict == "does not learn"


@pytest.mark.parametrize(
    ("names", "judged_name"),
    [
        (["loss", "accuracy"], "loss"),
        (["loss", "kl_loss"], "loss"),
        (["accuracy", "my_loss"], "my_loss"),
        (["d_loss", "g_loss"], ""),
        (["accuracy"], ""),
    ],
)
def test_curve_that_is_judged(names, judged_name):
    curves = tuple((name, tuple(line(2.0, 1.0))) for name in names)
    trial = judge_trial(Trial("net", "undecided", "", curves))
    assert trial.judged == judged_name
    assert (trial.verdict == "undecided") == (not judged_name)


def test_losses_of_several_parts_that_become_nan_diverge():
    curves = (("d_loss", (1.0, 2.0, math.nan)), ("g_loss", (1.0, 1.0, 1.0)))
    trial = judge_trial(Trial("net", "undecided", "", curves))
    assert (trial.verdict, trial.reason) == ("diverges", "`d_loss` is nan from step 3 on")


def test_warm_up_and_collected_gradients_are_no_verdict():
    trial = Trial("net", "undecided", "", (("loss", (2.3,) * 50),), num_updates=2)
    assert "warms up" in judge_trial(trial, warm_up=0.1).reason
    assert "collects the gradients of 20" in judge_trial(trial, accumulation=20).reason


def test_levels_are_those_of_normal_noise():
    found = levels((5.0 + noise(0.2, steps=5000)).tolist())
    assert found.noise == pytest.approx(0.2, rel=0.1)  # 3 standard errors of 5000 differences
    assert found.error == pytest.approx(1.25 * 0.2 * math.sqrt(2 / 1000), rel=0.1)
    assert abs(found.fall) < 4 * found.error
