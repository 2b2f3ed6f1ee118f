"""The cause of a failed pass, found by running the model once more without a probe around it.

An error is reported as the model's only if the model raises it alone, too. Any other is a fault of
this package, and its message asks for a report.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
from keras import ops

from keras_initcheck.probe.data.batch import Batch
from keras_initcheck.probe.engine.protocol import BatchParts, Engine, PassResult, StateMapping
from keras_initcheck.probe.engine.row_layout import (
    SCALARS,
    RowLayout,
    Section,
    gradients_of,
    weight_gradients_of,
)
from keras_initcheck.probe.engine.tensor_kinds import is_observable
from keras_initcheck.probe.keras_model import introspection
from keras_initcheck.probe.keras_model.graph import operations_without_layers, symbolic_inputs
from keras_initcheck.probe.keras_model.messages import describe_tensors, error_summary
from keras_initcheck.probe.keras_model.private_api import flatten_layers, without_rematerialization
from keras_initcheck.probe.keras_types import Tensor
from keras_initcheck.probe.tap.pass_record import LOSS, Options
from keras_initcheck.probe.tap.preserve import preserved
from keras_initcheck.probe.tap.refused_loss import explain_loss, why_left_out
from keras_initcheck.probe.tap.wrapping import on_the_way_back, wrapped_calls
from keras_initcheck.records.errors import InitCheckError, ProbeError

PLEASE_REPORT = (
    "please report it with the whole traceback, since this is a fault of keras_initcheck and not of"
    " the model."
)
_MEMORY_ERRORS = ("MemoryError", "OutOfMemoryError", "ResourceExhaustedError")


@contextlib.contextmanager
def our_own(work: str) -> Iterator[None]:
    """A context for work in which no code of the user's runs, so that a failure is our own fault.

    Args:
        work: The work, such as "the statistics of layer 'dense'".

    Raises:
        ProbeError: Something failed.
    """
    try:
        yield
    except InitCheckError:
        raise
    except Exception as error:
        raise ProbeError(
            f"keras_initcheck failed at {work}: {_summary(error)}; {PLEASE_REPORT}"
        ) from error


def explain(
    model: Any,
    engine: Engine,
    options: Options,
    batch: Batch,
    error: Exception,
    site: str | None,
) -> InitCheckError:
    """The error to raise, `from` its `__cause__`, after a pass has failed.

    Args:
        model: The model, built.
        engine: The backend's engine module.
        options: The options of the pass.
        batch: The batch of the pass.
        error: The error that the pass raised.
        site: The innermost layer that raised it, or `None`.
    """
    if _is_out_of_memory(error):
        return _caused_error(
            f"Probing {model.name!r} needs more memory than there is. Pass a smaller `batch_size`."
            f" {error_summary(error)}",
            error,
        )
    own = _own_failure(model, engine, options, batch)
    if own is not None:
        return own
    where = f"on layer {site!r}" if site else f"on the model {model.name!r}"
    return _caused_error(
        f"keras_initcheck failed {where}, which runs without it: {_summary(error)};"
        f" {PLEASE_REPORT}",
        error,
    )


def unbuilt(model: Any, batch: Batch, error: Exception) -> ProbeError:
    """The error for a model whose variables Keras could not create."""
    return _caused_error(
        f"The model {model.name!r} must be one that Keras can build from inputs like"
        f" {describe_tensors(batch.x)}, as `fit` does before its first step."
        f" {error_summary(error)}",
        error,
    )


def _own_failure(
    model: Any, engine: Engine, options: Options, batch: Batch
) -> InitCheckError | None:
    """The error of the model without a probe; `None` where it runs and has a gradient."""
    plain = _PlainPass(model, options)
    try:
        with preserved(model):
            engine.compile_pass(plain, model, is_repeated=options.is_repeated(model)).run(
                batch.parts
            )
    except InitCheckError as failure:
        return failure
    except Exception as error:
        return _caused_error(_failure_message(model, batch, plain, error), error)
    return None


def _failure_message(model: Any, batch: Batch, plain: "_PlainPass", error: Exception) -> str:
    if plain.has_run:
        return (
            f"The model {model.name!r} must have a gradient. Without keras_initcheck, too,"
            f" computing it fails. {error_summary(error)}"
        )
    expected = symbolic_inputs(model)
    if plain.culprit is None and expected is not None and not _fits(expected, batch.x):
        return (
            f"The model {model.name!r} must be given inputs like {describe_tensors(expected)}."
            f" Received: {describe_tensors(batch.x)}. {error_summary(error)}"
        )
    culprit = f"its layer {plain.culprit}" if plain.culprit else "its `call`"
    without = (
        f" Before, its layer {plain.without_tensor}, which is no tensor."
        if plain.without_tensor and not plain.culprit
        else ""
    )
    return (
        f"The model {model.name!r} must run on the batch. Without keras_initcheck, too, {culprit}"
        f" raises {_summary(error)}.{without} Received: inputs {describe_tensors(batch.x)}."
    )


def _fits(expected: Any, received: Any) -> bool:
    """Whether tensors have the structure and the shapes of a model's symbolic inputs."""
    pairs = introspection.flatten_with_names(expected), introspection.flatten_with_names(received)
    if isinstance(expected, dict) or isinstance(received, dict):
        pairs = (
            sorted(pairs[0], key=lambda pair: pair[0]),
            sorted(pairs[1], key=lambda pair: pair[0]),
        )
        if [name for name, _ in pairs[0]] != [name for name, _ in pairs[1]]:
            return False
    shapes = [[tuple(tensor.shape) for _, tensor in each] for each in pairs]
    return len(shapes[0]) == len(shapes[1]) and all(map(_is_like, *shapes))


