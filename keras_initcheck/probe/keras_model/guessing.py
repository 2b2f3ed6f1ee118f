"""The loss of the best constant prediction, from labels and the compiled loss."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_initcheck.probe.keras_model import introspection
from keras_initcheck.probe.keras_model.losses import known_loss


def trains_as_keras(model: Any) -> bool:
    """Whether the model has Keras' own `train_step` and `compute_loss`."""
    return (
        type(model).train_step is keras.Model.train_step
        and type(model).compute_loss is keras.Model.compute_loss
    )


def guessed_loss(model: Any) -> str | None:
    """Name of the only loss of a model with one output; `None` where its guess is not known.

    Sums, smoothed labels and classes that are left out make the guess another one.
    """
    losses = introspection.flatten_with_names(getattr(model, "loss", None))
    if len(losses) != 1 or not trains_as_keras(model):
        return None
    known = known_loss(losses[0][1])
    if known is None or known.ignored_class is not None:
        return None
    given = losses[0][1]
    config = given.get_config() if isinstance(given, keras.losses.Loss) else {}
    is_plain = not config.get("label_smoothing") and config.get("reduction") != "sum"
    return known.name if is_plain and known.name in _GUESSES else None


def guessing_loss(loss: str, labels: np.ndarray) -> float:
    """The loss of the best constant prediction.

    Args:
        loss: Keras' name of the loss, as `guessed_loss` returns it.
        labels: `(samples, ...)`.

    Returns:
        The mean over samples and units; `nan` where labels are not finite or out of range.
    """
    values = np.asarray(labels, "float64")
    if not values.size or not np.isfinite(values).all():
        return math.nan
    with np.errstate(all="ignore"):
        return float(_GUESSES[loss](values))


def _entropy(shares: np.ndarray) -> np.ndarray:
    return -np.where(shares > 0, shares * np.log(np.where(shares > 0, shares, 1.0)), 0.0)


def _of_numbers(labels: np.ndarray) -> Any:
    _, counts = np.unique(labels, return_counts=True)
    return _entropy(counts / labels.size).sum()


def _of_rows(labels: np.ndarray) -> Any:
    shares = labels.reshape(-1, labels.shape[-1]).mean(axis=0)
    return -np.where(shares > 0, shares * np.log(shares / shares.sum()), 0.0).sum()


def _of_decisions(labels: np.ndarray) -> Any:
    shares = labels.mean(axis=0)
    return (_entropy(shares) + _entropy(1.0 - shares)).mean()


_GUESSES: dict[str, Callable[[np.ndarray], Any]] = {
    "sparse_categorical_crossentropy": _of_numbers,
    "categorical_crossentropy": _of_rows,
    "binary_crossentropy": _of_decisions,
    "mean_squared_error": lambda labels: labels.var(axis=0).mean(),
    "mean_absolute_error": lambda labels: np.abs(labels - np.median(labels, axis=0)).mean(),
}
