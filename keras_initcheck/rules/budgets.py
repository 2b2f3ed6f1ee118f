"""How much gain training can bear, by optimizer, and what more than that was seen to cost.

Measured by tests/benchmarks/gain_cost.py (`make bench-gain-cost`): steps to a small training loss
over those of the same network with gain 1, from the least to the most of 10 settings. `ln C` is the
logarithm of the gain in second moment, forward and backward alike; "-" is not within 600 steps.

|`ln C`|SGD      |Adam     |
|------|---------|---------|
|-20   |28 to -  |1.3 to - |
|-16   |7.5 to - |1.2-15   |
|-12   |3.2 to - |1.2-4.0  |
|-9    |2.0-4.8  |1.1-3.4  |
|-6    |1.4-2.9  |1.0-1.8  |
|-3    |1.0-1.7  |1.0-1.2  |
|+3    |0.8-1.4  |1.0-1.2  |
|+6    |1.2-2.2  |1.4-1.6  |
|+9    |2.1-4.5  |1.9-4.0  |
|+12   |3.3 to - |2.8-6.5  |
|+16   |-        |6.6-10   |
|+20   |-        |7.8 to - |

The settings: scikit-learn's digits and breast cancer, MLPs of width 64 with 6 and 12 hidden layers
and of width 256 with 6, and four convolutions; ReLU, and where a gain shrinks tanh; batch size 32,
3 seeds, and the best of 4 to 6 learning rates for each. Breast cancer is easy: it is where Adam
pays least for a gain that shrinks.

In one setting each: forward gain alone cost as much as both or more; backward gain alone at most
2.2 times the steps (SGD at e^-20; Adam nothing), though SGD needed lower learning rates where it
grew; and behind batch normalization a gain cost at most 1.6 times the steps. The data may be too
easy to tell what the lower layers' gradient is worth: the budgets hold for it as well.

A residual branch bears more. Measured by tests/benchmarks/branch_cost.py (`make bench-branch-cost`)
are the steps over those of the same network whose branches begin with zeros in their last layer.
`ln C` is the gain of one branch of two layers, both alike:

|`ln C`|SGD      |Adam     |
|------|---------|---------|
|0     |0.8-1.3  |1.0-1.8  |
|-4    |0.7-1.0  |0.8-1.1  |
|-8    |1.1-1.8  |0.9-1.2  |
|-12   |1.4-2.5  |0.9-1.3  |
|-16   |2.3-3.0  |1.0-1.3  |
|-20   |2.8-4.0  |0.9-1.2  |
|-24   |3.5-5.0  |1.0-1.3  |

The settings: 6 and 24 branches of dense layers of width 32, with and without normalization, and
three blocks of attention and dense layers; momentum 0.9, batch size 32, 3 seeds, and the best of 3
or 4 learning rates. Where one layer of the two makes all of the gain, the first or the last, no
gain down to e^-24 cost more than 1.1 times the steps. That layer receives the gradient that the
other lets through, and grows at once, as one that begins with zeros does. Hence `branch_gain`: the
smallest layer of a branch does not count, and the others have the budget of any chain. At `ln C` of
-12 and -24, which leave -6 and -12, SGD pays what it pays for these in a chain.

Limits: small data, small networks, the gain spread evenly, and for adaptive optimizers Adam alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.finding import Severity
from keras_initcheck.records.structure import Site
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import times

ADAPTIVE = frozenset(
    (
        *(
            "Adadelta",
            "Adafactor",
            "Adagrad",
            "Adam",
            "AdamW",
            "Adamax",
            "Ftrl",
            "Lamb",
            "Lion",
            "Muon",
            "Nadam",
            "RMSprop",
        ),
        # Divides by the root of its squared gradients' mean as Adam does (Defazio et al. 2024,
        # algorithm 1).
        "ScheduleFreeAdamW",
    )
)
"""Class names of Keras' optimizers whose step does not shrink with the gradient."""


@dataclass(frozen=True)
class Budget:
    """Bounds on `|ln C|` of a gain in second moment.

    Attributes:
        warning: The bound beyond which there is a warning.
        error: The bound beyond which there is an error.
    """

    warning: float
    error: float


def is_adaptive(optimizer: str | None) -> bool:
    """Whether that class of optimizer rescales its gradients.

    Unknown classes and none at all count as SGD: they may be it.
    """
    return optimizer in ADAPTIVE


