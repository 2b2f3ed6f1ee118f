"""Singular values of a model's Jacobian from inputs to outputs, from products with vectors.

The Jacobian itself is never held.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.engine.protocol import Engine, LinearMap
from keras_initcheck.probe.engine.tensor_kinds import is_observable
from keras_initcheck.probe.keras_model import introspection
from keras_initcheck.probe.keras_model.messages import error_summary
from keras_initcheck.probe.keras_types import Model, Nest, Tensor
from keras_initcheck.probe.tap import index_rows
from keras_initcheck.probe.tap.preserve import preserved
from keras_initcheck.probe.tap.recorder import Recorder
from keras_initcheck.probe.tap.site_record import Channel
from keras_initcheck.probe.tap.wrapping import on_the_way_back
from keras_initcheck.records.errors import InitCheckError, ProbeError
from keras_initcheck.records.profile import Spectrum
from keras_initcheck.theory.lanczos import largest_eigenvalue, singular_value

NUM_VECTORS = 16
"""Random vectors for the mean. The relative standard error of one is `sqrt(2 / D)`, with
`D = (sum s²)² / sum s⁴` over all samples.
"""
NUM_ITERATIONS = 20
"""Most products for the largest singular value. Lanczos' method then is within a few per cent from
any start, and its error is printed.
"""
ROUNDING = 1e-5
"""Relative error that float32 leaves in a product with the Jacobian of a few dozen layers. No
smaller error is reported.
"""


def measure_spectrum(model: Model, batch: Batch, engine: Engine, seed: int = 0) -> Spectrum:
    """The Jacobian's spectrum at a batch, in training mode, as the probe runs the model.

    `E |Jᵀ u|² = sum s²` for `u` of standard normal numbers (Hutchinson 1990). The reverse direction
    is taken because every backend has it.

    Cost: one forward pass, 16 backward passes, and up to 20 more in both directions.

    Args:
        model: A built model; it stays bitwise what it was.
        batch: The batch. Inputs that are not floating-point have no Jacobian and are kept
            constant.
        engine: The backend's engine module.
        seed: Seed of the random vectors.

    Raises:
        ProbeError: No input is floating-point, or the model does not run on the batch.
    """
    leaves = keras.tree.flatten(batch.x)
    places = [place for place, leaf in enumerate(leaves) if is_observable(leaf)]
    if not places:
        raise ProbeError(
            "`spectrum` must be asked of a model with floating-point inputs. Received: integers"
            " only. Leave it out."
        )
    tensors = [leaves[place] for place in places]

    def function(changed: list[Tensor]) -> Tensor:
        x = keras.tree.pack_sequence_as(batch.x, _replaced(leaves, places, changed))
        return _outputs(model, x, engine)

    with preserved(model):
        with _failures_named(model):
            linear = engine.linearize(function, tensors, lambda: on_the_way_back(model))
        return _spectrum(model, linear, tensors, np.random.default_rng(seed))


@contextlib.contextmanager
def _failures_named(model: Model) -> Iterator[None]:
    """A context in which the model or its derivative runs: the rest of the work may not fail."""
    try:
        yield
    except InitCheckError:
        raise
    except Exception as error:  # whatever a model or a framework raises
        raise ProbeError(
            f"The Jacobian of {model.name!r} could not be measured. {error_summary(error)}"
        ) from error


def _spectrum(
    model: Model, linear: LinearMap, tensors: list[Tensor], generator: np.random.Generator
) -> Spectrum:
    num_inputs = sum(math.prod(tensor.shape) for tensor in tensors)
    directions = (generator.standard_normal(linear.num_outputs) for _ in range(NUM_VECTORS))
    with _failures_named(model):
        pulled = [linear.pull(direction) for direction in directions]
    means = np.asarray(list(map(_square, pulled))) / min(num_inputs, linear.num_outputs)
    start = generator.standard_normal(linear.num_outputs)
    largest, error, num_iterations, note = None, None, 0, None
    try:
        largest, error, num_iterations = _largest_singular_value(linear, start)
    except _NoForwardDerivativeError as failure:
        note = f"the largest singular value is not known: {failure}"
    return Spectrum(
        num_inputs=num_inputs,
        num_outputs=linear.num_outputs,
        mean_square=float(means.mean()),
        standard_error=float(means.std(ddof=1) / math.sqrt(NUM_VECTORS)),
        num_vectors=NUM_VECTORS,
        largest=largest,
        largest_error=error,
        num_iterations=num_iterations,
        note=note,
    )


class _NoForwardDerivativeError(Exception):
    """An operation has no derivative in the forward direction."""


def _largest_singular_value(linear: LinearMap, start: np.ndarray) -> tuple[float, float, int]:
    """The value, a bound of its error, and the number of products.

    Raises:
        _NoForwardDerivativeError: A product failed.
    """

    def product(vector: np.ndarray) -> np.ndarray:
        try:
            return linear.push(linear.pull(vector))
        except Exception as error:  # each framework has its own error for that
            raise _NoForwardDerivativeError(error_summary(error)) from error

    value, bound, num_iterations = largest_eigenvalue(product, start, NUM_ITERATIONS)
    return *singular_value(value, max(bound, ROUNDING * value)), num_iterations


def _outputs(model: Model, x: Nest, engine: Engine) -> Tensor:
    """All outputs as one vector, each before its own activation, such as softmax."""

    def observe(tensor: Tensor) -> tuple[Tensor, Channel]:
        return tensor, Channel(0, tuple(tensor.shape), "")

    def take_indices(_: int, embedding: Any, ids: Tensor) -> Tensor:
        return index_rows.inside(ids, embedding.input_dim)

    def relate(_: Tensor, __: Tensor) -> int:
        return 0

    with keras.StatelessScope(introspection.regularized_values(model), collect_losses=True):
        recorder = Recorder(model, observe, take_indices, relate, engine.trace_state)
        recorder.enter(x)
        with recorder.installed():
            outputs = recorder.leave(introspection.call_in_training(model, x))
        starts = [
            recorder.owners.before_activation(output)
            for output in keras.tree.flatten(outputs)
            if is_observable(output)
        ]
        return ops.concatenate([ops.cast(ops.reshape(start, (-1,)), "float32") for start in starts])


def _replaced(leaves: list[Tensor], places: list[int], changed: list[Tensor]) -> list[Tensor]:
    new = dict(zip(places, changed, strict=True))
    return [new.get(place, leaf) for place, leaf in enumerate(leaves)]


def _square(tensors: list[Tensor]) -> float:
    return math.fsum(
        float(np.sum(np.square(np.asarray(to_numpy(tensor), np.float64)))) for tensor in tensors
    )
