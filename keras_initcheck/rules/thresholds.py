"""User-configurable thresholds of the rules.

Constants that are not a matter of preference stay beside their rule.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from keras_initcheck.theory.noise import STATIC_FACTOR, STATIC_STANDARD_DEVIATIONS


def _number(default: float, meaning: str, least: float = 0.0, most: float = math.inf) -> Any:
    """A field of `Thresholds`, whose range includes both ends."""
    return field(default=default, metadata={"meaning": meaning, "least": least, "most": most})


def _check_range(name: str, value: object, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(
            f"`thresholds` must give {name} a number from {least:g} to {most:g}. Received:"
            f" {name}={value!r}."
        )


def _check_order(warning: str, error: str, thresholds: "Thresholds") -> None:
    lower, upper = getattr(thresholds, warning), getattr(thresholds, error)
    if lower > upper:
        raise ValueError(
            f"`thresholds` must keep {warning} at or below {error}. Received: {warning}={lower:g},"
            f" {error}={upper:g}. Give both numbers."
        )


@dataclass(frozen=True)
class Thresholds:
    """Numbers from which on rules report.

    Unit, default and origin of each number stand with it, and `initcheck --list-thresholds` prints
    them. Infinity, where the range has it, silences a severity.

    >>> Thresholds().sgd_gain_warning, Thresholds(sgd_gain_warning=8.0).sgd_gain_warning
    (6.0, 8.0)

    Raises:
        ValueError: A number is out of its range, or an error would come before its warning.
    """

    sgd_gain_warning: float = _number(
        6.0,
        "|ln| of a gain in second moment beyond which forward-gain and backward-gain warn with SGD,"
        " or where no optimizer is compiled. Measured: by tests/benchmarks/gain_cost.py, training"
        " takes 1.4 to 2.9 times the steps at e^-6, 1.2 to 2.2 at e^6, and 2 to 5 at e^-9 and e^9.",
    )
    sgd_gain_error: float = _number(
        12.0,
        "The same for an error with SGD. Measured: e^-12 and e^12 take 3 times the steps or more,"
        " e^-16 and e^16 seven or more.",
    )
    adaptive_gain_warning: float = _number(
        12.0,
        "The same for a warning with Adam and other adaptive optimizers. Measured: e^-12 takes 1.2"
        " to 4 times the steps, about what SGD pays at e^-6, and e^12 3 to 7 times.",
    )
    adaptive_gain_error: float = _number(
        20.0,
        "The same for an error with them. Measured: e^-20 takes 1.3 to 6 times the steps or does"
        " not train in 600, e^20 mostly does not.",
    )
    culprit_share: float = _number(
        0.9,
        "Share, 0.01 to 1, of all changes in a gain's direction that its culprits explain"
        " together. Chosen: all of many equal layers are named, or the one that is out of line.",
        least=0.01,
        most=1.0,
    )
    layer_ratio_factor: float = _number(
        STATIC_FACTOR,
        "How many times a layer's own ratio may be above or below 1 before layer-ratio reports it."
        " Empirical: He and orthogonal weights of width 16 and more stay inside 1.5.",
        least=1.0,
    )
    layer_ratio_deviations: float = _number(
        STATIC_STANDARD_DEVIATIONS,
        "Standard deviations of what chance makes of so many weights that layer-ratio tolerates."
        " Computed: 4.5 gives no false alarm in 1000 layers in 99% of cases.",
    )
    constant_share: float = _number(
        1e-6,
        "Share, 0 to 1, of a kernel's second moment that its variance may have while"
        " constant-kernel considers the values equal. Computed: ten times what rounding leaves of a"
        " constant in float32.",
        most=1.0,
    )

    measured_gain_factor: float = _number(
        2.0,
        "How many times a measured gain may differ from the predicted one, beyond its band of"
        " chance, before measured-forward-gain, measured-backward-gain and leaves-prediction report"
        " it. Chosen: correlated pixels and the borders of padding do as much.",
        least=1.0,
    )
    saturated_slope: float = _number(
        0.15,
        "Mean square of a squashing activation's slope, relative to the steepest, below which"
        " saturated-units counts a layer; two thirds of it once weights were trained or loaded,"
        " and in recurrent layers."
        " Measured: on digits four layers of tanh or sigmoid with slopes of 0.7, 0.23, 0.17 and"
        " 0.13 had test errors of 1%, 2%, 2% and 5%. For tanh 0.15 is a pre-activation of standard"
        " deviation 3.5, by E f'² = 4 / (3 σ sqrt(2π)).",
        most=1.0,
    )
    dead_share: float = _number(
        0.75,
        "Share, 0.5 to 1, of a ReLU layer's units that may be zero for the whole batch before"
        " dead-units reports it; narrow layers are granted 4.5 binomial standard deviations above a"
        " half. Computed: a half is healthy where samples have become alike.",
        least=0.5,
        most=1.0,
    )
    collapsed_batch_share: float = _number(
        1e-4,
        "Share, 0 to 1, of the variance that is between samples below which collapsed-samples"
        " warns, and its square for an error. Computed: healthy ReLU networks keep 4e-3 at 100"
        " layers and 5e-4 at 300, by (9 π²/2) / depth².",
        most=1.0,
    )
    attention_logit_spread: float = _number(
        8.0,
        "Standard deviation of attention logits above which saturated-attention warns. Chosen: the"
        " largest of 32 such logits then leads the second by about 3, and takes nine tenths of the"
        " attention.",
    )
    input_scale: float = _number(
        6.0,
        "|ln| of the input's second moment beyond which input-scale warns. Measured:"
        " forward-gain's warning with SGD, spent on the data.",
    )
    logit_deviation: float = _number(
        20.0,
        "Standard deviation of a classifier's logits above which loss-at-init warns, if the loss"
        " is worse than a guess. Measured: on digits 15 costs nothing, 30 half as many steps again"
        " to twice as many.",
    )
    clipped_logit_deviation: float = _number(
        15.0,
        "The same where a softmax or sigmoid comes before a loss that clips probabilities, on JAX"
        " and torch. Measured: on digits 7.5 costs nothing, 15 three to seven times the steps."
        " Healthy stacks of 24 pre-norm blocks were drawn with up to 13, and trained.",
    )
    loss_surplus: float = _number(
        30.0,
        "Nats of a cross-entropy above a guess from which loss-at-init warns, however the logits"
        " spread. Measured: on sequences 11 to 15 nats take 1.4 to 1.6 times the steps, 34 to 41"
        " nats 1.8 to 3.2 times, and 109 nats 2.8 to 6.2 times; on digits 23 nats cost nothing.",
    )
    label_size: float = _number(
        15.0,
        "Root mean square of a regression's labels above which label-scale warns; with adaptive"
        " optimizers the size of their mean. Measured: at the usual rate a deviation of 10 takes"
        " SGD 1.4 times the steps, and at 20 it does not learn; 24 ± 7 takes Adam 8 times.",
    )
    adaptive_label_size: float = _number(
        50.0,
        "Standard deviation of a regression's labels above which label-scale warns with adaptive"
        " optimizers. Measured: at Adam's usual rate 20 takes 1.5 times the steps, 50 twice and 100"
        " 2.7 times.",
    )
    label_offset: float = _number(
        5.0,
        "Standard deviations by which the mean of a regression's labels may differ from 0 before"
        " label-scale warns. Measured: 3 costs up to three times the steps, 10 up to twelve"
        " times.",
    )
    output_ratio: float = _number(
        20.0,
        "How many times the labels' root mean square the deviation of a regression's untrained"
        " output may be before label-scale warns. Measured: 11 times costs four times the steps,"
        " 37 times nine with Adam, and SGD more than fifteen.",
        least=1.0,
    )
    column_ratio: float = _number(
        20.0,
        "How many times the median column's root mean square the largest one's may be before"
        " column-scale warns. Measured: on breast cancer one column of 10 times the others' size"
        " costs up to twice the steps, 30 up to five times.",
        least=1.0,
    )
    signal_beside_biases: float = _number(
        0.1,
        "Share of the signal, 0 to 1, that constant biases must leave over a chain of layers before"
        " drowning-biases warns. Measured: on digits 0.11 costs dense layers nothing; 0.34 takes"
        " six convolutions with SGD from an accuracy of 0.81 to 0.36, and Adam from 0.95 to 0.93.",
        most=1.0,
    )
    penalty_ratio: float = _number(
        30.0,
        "How many times the loss of the data the penalties of the weights may be before"
        " strong-regularization warns. Measured: on digits with L2, 10 costs 9 to 14% of the"
        " accuracy, and 30 leaves half of it with Adam and nothing with SGD.",
    )
    narrow_log_variance: float = _number(
        2.5,
        "Variance of ln of a chain's gain between draws of the weights above which"
        " narrow-for-its-depth reports it. Chosen: a sum of 1/n above a half, which Hanin & Rolnick"
        " 2018 ask to keep small.",
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            _check_range(
                each.name, getattr(self, each.name), each.metadata["least"], each.metadata["most"]
            )
        for family in ("sgd", "adaptive"):
            _check_order(f"{family}_gain_warning", f"{family}_gain_error", self)


DEFAULTS = Thresholds()
"""The numbers as they are unless a user says otherwise."""

MEANINGS: Mapping[str, str] = {each.name: each.metadata["meaning"] for each in fields(Thresholds)}
"""Meaning of each threshold, by name."""


def named(values: Mapping[str, float]) -> Thresholds:
    """The defaults, but for the numbers that are given by name.

    >>> named({"layer_ratio_factor": 2}).layer_ratio_factor
    2

    Raises:
        TypeError: `values` is no mapping.
        ValueError: A name is not known, or a number not in its range.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"`thresholds` must map names to numbers. Received: {values!r}.")
    for name in values:
        if name not in MEANINGS:
            raise ValueError(
                f"`thresholds` must name known thresholds. Received: {name!r}. Choose from:"
                f" {', '.join(MEANINGS)}."
            )
    return Thresholds(**values)
