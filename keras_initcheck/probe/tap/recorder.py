"""Watches a model's forward pass: which layers are called, in what order, on whose outputs, and the
statistics at each place.

Nothing is left on the model: `Recorder.installed` puts every attribute back, also after an
exception.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_initcheck.probe.engine.tensor_kinds import is_observable
from keras_initcheck.probe.keras_model import introspection, layer_kinds
from keras_initcheck.probe.keras_model.graph import (
    operations_without_layers,
    runs_graph,
    sole_consumers,
)
from keras_initcheck.probe.keras_model.private_api import (
    flatten_layers,
    sublayers,
    without_rematerialization,
)
from keras_initcheck.probe.tap.wrapping import (
    replaced_activation,
    wrapped_calls,
)
from keras_initcheck.records.structure import SiteKind

MODEL_INPUT = -1
"""Owner of the tensors that enter the model."""


@dataclass
class Channel:
    """A tensor that is observed: its place among the rows, and its size."""

    index: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Operand:
    """A floating-point tensor among a site's arguments.

    Attributes:
        site: Index of the site whose output it is, `MODEL_INPUT`, or `None` where it was not
            recognised.
        shape: Its shape.
        name: Of a model's input: its path, as in `Profile.inputs`.
    """

    site: int | None
    shape: tuple[int, ...]
    name: str = ""


@dataclass
class SiteRecord:
    """What is known of a site while the pass is traced. `link` numbers the comparison of its input
    with the output of the site before.

    `arguments` are its operands and the numbers between them, in order and with repetitions;
    `in_causal_attention` says whether it was called by a layer that was told to use a causal mask.
    """

    index: int
    name: str
    layer_path: str
    layer: Any
    kind: SiteKind
    is_first_call: bool
    inputs: tuple[int, ...] = ()
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


@dataclass
class _Owner:
    """The site that made a tensor. The tensor is kept alive, because a freed one's identity could
    be given to another.
    """

    tensor: Any
    site: int
    channel: Channel | None
    pre_activation: Any | None = None
    name: str = ""


@dataclass
class Recorder:
    """The record of one forward pass.

    Args:
        model: The model that is going to be called.
        observe: `observe(tensor)` gives the tensor to pass on in its place and the channel of its
            statistics.
        relate: `relate(before, after)` compares two tensors of one shape, and gives the
            comparison's number.
        trace_state: Token of the framework's current trace. Layers called in another one (a traced
            loop, a checkpoint) are not observed.

    Attributes:
        sites: The sites, in order of their calls.
        unobserved: Paths of layers that could not be observed, each with the reason.
        failed_at: Path of the innermost layer that raised.
    """

    model: Any
    observe: Callable[[Any], tuple[Any, Channel]]
    relate: Callable[[Any, Any], int]
    trace_state: Callable[[], object]
    sites: list[SiteRecord] = field(default_factory=list)
    unobserved: dict[str, str] = field(default_factory=dict)
    _owners: dict[int, _Owner] = field(default_factory=dict)
    _scopes: list[str] = field(default_factory=list)
    _calls: Counter[str] = field(default_factory=Counter)
    _paths: dict[int, str] = field(default_factory=dict)
    _is_inside_leaf: bool = False
    _is_causal: bool = False
    _is_over: bool = False
    _latest: Any | None = None
    failed_at: str | None = None

    def __post_init__(self) -> None:
        self._home = self.trace_state()
        self._sole_consumers = sole_consumers(self.model)

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Wraps `call` on every layer instance and graph operation for the time of the context,
        once.
        """
        operations = [
            *flatten_layers(self.model),
            *operations_without_layers(self.model),
        ]
        with wrapped_calls(operations[1:], self._wrapper), without_rematerialization(operations):
            try:
                yield
            finally:
                self._is_over = True

    def enter(self, inputs: Any) -> None:
        """Says that the tensors in `inputs` are the model's own inputs."""
        for name, tensor in introspection.flatten_with_names(inputs):
            self._owners[id(tensor)] = _Owner(tensor, MODEL_INPUT, None, name=name)

    def leave(self, outputs: Any) -> Any:
        """The model's outputs, observed where the model itself did arithmetic after its last
        layer.
        """
        return self._observe_block(self.model, "(output)", outputs)

    def maker(self, tensor: Any) -> SiteRecord | None:
        """The site whose output a tensor is, or `None` where no site made it."""
        owner = self._owners.get(id(tensor))
        return None if owner is None or owner.site == MODEL_INPUT else self.sites[owner.site]

    def before_activation(self, tensor: Any) -> Any:
        """The pre-activation behind an output with an activation of its own, else the tensor
        itself.

        A random cotangent starts there, because a saturated softmax would pass nothing of it on.
        """
        owner = self._owners.get(id(tensor))
        return tensor if owner is None or owner.pre_activation is None else owner.pre_activation

    def cotangent_place(self, output: Any) -> tuple[int, bool] | None:
        """Where a random cotangent starts that belongs to that output: a site, and whether at its
        pre-activation instead of its output.

        `None` where no site made that tensor.
        """
        start, owner = self.before_activation(output), self._owners.get(id(output))
        origin = self._owners.get(id(start))
        if origin is None and owner is not None and owner.pre_activation is start:
            return owner.site, True
        return None if origin is None or origin.site == MODEL_INPUT else (origin.site, False)

    def _wrapper(self, operation: Any, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._is_over:  # by a checkpoint that was given this very function
                return original(*args, **kwargs)
            path = "/".join([*self._scopes, operation.name])
            try:
                return self._call(operation, original, args, kwargs)
            except Exception:
                self.failed_at = self.failed_at or path
                raise

        return call

    def _call(
        self,
        operation: Any,
        original: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        if self._is_inside_leaf:
            return original(*args, **kwargs)
        if self.trace_state() != self._home:
            self.unobserved.setdefault(
                "/".join([*self._scopes, operation.name]),
                "called inside a traced loop or a checkpoint",
            )
            return original(*args, **kwargs)
        if self._is_container(operation):
            return self._call_container(operation, original, args, kwargs)
        return self._call_leaf(operation, original, args, kwargs)

    @staticmethod
    def _is_container(operation: Any) -> bool:
        is_layer = isinstance(operation, keras.layers.Layer)
        return (
            is_layer
            and not isinstance(operation, (*layer_kinds.WEIGHT, *layer_kinds.OPAQUE))
            and bool(sublayers(operation))
        )

    def _call_container(
        self,
        layer: Any,
        original: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        self._scopes.append(layer.name)
        was_causal, self._is_causal = self._is_causal, bool(kwargs.get("use_causal_mask"))
        try:
            outputs = original(*args, **kwargs)
        finally:
            self._scopes.pop()
            self._is_causal = was_causal
        return outputs if runs_graph(layer) else self._observe_block(layer, layer.name, outputs)

    def _observe_block(self, layer: Any, name: str, outputs: Any) -> Any:
        first = next(
            (tensor for tensor in keras.tree.flatten(outputs) if is_observable(tensor)), None
        )
        if first is None or id(first) in self._owners:
            return outputs
        site = self._open(layer, name, "block", (), {})
        site.inputs_known = False
        return self._close(site, outputs)

    def _call_leaf(
        self,
        operation: Any,
        original: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        site = self._open(operation, operation.name, layer_kinds.kind_of(operation), args, kwargs)
        args = self._tap_input(site, args)
        self._list_hidden(site)
        self._is_inside_leaf = True
        try:
            with self._activation_observed(site, operation):
                outputs = original(*args, **kwargs)
        finally:
            self._is_inside_leaf = False
        return self._close(site, outputs, args[0] if args else None)

    def _list_hidden(self, site: SiteRecord) -> None:
        """What runs inside a layer that loops over it, whether this backend calls it (cells of a
        fused LSTM are not) or not.
        """
        if isinstance(site.layer, layer_kinds.OPAQUE):
            for hidden in sublayers(site.layer):
                self.unobserved.setdefault(
                    f"{site.layer_path}/{hidden.name}", f"inside {site.layer_path}"
                )

    def _open(
        self,
        operation: Any,
        name: str,
        kind: SiteKind,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> SiteRecord:
        path = "/".join([*self._scopes, name])
        self._calls[path] += 1
        tensors = [
            tensor for tensor in keras.tree.flatten((args, kwargs)) if keras.ops.is_tensor(tensor)
        ]
        owners = [self._owners.get(id(tensor)) for tensor in tensors]
        site = SiteRecord(
            index=len(self.sites),
            name=path if self._calls[path] == 1 else f"{path}#{self._calls[path]}",
            layer_path=self._paths.setdefault(id(operation), path),
            layer=operation,
            kind=kind,
            is_first_call=all(record.layer is not operation for record in self.sites),
            inputs=tuple(
                dict.fromkeys(
                    owner.site
                    for owner in owners
                    if owner is not None and owner.site != MODEL_INPUT
                )
            ),
            inputs_known=all(
                o is not None for o, t in zip(owners, tensors, strict=True) if is_observable(t)
            ),
            input_shape=tuple(tensors[0].shape) if tensors else None,
            arguments=tuple(self._arguments(args, kwargs)),
            is_training=bool(
                kwargs.get(
                    "training", next((each for each in args if isinstance(each, bool)), False)
                )
            ),
            in_causal_attention=self._is_causal,
        )
        self.sites.append(site)
        return site

    def _arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Iterator[Operand | float]:
        for argument in keras.tree.flatten((args, kwargs)):
            if is_observable(argument):
                owner = self._owners.get(id(argument))
                shape = tuple(argument.shape)
                yield (
                    Operand(None, shape)
                    if owner is None
                    else Operand(owner.site, shape, owner.name)
                )
            elif isinstance(argument, int | float) and not isinstance(argument, bool):
                yield float(argument)

    def _tap_input(self, site: SiteRecord, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if not args or not is_observable(args[0]) or (site.kind != "weight" and site.inputs_known):
            return args
        owner = self._owners.get(id(args[0]))
        if (
            owner is None
            and self._latest is not None
            and tuple(self._latest.shape) == tuple(args[0].shape)
        ):
            site.link = self.relate(self._latest, args[0])
        if (
            owner is not None
            and owner.channel is not None
            and id(site.layer) in self._sole_consumers
        ):
            site.x = owner.channel
            return args
        tapped, site.x = self.observe(args[0])
        return (tapped, *args[1:])

    @contextlib.contextmanager
    def _activation_observed(self, site: SiteRecord, layer: Any) -> Iterator[None]:
        function = layer_kinds.fused_activation(layer) if site.kind == "weight" else None
        if function is None:
            yield
            return
        site.activation = function

        def activation(z: Any, *args: Any, **kwargs: Any) -> Any:
            if site.z is None and is_observable(z):
                z, site.z = self.observe(z)
                self._pre_activation = z
            return function(z, *args, **kwargs)

        with replaced_activation(layer, activation):
            yield

    def _close(self, site: SiteRecord, outputs: Any, x: Any = None) -> Any:
        flat = keras.tree.flatten(outputs)
        first = next(
            (position for position, tensor in enumerate(flat) if is_observable(tensor)), None
        )
        if first is not None and id(flat[first]) not in self._owners:
            flat[first], site.h = self.observe(flat[first])
        elif first is None:
            self.unobserved.setdefault(site.name, "its output is not a dense floating-point tensor")
        pre_activation = (
            self._pre_activation if site.z is not None else x if site.kind == "activation" else None
        )
        for position, tensor in enumerate(flat):
            if keras.ops.is_tensor(tensor) and id(tensor) not in self._owners:
                is_first = position == first
                channel = site.h if is_first else None
                self._owners[id(tensor)] = _Owner(
                    tensor, site.index, channel, pre_activation if is_first else None
                )
        self._latest = None if first is None else flat[first]
        if first is not None:
            site.output_shape = tuple(flat[first].shape)
        return keras.tree.pack_sequence_as(outputs, flat)
