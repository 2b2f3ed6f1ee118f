"""Notes on a site, made while a pass is traced. They outlive the pass and hold no tensor of it."""

from dataclasses import dataclass
from typing import Any

from keras_initcheck.records.structure import SiteKind

MODEL_INPUT = -1
"""Index that stands for the model's inputs where a site is named as the maker of a tensor."""


@dataclass(frozen=True)
class Channel:
    """A tensor that is observed.

    Attributes:
        index: Its place among the rows of observed tensors.
        shape: Its shape.
        dtype: Keras' name of its dtype.
    """

    index: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Operand:
    """A floating-point tensor among a site's arguments.

    Attributes:
        site: Index of the site that made it, `MODEL_INPUT`, or `None` where nobody known did.
        shape: Its shape.
        name: Path of a model's input, as in `Profile.inputs`; empty for other tensors.
    """

    site: int | None
    shape: tuple[int, ...]
    name: str = ""


@dataclass
class SiteRecord:
    """One call of one layer or graph operation.

    Attributes:
        index: Number of the site in execution order.
        name: Its unique name.
        layer_path: Path of the layer through the models and layers that hold it.
        layer: The layer or graph operation.
        kind: Its kind, as in `SiteStats.kind`.
        is_first_call: Whether the layer was not called before in this pass.
        inputs: Indices of the sites whose outputs it received.
        model_inputs: Names of the model's inputs among them.
        inputs_known: Whether the maker of every input is known.
        link: Number of the comparison between this site's input and the previous site's output, or
            `None`.
        input_shape: Shape of the first argument.
        output_shape: Shape of the first observed output.
        x: The input.
        z: The pre-activation of a fused activation.
        h: The output.
        activation: The fused activation.
        arguments: Its operands and the numbers between them, in order and with repetitions.
        is_training: Whether it was called in training mode.
        in_causal_attention: Whether the layer that called it was told to use a causal mask.
    """

    index: int
    name: str
    layer_path: str
    layer: Any
    kind: SiteKind
    is_first_call: bool
    inputs: tuple[int, ...] = ()
    model_inputs: tuple[str, ...] = ()
    inputs_known: bool = True
    link: int | None = None
    input_shape: tuple[int, ...] | None = None
    output_shape: tuple[int, ...] | None = None
    x: Channel | None = None
    z: Channel | None = None
    h: Channel | None = None
    activation: Any | None = None
    arguments: tuple[Operand | float, ...] = ()
    is_training: bool = False
    in_causal_attention: bool = False
