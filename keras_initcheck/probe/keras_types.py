"""The objects of Keras that the probe handles, as protocols.

Keras and the frameworks come without types that a checker could read. No function stands here.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

Tensor: TypeAlias = Any
"""A tensor of the running backend, or a value that stands for one while a function is traced."""

Nest: TypeAlias = Any
"""A tensor, or lists, tuples and dicts of nests, as models take and return them."""


class Dtyped(Protocol):
    """A tensor or variable of which only shape and dtype are asked.

    Attributes:
        shape: The sizes of its axes, `None` for one that is open.
        dtype: Its dtype, of the framework or as a string.
    """

    shape: Sequence[int]
    dtype: Any


class KerasVariable(Protocol):
    """A variable of a layer or an optimizer.

    Attributes:
        name: Its own name, such as `kernel`.
        path: Its name with those of its owners.
        shape: The sizes of its axes.
        dtype: Keras' name of its dtype.
        value: Its tensor.
        trainable: Whether an optimizer may change it.
        regularizer: Its penalty on the loss, or `None`.
    """

    name: str
    path: str
    trainable: bool
    regularizer: Callable[[Tensor], Tensor] | None
    shape: tuple[int, ...]
    dtype: str
    value: Tensor

    def assign(self, value: Tensor) -> Any:
        """Gives the variable another value."""


class Operation(Protocol):
    """A layer, or a node of a Functional graph that is no layer, such as `x + y`.

    Attributes:
        name: Its name, unique among its siblings.
    """

    name: str
    call: Callable[..., Any]


class Layer(Operation, Protocol):
    """A layer or a model.

    Attributes:
        built: Whether it has its variables.
        trainable: Whether an optimizer may change them.
        variables: All of its variables, those of the layers inside it included.
    """

    built: bool
    trainable: bool
    variables: list[KerasVariable]
    trainable_variables: list[KerasVariable]


class Model(Layer, Protocol):
    """A `keras.Model`.

    Attributes:
        losses: What layers and regularizers add to the loss, as of the latest call.
        input: The nest of symbolic inputs of a graph of layers; no other model has it.
    """

    input: Nest
    non_trainable_variables: list[KerasVariable]
    weights: list[KerasVariable]
    losses: list[Tensor]
    dtype_policy: Any

    def get_build_config(self) -> dict[str, Any] | None:
        """The arguments with which the model was built, such as `input_shape`."""

    def compute_loss(self, **arguments: Any) -> Tensor:
        """The loss of the compiled losses and of the layers."""

    def __call__(self, *args: Any, **kwargs: Any) -> Nest:
        """The outputs of a call, which runs its hooks and checks besides `call`."""
