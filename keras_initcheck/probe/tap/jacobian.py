"""Singular values of a model's Jacobian from inputs to outputs, without ever holding it: from
products with vectors.
"""

import itertools
import math
from types import ModuleType
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.engine.tensor_kinds import is_observable
from keras_initcheck.probe.keras_model import introspection
from keras_initcheck.probe.keras_model.messages import error_summary
from keras_initcheck.probe.tap.preserve import preserved
from keras_initcheck.probe.tap.recorder import Channel, Recorder
from keras_initcheck.records.errors import ProbeError
from keras_initcheck.records.profile import Spectrum
from keras_initcheck.theory.lanczos import largest_eigenvalue, singular_value

NUM_VECTORS = 16
"""Random vectors for the mean: the relative standard error of one is `sqrt(2 / D)`,
`D = (sum s²)² / sum s⁴` over all samples.
"""
NUM_ITERATIONS = 20
"""Most products for the largest: Lanczos' method then is within a few per cent wherever the start
is (its error is printed).
"""
ROUNDING = 1e-5
"""Relative error that float32 leaves in a product with the Jacobian of a few dozen layers: the
error is never said to be less.
"""


def measure_spectrum(model: Any, batch: Batch, engine: ModuleType, seed: int = 0) -> Spectrum:
    """The Jacobian's spectrum at a batch, in training mode, as the probe runs the model.

    `E |Jᵀ u|² = sum s²` for `u` of standard normal numbers (Hutchinson 1990): the reverse
    direction, because every backend has it.

    Args:
        model: A built model; it stays bitwise what it was.
        batch: The batch. Inputs that are not floating-point have no Jacobian and are held.
        engine: The backend's engine module.
        seed: Seed of the random vectors.

    Raises:
        ProbeError: No input is floating-point, or the model does not run on the batch.

    Cost: one forward pass, 16 backward passes, and up to 20 more in both directions.
    """
    leaves = keras.tree.flatten(batch.x)
    places = [place for place, leaf in enumerate(leaves) if is_observable(leaf)]
    if not places:
        raise ProbeError(
            "`spectrum` must be asked of a model with floating-point inputs. Received: integers"
            " only. Leave it out."
        )
    tensors = [leaves[place] for place in places]

    def function(changed: list[Any]) -> Any:
        return _outputs(
            model, keras.tree.pack_sequence_as(batch.x, _replaced(leaves, places, changed)), engine
        )

    try:
        with preserved(model):
            return _spectrum(model, engine, function, tensors, np.random.default_rng(seed))
    except Exception as error:
        raise ProbeError(
            f"The Jacobian of {model.name!r} could not be measured. {error_summary(error)}"
        ) from error


def _spectrum(
    model: Any,
    engine: ModuleType,
    function: Any,
    tensors: list[Any],
    generator: np.random.Generator,
) -> Spectrum:
    num_outputs, pull, push = engine.linearised(function, tensors, model)
    num_inputs = sum(math.prod(tensor.shape) for tensor in tensors)
    squares = [_square(pull(generator.standard_normal(num_outputs))) for _ in range(NUM_VECTORS)]
    means = np.asarray(squares) / min(num_inputs, num_outputs)
    largest, error, num_iterations, note = None, None, 0, None
    try:
        start = generator.standard_normal(num_outputs)
        value, bound, num_iterations = largest_eigenvalue(
            lambda vector: push(pull(vector)), start, NUM_ITERATIONS
        )
        largest, error = singular_value(value, max(bound, ROUNDING * value))
    except (
        Exception
    ) as failure:  # an operation without a derivative in the other direction: the mean stands
        note = f"the largest singular value is not known: {error_summary(failure)}"
    return Spectrum(
        num_inputs=num_inputs,
        num_outputs=num_outputs,
        mean_square=float(means.mean()),
        standard_error=float(means.std(ddof=1) / math.sqrt(NUM_VECTORS)),
        num_vectors=NUM_VECTORS,
        largest=largest,
        largest_error=error,
        num_iterations=num_iterations,
        note=note,
    )


def _outputs(model: Any, x: Any, engine: ModuleType) -> Any:
    """All outputs as one vector, each before its own activation: a softmax would hide the network
    behind it.
    """
    numbers = itertools.count()

    def observe(tensor: Any) -> tuple[Any, Channel]:
        return tensor, Channel(
            next(numbers), tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype)
        )

    with keras.StatelessScope(introspection.regularized_values(model), collect_losses=True):
        recorder = Recorder(model, observe, lambda before, after: 0, engine.trace_state)
        recorder.enter(x)
        with recorder.installed():
            outputs = recorder.leave(introspection.call_in_training(model, x))
        starts = [
            recorder.before_activation(output)
            for output in keras.tree.flatten(outputs)
            if is_observable(output)
        ]
        return ops.concatenate([ops.cast(ops.reshape(start, (-1,)), "float32") for start in starts])


def _replaced(leaves: list[Any], places: list[int], changed: list[Any]) -> list[Any]:
    new = dict(zip(places, changed, strict=True))
    return [new.get(place, leaf) for place, leaf in enumerate(leaves)]


def _square(tensors: list[Any]) -> float:
    return math.fsum(
        float(np.sum(np.square(np.asarray(to_numpy(tensor), np.float64)))) for tensor in tensors
    )
