"""Whether the activation of an output fits its loss, told by the values that it can give.

The values of one batch are chance: a ReLU over ten logits is inside 0 to 1 for one draw and outside
for the next.
"""

import math

from keras_initcheck.records.data import OutputStats
from keras_initcheck.records.finding import Severity
from keras_initcheck.rules.wording import number

Fault = tuple[Severity, str, str]
"""Severity, message and fix."""
CATEGORICAL = ("sparse_categorical_crossentropy", "categorical_crossentropy")
CROSSENTROPIES = (*CATEGORICAL, "binary_crossentropy")
SQUASHING = ("softmax", "sigmoid")
"""Activations that cross-entropies apply themselves where they take logits."""
RANGES = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
    "softplus": (0.0, math.inf),
    "exponential": (0.0, math.inf),
}
"""Range of each activation's output."""
NO_PROBABILITIES = (
    None,
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "tanh",
    "hard_tanh",
    "softsign",
    "hard_sigmoid",
)
"""Activations that give numbers of 0 and below, which are clipped, where a probability is due.

Those that give positive numbers only are normalized by Keras' categorical losses, and train.
"""
NO_DECISIONS = (
    *(each for each in NO_PROBABILITIES if each != "hard_sigmoid"),
    "softplus",
    "exponential",
)
"""The same for a binary decision, which nothing normalizes: numbers beyond 1 are clipped too."""
LEAST_RANGE = 4.0
"""Width of the range of logits from which it limits little: e^4 is 55 to 1."""


def mismatch(output: OutputStats, backend: str) -> Fault | None:
    """Severity, message and fix where the head's activation and the loss do not belong together."""
    if output.activation == "softmax" and output.width == 1:
        return _single_unit(output)
    if output.loss not in CROSSENTROPIES:
        return None
    if output.activation in SQUASHING and _is_bounded(output.inner_activation):
        return _limited(output, output.inner_activation)
    if output.from_logits:
        return _squashed_logits(output, backend)
    excluded = NO_PROBABILITIES if output.loss in CATEGORICAL else NO_DECISIONS
    if output.activation in excluded:
        return _no_probabilities(output)
    if output.loss in CATEGORICAL and output.activation == "sigmoid" and output.width > 1:
        return _separate_decisions(output, backend)
    return None


def _single_unit(output: OutputStats) -> Fault:
    return (
        "error",
        f"The output `{output.name}` is a softmax over one unit: it is 1 whatever comes in, and"
        " passes no gradient.",
        'Use Dense(1, activation="sigmoid") with binary_crossentropy, or one unit for each class.',
    )


def _squashed_logits(output: OutputStats, backend: str) -> Fault | None:
    if output.activation in SQUASHING:
        return _second_squashing(output, backend)
    return _limited(output, output.activation) if _is_bounded(output.activation) else None


def _second_squashing(output: OutputStats, backend: str) -> Fault:
    own = "a function of your own with the value of " if output.is_own_loss else ""
    loss = f"its loss ({own}{output.loss}, from_logits=True)"
    applied = f"has been through {output.activation}, and {loss}"
    fix = "Remove the activation and keep from_logits=True, or keep it and set from_logits=False."
    if backend == "tensorflow" and not output.is_own_loss:
        return (
            "info",
            f"The output `{output.name}` {applied} expects none. Keras undoes the activation on"
            f" TensorFlow; on JAX and torch the loss applies {_squashing_of(output)} again.",
            fix,
        )
    return (
        "warning",
        f"The output `{output.name}` {applied} applies {_squashing_of(output)} again.",
        fix,
    )


def _limited(output: OutputStats, inner: str | None) -> Fault:
    low, high = RANGES[str(inner)]
    least, most = _probabilities(output, low, high)
    return (
        "warning",
        f"The output `{output.name}` is the {_squashing_of(output)} of values that {inner} keeps"
        f" between {number(low)} and {number(high)}: the model can give no probability below"
        f" {number(least)} or above {number(most)}, however long it trains.",
        f"Remove the {inner}: give the last layer no activation before the"
        f" {_squashing_of(output)}.",
    )


def _probabilities(output: OutputStats, low: float, high: float) -> tuple[float, float]:
    """The smallest and the largest probability that logits from `low` to `high` can give."""
    if _squashing_of(output) == "sigmoid":
        return 1.0 / (1.0 + math.exp(-low)), 1.0 / (1.0 + math.exp(-high))
    others, ratio = output.width - 1, math.exp(high - low)
    return 1.0 / (1.0 + others * ratio), ratio / (ratio + others)


def _no_probabilities(output: OutputStats) -> Fault:
    made = f"is the output of {output.activation}" if output.activation else "has no activation"
    return (
        "warning",
        f"The output `{output.name}` {made} and ranges from {number(output.minimum)} to"
        f" {number(output.maximum)}, but its loss ({output.loss}, from_logits=False) expects"
        " probabilities, and clips all other values.",
        f'Use from_logits=True without an activation, or activation="{_expected(output)}".',
    )


def _separate_decisions(output: OutputStats, backend: str) -> Fault:
    treatment = (
        "takes a softmax in their place" if backend == "tensorflow" else "divides them by their sum"
    )
    return (
        "info",
        f"The {output.width} units of the output `{output.name}` are sigmoids, each a decision of"
        f" its own, and its loss ({output.loss}) {treatment}: the predictions do not sum to one.",
        "Use softmax where one class is right, or binary_crossentropy where several can be.",
    )


def _is_bounded(activation: str | None) -> bool:
    low, high = RANGES.get(activation or "", (-math.inf, math.inf))
    return high - low < LEAST_RANGE


def _squashing_of(output: OutputStats) -> str:
    """The activation at the output, or the one that the loss applies."""
    return output.activation if output.activation in SQUASHING else _expected(output)


def _expected(output: OutputStats) -> str:
    """The activation that the loss expects or applies."""
    return "softmax" if output.loss in CATEGORICAL else "sigmoid"
