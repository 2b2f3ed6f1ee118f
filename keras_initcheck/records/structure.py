"""Facts about a model that do not change between two probes of the same compiled pass."""

from dataclasses import dataclass, field
from typing import Literal

from keras_initcheck.records.record import Record

SiteKind = Literal[
    "weight",
    "activation",
    "normalization",
    "merge",
    "pass",
    "recurrent",
    "embedding",
    "block",
    "other",
]
"""Kinds of sites: `"pass"` is dropout, pooling and reshaping; a `"block"` is a layer made of layers
whose own arithmetic comes last."""

UNKNOWN_ACTIVATION = "unknown"
"""Name of an activation that is applied outside of layers."""

NOT_CALLED = "not called in this forward pass"
"""The reason in `Structure.not_probed` for a layer that the model did not call."""

WeightRole = Literal["kernel", "bias", "scale", "embedding", "state", "other"]
"""Roles of variables: `"scale"` of a normalization, `"state"` what is not trainable by
construction."""


@dataclass(frozen=True, eq=False)
class Site(Record):
    """One call of one layer, in execution order.

    Attributes:
        index: Position in `Structure.sites`.
        name: Path through nested models, with `#2` and so on for further calls of the same layer.
        layer: Path of the layer (equal to `name` at its first call).
        layer_type: Class name.
        kind: What the layer does to a signal.
        inputs: Indices of the sites whose outputs it received.
        inputs_known: Whether every input tensor was recognized as some site's output (or the
            model's input). Where it is `False`, tensor arithmetic outside of layers came in between
            and execution order serves instead.
        follows_previous: Where `inputs_known` is `False`: whether the input is an element-wise
            function of the output of the site executed before, as an activation that is applied
            outside of layers makes it. Judged on a sample of the values.
        input_shape: Shape of the first input, batch first. Each step of a `TimeDistributed` layer
            counts as a sample.
        output_shape: Shape of the first output, batch first.
        num_parameters: Number of weights of the layer; 0 at its further calls.
        is_trainable: Whether the layer is trained.
        activation: Name of the activation that follows, fused or as a layer; `None` if there is
            none, `"unknown"` if it cannot be told.
        is_head: Whether no other weight layer comes after it.
        uses_moving_statistics: Whether a batch normalization ran in inference mode, with the mean
            and variance that it holds instead of the batch's.
        chain: Number of the chain that a hidden weight layer belongs to: weight layers in a row
            without normalization, merge or fork.
        model_inputs: Names of the model's inputs that it received directly.
    """

    index: int
    name: str
    layer: str
    layer_type: str
    kind: SiteKind
    inputs: tuple[int, ...] = ()
    inputs_known: bool = True
    follows_previous: bool = False
    input_shape: tuple[int, ...] | None = None
    output_shape: tuple[int, ...] | None = None
    num_parameters: int = 0
    is_trainable: bool = True
    activation: str | None = None
    is_head: bool = False
    uses_moving_statistics: bool = False
    chain: int | None = None
    model_inputs: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Weight(Record):
    """One floating-point variable of the model.

    Attributes:
        name: Its path, such as `block1_conv1/kernel`.
        layer: Path of the layer that owns it.
        site: Index of the first site of that layer, or `None` where the layer was not called.
        role: What the layer uses it for.
        shape: Its shape.
        fan_in: True number of inputs that feed one output element, per gate in recurrent layers.
            `None` where not defined.
        fan_out: True mean number of output elements that one input element feeds. `None` where not
            defined.
        is_trainable: Whether it is trained.
        optimizer: As `Structure.optimizer`, of the one that trains it where several train the
            model; else `None`.
    """

    name: str
    layer: str
    site: int | None
    role: WeightRole
    shape: tuple[int, ...]
    fan_in: float | None
    fan_out: float | None
    is_trainable: bool = field(default=True, kw_only=True)
    optimizer: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True, eq=False)
class Structure(Record):
    """Everything about a model that a compiled pass learns once.

    `analysis.structure_analysis.analysis_of` keeps what follows from a structure with the instance,
    beside its fields.

    Attributes:
        model: Name of the model.
        sites: Every site, in execution order.
        weights: Every floating-point variable of the model.
        inputs: Names of the floating-point model inputs.
        not_probed: `(path, reason)` of what was left out.
        num_unmeasured: Number of parameters that are no floating-point numbers, as in quantized
            kernels.
        optimizer: Keras' class name of the compiled optimizer, past those that wrap it;
            `"MultiOptimizer"` where several kinds train the model, `None` where nothing is
            compiled. One that is none of Keras' has its module's name in front.
        is_loss_scaled: Whether the optimizer scales the loss, and skips steps whose gradient
            overflows.
        backend: Keras backend.
        dtype: Name of the model's dtype policy.
        versions: `(package, version)` pairs.
    """

    model: str
    sites: tuple[Site, ...]
    weights: tuple[Weight, ...] = ()
    inputs: tuple[str, ...] = ()
    not_probed: tuple[tuple[str, str], ...] = ()
    num_unmeasured: int = 0
    optimizer: str | None = None
    is_loss_scaled: bool = False
    backend: str = ""
    dtype: str = "float32"
    versions: tuple[tuple[str, str], ...] = ()
