"""The schemes that the demonstration compares: AlexNet's weights, all scaled from one draw."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_initcheck.demo.alexnet import alexnet
from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.probe import Probe
from keras_initcheck.probe.tap.pass_record import RANDOM
from keras_initcheck.records.profile import Profile

SEED = 0


@dataclass(frozen=True)
class Scheme:
    """A way to scale weights.

    Attributes:
        title: Name of the scheme.
        weight_std: Returns the standard deviation of a kernel, given its `fan_in` and `fan_out`.
    """

    title: str
    weight_std: Callable[[float, float], float]


NORMAL = Scheme("N(0,1)", lambda fan_in, fan_out: 1.0)
GLOROT = Scheme("Glorot", lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out)))
HE = Scheme("He", lambda fan_in, fan_out: math.sqrt(2 / fan_in))


class Bench:
    """AlexNet, one batch, and one N(0,1) draw of its weights.

    A scheme only sets the scale of each kernel, so one draw multiplied by a number is a draw of
    that scheme. Nothing is drawn or built again, and the comparison is fairer.

    Args:
        batch: The inputs.
        width: Fraction of AlexNet's filters and units to keep.
    """

    def __init__(self, batch: Batch, width: float) -> None:
        self._batch = batch
        self._width = width
        self._model = alexnet("zeros", width=width)
        generator = np.random.default_rng(SEED)
        self._draws = [
            generator.standard_normal(kernel.shape, dtype="float32")
            for kernel in _kernels(self._model)
        ]
        self._probe = Probe(self._model, seed=SEED)

    @property
    def num_weights(self) -> int:
        """Number of weights that were drawn."""
        return sum(draw.size for draw in self._draws)

    def measure(self, scheme: Scheme) -> Profile:
        """Measures the profile under a scheme, with the gradient of a random cotangent."""
        self._assign(self._model, scheme)
        return self._probe.measure(self._batch, cotangents=(RANDOM,))

    def measure_with_mean_subtracted(self, scheme: Scheme) -> Profile:
        """Measures the signal only, with the mean subtracted after each ReLU."""
        model = alexnet("zeros", subtract_mean=True, width=self._width)
        self._assign(model, scheme)
        return Probe(model, seed=SEED).measure(self._batch, cotangents=())

    def _assign(self, model: Any, scheme: Scheme) -> None:
        for kernel, draw in zip(_kernels(model), self._draws, strict=True):
            receptive_field = math.prod(kernel.shape[:-2])
            fan_in, fan_out = receptive_field * kernel.shape[-2], receptive_field * kernel.shape[-1]
            kernel.assign(draw * np.float32(scheme.weight_std(fan_in, fan_out)))


def spreads(profile: Profile) -> dict[str, float]:
    """Standard deviation of each weight layer's pre-activations, by its name."""
    return {
        site.name: math.sqrt(site.activations.z.variance)
        for site in profile.weight_sites
        if site.activations.z is not None
    }


def _kernels(model: Any) -> list[Any]:
    return [layer.kernel for layer in model.layers if hasattr(layer, "kernel")]
