"""A model's loss that cannot be computed: left out with a note, or explained by an error."""

from typing import Any

import keras
import numpy as np

from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.engine.tensor_kinds import is_observable
from keras_initcheck.probe.keras_model.losses import known_loss
from keras_initcheck.probe.keras_model.messages import describe_tensors, error_summary
from keras_initcheck.probe.keras_model.private_api import compiled_loss
from keras_initcheck.probe.tap.outputs_and_labels import has_invalid_labels
from keras_initcheck.records.errors import DataError, InitCheckError, ProbeError


def why_left_out(model: Any, batch: Batch, outputs: Any, error: Exception) -> str | None:
    """The note on a loss that is left out; `None` where its failure is an error to report."""
    if batch.y is None:
        return f"the model's loss needs labels, and none were given ({type(error).__name__})"
    if has_invalid_labels(model, batch.y, outputs):
        # A finding explains that better than the framework's error.
        return f"not computed, since its labels are out of range ({type(error).__name__})"
    if _are_broken(outputs):
        # torch's binary cross-entropy takes NaN for a number outside of 0 to 1.
        return f"not computed, since an output is NaN or infinite ({type(error).__name__})"
    return None


def _are_broken(outputs: Any) -> bool:
    """Whether an output holds NaN or infinity; `False` where a traced pass cannot read it."""
    try:
        tensors = [tensor for tensor in keras.tree.flatten(outputs) if is_observable(tensor)]
        return not all(np.isfinite(to_numpy(tensor)).all() for tensor in tensors)
    except Exception:  # each framework has its own error for a symbolic tensor without values
        return False


def explain_loss(model: Any, batch: Batch, outputs: Any, error: Exception) -> InitCheckError:
    """The error for a loss that fails.

    The cause may be the sum of losses, a method or a function of the user's, or, where a loss of
    Keras fails, the labels.
    """
    received = f"outputs {describe_tensors(outputs)}, labels {describe_tensors(batch.y)}"
    received += (
        f", sample weights {describe_tensors(batch.sample_weight)}"
        if batch.sample_weight is not None
        else ""
    )
    if type(model).compute_loss is not keras.Model.compute_loss:
        return ProbeError(
            f"The model {model.name!r} must have a loss. Its own `compute_loss` fails. Received:"
            f" {received}. {error_summary(error)}"
        )
    if _is_sum(model, batch, outputs):
        return ProbeError(
            f"Keras must be able to add up the losses of {model.name!r}, here and in `fit`."
            " Received: a compiled loss of dtype "
            f"{keras.config.floatx()}, and losses of layers of dtype {_dtypes(model.losses)}. Cast"
            " what a layer gives to `add_loss`, or "
            'build the layer that has an activity regularizer with dtype="float32".'
            f" {error_summary(error)}"
        )
    if model.loss is None:
        return ProbeError(
            f"The model {model.name!r} must be compiled with a loss to go with labels. Received:"
            f" none. {error_summary(error)}"
        )
    losses = keras.tree.flatten(model.loss)
    if all(
        known_loss(loss) is not None or isinstance(loss, str | keras.losses.Loss) for loss in losses
    ):
        return DataError(
            f"The labels must fit the model's loss ({_names(losses)}). Received: {received}."
            f" {error_summary(error)}"
        )
    return DataError(
        f"The model's loss ({_names(losses)}) must take what it is given. Received: {received}."
        f" {error_summary(error)}"
    )


def _is_sum(model: Any, batch: Batch, outputs: Any) -> bool:
    """Whether the compiled loss can be computed alone, and others are added to it."""
    compiled = compiled_loss(model)
    if compiled is None or not model.losses:
        return False
    try:
        compiled(batch.y, outputs, batch.sample_weight)
    except Exception:  # then the labels are to blame
        return False
    return True


def _dtypes(tensors: Any) -> str:
    return ", ".join(sorted({keras.backend.standardize_dtype(tensor.dtype) for tensor in tensors}))


def _names(losses: Any) -> str:
    return ", ".join(
        repr(loss) if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
        for loss in losses
    )
