"""Verdicts on where the weights of a model come from: as promised, overwritten, or trained."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from keras_initcheck.probe.profile.drawn_values import DrawnValues, FloatArray, read
from keras_initcheck.probe.profile.variables import OwnedVariable
from keras_initcheck.records.draw import Draw, DrawVerdict

LEVEL = 0.001
"""Probability, at most, that some weight of a model that is as drawn is said not to be."""

STRICT_LEVEL = 0.01
"""The same for one weight, in a model that was trained or loaded: there a weight has to look its
part before it is called fresh."""

FEWEST_TO_IDENTIFY = 500
"""Values from which on the shape of a distribution says that they were drawn. Simulated: normal,
truncated and uniform draws are told from each other in 80% of cases with 500, in 99.5% with 5000;
with 100 nearly everything passes for one of the three."""

SAME = 1e-6
"""Largest difference of equal draws, relative to the largest value: eight roundings of float32."""


def audit(owned: Sequence[OwnedVariable], moments: FloatArray, num_steps: int) -> tuple[Draw, ...]:
    """A verdict on each weight.

    Args:
        owned: The variables.
        moments: `(weights, moments)`, statistics of their values.
        num_steps: Updates that the model's optimizer has made.
    """
    values = [read(each, row) for each, row in zip(owned, moments, strict=True)]
    level = LEVEL / max(sum(each.is_random for each in values), 1)
    fits = [each.promise is not None and each.fits(level) for each in values]
    history = _History(owned, values, fits, num_steps)
    repeated = _repeated(values)
    return tuple(
        _draw(each, fits[position], position in repeated, history, owned[position])
        for position, each in enumerate(values)
    )


class _History:
    """Evidence that weights were trained or loaded.

    Variables that are promised to be constant give it away, such as biases and scales: training
    and loading make each of their values a number of its own, while an initialization that went
    wrong elsewhere leaves them.

    Args:
        owned: The variables.
        values: Their values.
        fits: Whether each is as promised.
        num_steps: Updates that the model's optimizer has made.
    """

    def __init__(
        self,
        owned: Sequence[OwnedVariable],
        values: Sequence[DrawnValues],
        fits: Sequence[bool],
        num_steps: int,
    ) -> None:
        witnesses: Counter[str] = Counter()
        changed: Counter[str] = Counter()
        for each, found, fit in zip(owned, values, fits, strict=True):
            if found.is_constant_promised and each.variable.trainable:
                witnesses[each.layer] += 1
                changed[each.layer] += not fit and (found.num == 1 or not found.is_constant)
        self._changed = {layer: changed[layer] > 0 for layer in witnesses}
        self._num_changed = sum(self._changed.values())
        self._was_stepped = num_steps > 0

    @property
    def is_any(self) -> bool:
        """Whether anything in the model was trained or loaded."""
        return self._was_stepped or self._num_changed > 0

    def has_changed(self, layer: str) -> bool:
        """Whether a constant of the layer was trained or loaded."""
        return self._changed.get(layer, False)

    def is_untouched(self, layer: str) -> bool:
        """Whether nothing was trained or loaded, as the constants of the layer or model show."""
        if self._was_stepped:
            return False
        if layer in self._changed:
            return not self._changed[layer]
        return bool(self._changed) and self._num_changed == 0


def _draw(
    values: DrawnValues, fits: bool, is_repeated: bool, history: _History, owned: OwnedVariable
) -> Draw:
    if values.promise is None:
        return Draw("unknown")
    promised = values.promise.distribution
    if fits:
        fits = _is_surely_fresh(values, history, owned)
        verdict: DrawVerdict = "fresh" if fits else "loaded or trained"
    else:
        verdict = _verdict(values, history, owned)
    if is_repeated and verdict in ("fresh", "another draw"):
        verdict = "drawn twice"
    return Draw(verdict, promised, None if fits else values.describe())


def _is_surely_fresh(values: DrawnValues, history: _History, owned: OwnedVariable) -> bool:
    """Whether values that may be as promised are called so, although others were trained."""
    if not values.is_random or not owned.variable.trainable or not history.is_any:
        return True
    return not history.has_changed(owned.layer) and values.fits(STRICT_LEVEL)


def _verdict(values: DrawnValues, history: _History, owned: OwnedVariable) -> DrawVerdict:
    """The verdict on values that are not as promised."""
    if values.is_constant and values.num > 1:
        return "constant"
    # Without a witness nobody can tell: kernels of digit networks without biases keep the shape of
    # their draw through 500 steps of training, at another size.
    if not values.is_random or not history.is_untouched(owned.layer):
        return "loaded or trained"
    is_draw = values.num < FEWEST_TO_IDENTIFY or values.describe().family != "other"
    return "another draw" if is_draw else "loaded or trained"


def _repeated(values: Sequence[DrawnValues]) -> set[int]:
    """Positions of random values that another weight holds as well, in whatever shape.

    Equal ones are neighbors when they are sorted by their first value.
    """
    random = [
        (each.num, float(each.sample[0]), position)
        for position, each in enumerate(values)
        if each.is_random and each.num > 1 and not each.is_constant
    ]
    found: set[int] = set()
    for (num, _, one), (other_num, _, other) in pairwise(sorted(random)):
        if num == other_num and _are_equal(values[one].sample, values[other].sample):
            found |= {one, other}
    return found


def _are_equal(one: FloatArray, other: FloatArray) -> bool:
    """Whether two draws are the same but for rounding, which differs by shape on some backends."""
    bound = SAME * float(np.max(np.abs(one)))
    return len(one) == len(other) and bool(np.max(np.abs(one - other)) <= bound)