def _is_like(expected: tuple[int | None, ...], received: tuple[int, ...]) -> bool:
    return len(expected) == len(received) and all(
        a in (None, b) for a, b in zip(expected, received, strict=True)
    )


def _is_out_of_memory(error: Exception) -> bool:
    return type(error).__name__ in _MEMORY_ERRORS or "RESOURCE_EXHAUSTED" in str(error)


def _summary(error: Exception) -> str:
    return error_summary(error).rstrip(".")


def _caused_error(message: str, cause: Exception) -> ProbeError:
    error = ProbeError(message)
    error.__cause__ = cause
    return error


class _PlainPass:
    """A pass with nothing observed: the forward and backward passes that a training makes.

    Attributes:
        has_run: Whether the forward pass came to its end.
        culprit: Name and type of the innermost layer that raised.
        without_tensor: Name and type of the latest layer that returned no tensor, and its result.
        is_closed: See `ForwardPass`.
        most_objectives: See `ForwardPass`.
    """

    def __init__(self, model: Any, options: Options) -> None:
        self.is_closed = False
        self.most_objectives: int = len(options.cotangents)
        self.has_run = False
        self.culprit: str | None = None
        self.without_tensor: str | None = None
        self._model = model
        self._wants_loss = LOSS in options.cotangents and introspection.is_compiled(model)
        self._entered: list[str] = []

    def __call__(
        self,
        make_slot: Callable[[int, str], Any],
        parts: BatchParts,
        state_mapping: StateMapping,
        passes_copies: bool = False,
    ) -> PassResult:
        model, batch = self._model, Batch(*parts)
        self.has_run = False
        # Nothing depends on this slot: torch wants one tensor at least to differentiate by.
        make_slot(*self.slot_type)
        operations = [
            *flatten_layers(model),
            *operations_without_layers(model),
        ]
        with keras.StatelessScope(
            state_mapping or introspection.regularized_values(model), collect_losses=True
        ):
            with (
                wrapped_calls(operations[1:], self._wrapper),
                without_rematerialization(operations),
            ):
                outputs = introspection.call_in_training(model, batch.x)
            self.has_run = True
            objectives = [*self._sums(outputs), *self._losses(batch, outputs)]
        named = {f"objective {number}": each for number, each in enumerate(objectives)}
        sections = [Section(SCALARS, 1, 1)]
        for name in named:
            num_weights = len(model.trainable_variables)
            sections.append(Section(gradients_of(name), 1, 1))
            sections.append(Section(weight_gradients_of(name), num_weights, 1))
        layout = RowLayout(tuple(sections))
        return PassResult(named, {SCALARS: [ops.ones((1,))]}, layout, trained=tuple(named))

    @property
    def num_layers(self) -> int:
        """One, for the one slot."""
        return 1

    @property
    def slot_type(self) -> tuple[int, str]:
        """One number."""
        return 1, "float32"

    @property
    def keeps_gradients(self) -> bool:
        """Nothing is kept."""
        return False

    def keep(self, gradients: Sequence[Tensor]) -> None:
        """Nothing is kept."""

    def gradient_row(self, tensor: Tensor) -> Tensor:
        """One number, which needs the whole gradient."""
        return ops.reshape(ops.cast(ops.sum(tensor), "float32"), (1,))

    def way_back(self) -> AbstractContextManager[None]:
        """See `Forward.way_back`."""
        return on_the_way_back(self._model)

    def _wrapper(self, operation: Any, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._entered.append(operation.name)
            name = f"{'/'.join(self._entered)!r} ({type(operation).__name__})"
            try:
                outputs = original(*args, **kwargs)
            except Exception:
                self.culprit = self.culprit or name
                raise
            finally:
                self._entered.pop()
            if not any(map(ops.is_tensor, keras.tree.flatten(outputs))):
                self.without_tensor = f"{name} returned {describe_tensors(outputs)}"
            return outputs

        return call

    def _sums(self, outputs: Any) -> list[Any]:
        found = [tensor for tensor in keras.tree.flatten(outputs) if is_observable(tensor)]
        return [sum(ops.sum(ops.cast(tensor, "float32")) for tensor in found)] if found else []

    def _losses(self, batch: Batch, outputs: Any) -> list[Any]:
        if not self._wants_loss:
            return []
        try:
            return [
                introspection.compute_loss(
                    self._model, batch.x, batch.y, outputs, batch.sample_weight
                )
            ]
        except Exception as error:
            if why_left_out(self._model, batch, outputs, error) is not None:
                return []
            raise explain_loss(self._model, batch, outputs, error) from error


def without_call(model: Any) -> ProbeError:
    """The error for a model without a `call`, which names the parts that can be probed instead."""
    names = [part.name for part in introspection.submodels(model)] or ["generator", "discriminator"]
    parts = ", ".join(f"{name!r}: (its model, its inputs)" for name in names)
    return ProbeError(
        f"The model must have a `call` to be probed as a whole. Received: {model.name!r}, whose"
        f" {type(model).__name__} has none. Probe its parts: keras_initcheck.check(part, inputs),"
        f" or InitCheck(parts={{{parts}}})."
    )
