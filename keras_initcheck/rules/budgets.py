"""How much gain training can bear, by optimizer, and what more than that was seen to cost.

Table "What a gain costs": steps to a training loss of 0.5, where `ln C` is the logarithm of the forward gain in second moment
(0 is He initialisation). `-`: not within 600 steps; `NaN`: diverges at every learning rate; empty: not measured.

|optimizer, L           |ln C 0|-2 |-4 |-6 |-8 |-10|-12|-15|-20|+3 |+6 |+9 |+12|
|-----------------------|------|---|---|---|---|---|---|---|---|---|---|---|---|
|SGD with momentum, 6   |30    |40 |60 |80 |110|160|230|550|-  |30 |40 |60 |NaN|
|SGD with momentum, 20  |80    |120|140|190|300|390|490|-  |-  |90 |140|320|NaN|
|Adam, 6                |20    |20 |30 |30 |40 |40 |50 |70 |110|20 |   |   |   |

Measured on scikit-learn's digits with an MLP of width 128 and L hidden ReLU layers, whose variances were all scaled alike; 600 steps of
batch size 64, 3 seeds, the best of 4 to 5 learning rates by median steps. Limits: one data set, one width, no normalisation, one gain
for all layers, and for adaptive optimizers Adam alone, at one depth. The backward gain borrows the same budgets: in those networks
it was as large as the forward gain.
"""

from dataclasses import dataclass

from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds

_ADAPTIVE_OPTIMIZERS = frozenset(
    ("Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion", "Muon", "Nadam", "RMSprop")
)
"""Class names of Keras' optimizers whose step does not shrink with the gradient."""


@dataclass(frozen=True)
class Budget:
    """Bounds on `|ln C|` of a gain in second moment: a warning beyond the first, an error beyond the second."""

    warning: float
    error: float


def is_adaptive(optimizer: str | None) -> bool:
    """Whether that class of optimizer rescales its gradients. Unknown ones, wrappers and none at all count as SGD: they may be it."""
    return optimizer in _ADAPTIVE_OPTIMIZERS


def budget_of(optimizer: str | None, thresholds: Thresholds = DEFAULTS) -> Budget:
    """The budget for an optimizer's class name.

    >>> budget_of("Adam").warning, budget_of(None).warning
    (12.0, 6.0)
    """
    if is_adaptive(optimizer):
        return Budget(thresholds.adaptive_gain_warning, thresholds.adaptive_gain_error)
    return Budget(thresholds.sgd_gain_warning, thresholds.sgd_gain_error)


def severity(ln_gain: float, optimizer: str | None, thresholds: Thresholds = DEFAULTS) -> str | None:
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
    'e^-12 to e^12 (adaptive optimizer: Adam)'
    """
    bound = f"{budget_of(optimizer, thresholds).warning:g}"
    kind = "adaptive optimizer" if is_adaptive(optimizer) else "SGD's budget"
    return f"e^-{bound} to e^{bound} ({kind}: {optimizer or 'no optimizer is compiled'})"


_COSTS = {
    ("SGD", "shrinks", "warning"): "SGD took 2.5 to 8 times the steps there",
    ("SGD", "shrinks", "error"): "SGD took eight times the steps or more there, or did not train in 600",
    ("SGD", "grows", "warning"): "SGD needed a tenth of the learning rate there and up to four times the steps, and diverges from e^12 on",
    ("SGD", "grows", "error"): "SGD diverged there at every learning rate",
    ("Adam", "shrinks", "warning"): "Adam took 2.5 to 5 times the steps there",
    ("Adam", "shrinks", "error"): "Adam took more than five times the steps there",
    ("Adam", "grows", "warning"): "that was not measured for Adam; SGD diverged there at every learning rate",
    ("Adam", "grows", "error"): "that was not measured for Adam; SGD diverged at every learning rate long before",
}
"""The table in words. "There" is the range from the budget that was exceeded to the next."""


def cost(ln_gain: float, optimizer: str | None) -> str:
    """A sentence on what such a gain cost where it was measured; empty within the measured budget, whatever a user's is."""
    exceeded = severity(ln_gain, optimizer)
    if exceeded is None:
        return ""
    family = "Adam" if is_adaptive(optimizer) else "SGD"
    measured = _COSTS[family, "grows" if ln_gain > 0 else "shrinks", exceeded]
    return f"In a measurement on small images (MLPs of width 128) {measured}."
