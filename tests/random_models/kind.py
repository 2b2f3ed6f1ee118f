"""What a step of a random model is: what it takes and gives, how its layers are made and
applied.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from keras import ops

from tests.random_models import custom

ACTIVATIONS = (
    "relu",
    None,
    "tanh",
    "gelu",
    "sigmoid",
    "selu",
    "swish",
    "softplus",
    "softmax",
    "leaky_relu",
)
REGULARIZERS = (None, "l2", "l1", "orthogonal_regularizer")
CONSTRAINTS = (None, "max_norm", "unit_norm", "non_neg")


def in_a_row(layers, x):
    """The outputs of layers, one after another."""
    for layer in layers:
        x = layer(x)
    return x


@dataclass(frozen=True)
class Kind:
    """What a step takes ("any", or kinds of stream) and gives ("same", or a kind), how its layers
    are made and applied.

    `options` are the choices for each keyword of `make`, `backends` those that it runs on, and
    `number` the streams that it takes.
    """

    takes: str
    gives: str
    make: Callable[..., Any] = lambda: []
    apply: Callable[..., Any] = in_a_row
    options: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    backends: tuple[str, ...] = ("tensorflow", "torch", "jax")
    number: int = 1
    is_exact: bool = True
    """Whether a plain forward pass gives the same numbers: it draws nothing, and leaves no
    trace.
    """


def only(layers, *streams):
    """The output of a step's only layer, which takes a list."""
    return layers[0](list(streams))


def attend(layers, x):
    return layers[0](x, x)


def attend_list(layers, x):
    return layers[0]([x, x])


def last_step(layers, x):
    return x[:, -1]


def mean_of_steps(layers, x):
    return ops.mean(x, axis=1)


def row(layers, x):
    return x[:, 0]


def join(layers, a, b):
    return layers[1](layers[0]([a, b]))


def first_of_tuple(layers, x):
    y, (bounded, _) = layers[0](x)
    return y + bounded


def sum_of_dict(layers, x):
    found = layers[0](x)
    return found["sum"] + found["given"]


def watch(layers, x):
    layers[0](x)
    return x


def gated(layers, a, b):
    return layers[0]({"x": a, "gate": b})


def by_keyword(layers, a, b):
    return layers[0](a, by=b)


def raw(function, takes="any", gives="same", number=1):
    """A step without layers."""
    return Kind(
        takes, gives, lambda: [], lambda layers, *streams: function(*streams), number=number
    )


def own(name, takes="any", **options):
    """A step of one custom layer."""
    return Kind(takes, "same", lambda: [getattr(custom, name)()], **options)


ACTIVE = {"activation": ACTIVATIONS}