def optimizer_of(
    evidence: Evidence, sites: Sequence[Site], thresholds: Thresholds = DEFAULTS
) -> str | None:
    """The class name of the optimizer by which to judge a chain.

    Of several that train it, the one with the smallest budget. A chain that none trains is judged
    as if all did: what it makes of the signal reaches every layer.
    """
    return min(
        evidence.optimizers_of(sites),
        key=lambda name: (budget_of(name, thresholds).warning, str(name)),
    )


def smallest_warning(evidence: Evidence, thresholds: Thresholds) -> float:
    """The smallest budget of the optimizers that train the model: no chain is reported within."""
    return min(budget_of(name, thresholds).warning for name in evidence.optimizers_of(()))


def budget_of(optimizer: str | None, thresholds: Thresholds = DEFAULTS) -> Budget:
    """The budget for an optimizer's class name.

    >>> budget_of("Adam").warning, budget_of(None).warning
    (12.0, 6.0)
    """
    if is_adaptive(optimizer):
        return Budget(thresholds.adaptive_gain_warning, thresholds.adaptive_gain_error)
    return Budget(thresholds.sgd_gain_warning, thresholds.sgd_gain_error)


def branch_gain(log_ratios: Sequence[float]) -> float:
    """The part of a gain that a residual branch has to bear: all but its smallest layer.

    >>> branch_gain([-12.0]), branch_gain([-3.0, -5.0, -4.0])
    (0.0, -7.0)
    """
    return math.fsum(log_ratios) - min(log_ratios)


def severity(
    ln_gain: float, optimizer: str | None, thresholds: Thresholds = DEFAULTS
) -> Severity | None:
    """`"warning"`, `"error"`, or `None` within the budget and where the gain is not known (`nan`).

    >>> severity(-9.53, "SGD"), severity(-9.53, "Adam"), severity(13.0, None)
    ('warning', None, 'error')
    """
    budget = budget_of(optimizer, thresholds)
    if abs(ln_gain) > budget.error:
        return "error"
    return "warning" if abs(ln_gain) > budget.warning else None


def described(optimizer: str | None, thresholds: Thresholds = DEFAULTS) -> str:
    """The budget in words, as the expected range of a finding.

    >>> described("Adam")
    'at most 400 times weaker or stronger (adaptive optimizer: Adam)'
    """
    bound = times(budget_of(optimizer, thresholds).warning)
    kind = "adaptive optimizer" if is_adaptive(optimizer) else "SGD's budget"
    return (
        f"at most {bound} times weaker or stronger ({kind}:"
        f" {optimizer or 'no optimizer is compiled'})"
    )


_COSTS = {
    ("SGD", "shrinks", "warning"): (
        "SGD took 2 to 5 times the steps where it became 90 times weaker, and at 400 times weaker 3"
        " to 11 times or did not train in 600"
    ),
    ("SGD", "shrinks", "error"): (
        "SGD took 3 to 11 times the steps where it became 400 times weaker, and 7 or more at 3,000"
        " times weaker, where half did not train in 600"
    ),
    ("SGD", "grows", "warning"): (
        "SGD took 2 to 5 times the steps where it became 90 times stronger, with down to a"
        " hundredth of the learning rate, and more at 400 times stronger"
    ),
    ("SGD", "grows", "error"): (
        "SGD trained in no network where it became 3,000 times stronger, at any learning rate"
    ),
    ("Adam", "shrinks", "warning"): (
        "Adam took up to 4 times the steps where it became 400 times weaker, and up to 15 times at"
        " 3,000 times weaker"
    ),
    ("Adam", "shrinks", "error"): (
        "Adam took up to 6 times the steps where it became 22,000 times weaker, or did not train in"
        " 600"
    ),
    ("Adam", "grows", "warning"): (
        "Adam took 3 to 7 times the steps where it became 400 times stronger, and 6 to 10 times at"
        " 3,000 times stronger"
    ),
    ("Adam", "grows", "error"): (
        "Adam took 7 times the steps or more where it became 22,000 times stronger, or mostly did"
        " not train in 600"
    ),
}
"""The table in words, in root mean squares: from the budget that was exceeded to the next, or at
the end of what was measured.
"""


def cost(ln_gain: float, optimizer: str | None) -> str:
    """A sentence on what such a gain cost where it was measured.

    Empty within the measured budget, whatever a user's budget is.
    """
    exceeded = severity(ln_gain, optimizer)
    if exceeded is None:
        return ""
    family = "Adam" if is_adaptive(optimizer) else "SGD"
    measured = _COSTS[family, "grows" if ln_gain > 0 else "shrinks", exceeded]
    return f"In measurements on small networks and data sets {measured}."
