"""The penalties of the weights beside the loss that the data makes."""

import math
from collections.abc import Iterable

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.finding import Finding
from keras_initcheck.rules.rule import Rule
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number


class Regularization(Rule):
    """Penalties that leave nothing of the loss."""

    code = "IC410"
    slug = "strong-regularization"
    title = "the penalties of the weights are many times the loss of the data"
    what = (
        "Before training, the sum of all kernel, bias and embedding regularizers is more than"
        " 30 times the loss that the labels make."
    )
    why = (
        "The gradient of the penalties points to zero and drowns what the data says: the weights"
        " shrink until little of the signal is left. Two layers of 64 units on digits reach an"
        " accuracy of 0.98 without a penalty and with one of the loss's size, 0.89 (Adam) and 0.84"
        " (SGD) with 10 times the loss, 0.53 and 0.08 with 30 times, and 0.14 and 0.08 with 100"
        " times (tests/benchmarks/rule_numbers.py --only penalties)."
    )
    example = (
        'Six layers Dense(512, "relu", kernel_regularizer=L2(1.0)), whose weights He initialization'
        " makes as large as it does: penalties of 1000 each, and a loss of 2.3."
    )
    limits = (
        "Needs labels and a compiled loss, and judges a single probe before the first step. What"
        " layers add by add_loss or an activity regularizer may be the task itself, and is not"
        " counted."
    )
    fix = "Use a smaller factor: L2(1e-4) is usual, or a decoupled weight_decay such as AdamW's."

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        penalties, loss = evidence.profile.regularization, evidence.profile.loss
        if evidence.profile.step > 0 or penalties is None or loss is None:
            return
        data = loss - penalties
        if not math.isfinite(loss) or data <= 0.0 or penalties <= thresholds.penalty_ratio * data:
            return
        yield self.finding(
            "warning",
            f"The penalties of the weights are {number(penalties / data)} times the loss of the"
            f" data: {number(penalties)} beside {number(data)}. The first steps shrink the weights"
            " and learn nothing of the data.",
            measured=penalties / data,
            expected=f"at most {number(thresholds.penalty_ratio)}, best below 1",
        )
