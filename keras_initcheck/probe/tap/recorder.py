"""Watches a model's forward pass: which layers are called, in what order, and on whose outputs.

Nothing is left on the model: `Recorder.installed` puts every attribute back, also after an
exception.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import keras

from keras_initcheck.probe.engine.tensor_kinds import is_observable
from keras_initcheck.probe.keras_model import layer_kinds, model_inputs
from keras_initcheck.probe.keras_model.graph import (
    operations_without_layers,
    runs_graph,
    sole_consumers,
)
from keras_initcheck.probe.keras_model.private_api import (
    flatten_layers,
    sublayers,
    without_fusion,
    without_rematerialization,
)
from keras_initcheck.probe.keras_types import Layer, Model, Nest, Tensor
from keras_initcheck.probe.tap import index_rows, time_steps
from keras_initcheck.probe.tap.site_names import SiteNames
from keras_initcheck.probe.tap.site_record import MODEL_INPUT, Channel, Operand, SiteRecord
from keras_initcheck.probe.tap.tensor_owners import Owner, TensorOwners
from keras_initcheck.probe.tap.wrapping import Call, replaced_activation, wrapped_calls
from keras_initcheck.records.structure import SiteKind

Arguments: TypeAlias = tuple[Any, ...]
Keywords: TypeAlias = dict[str, Any]


class Recorder:
    """The record of one forward pass.

    Args:
        model: The model that is going to be called.
        observe: `observe(tensor)` returns the tensor to pass on in its place and the channel of its
            statistics.
        take_indices: `take_indices(site, layer, ids)` returns the indices to pass to an embedding.
        relate: `relate(before, after)` compares two tensors of one shape, and returns the
            comparison's number.
        trace_state: Returns a token of the framework's current trace. Layers called in another one
            (a traced loop, a checkpoint) are not observed.

    Attributes:
        sites: The sites, in order of their calls.
        owners: Which site made which tensor.
        unobserved: Paths of layers that could not be observed, each with the reason.
        failed_at: Path of the innermost layer that raised, or `None`.
    """

    def __init__(
        self,
        model: Model,
        observe: Callable[[Tensor], tuple[Tensor, Channel]],
        take_indices: Callable[[int, Layer, Tensor], Tensor],
        relate: Callable[[Tensor, Tensor], int],
        trace_state: Callable[[], object],
    ) -> None:
        self.sites: list[SiteRecord] = []
        self.owners: TensorOwners = TensorOwners()
        self.unobserved: dict[str, str] = {}
        self.failed_at: str | None = None
        self._model = model
        self._observe = observe
        self._take_indices = take_indices
        self._relate = relate
        self._trace_state = trace_state
        self._home = trace_state()
        self._sole_consumers = sole_consumers(model)
        self._takers: dict[int, tuple[str, ...]] = {}
        self._names = SiteNames()
        self._latest: Tensor | None = None
        self._is_inside_leaf = False
        self._is_over = False

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Wraps `call` of each layer and graph operation for the time of the context, once."""
        operations = [*flatten_layers(self._model), *operations_without_layers(self._model)]
        with wrapped_calls(operations[1:], self._wrapper), without_rematerialization(operations):
            try:
                yield
            finally:
                # A checkpoint keeps the function that it was given, and calls it on the way back,
                # long after the context: from then on it must be the layer's own.
                self._is_over = True

    def enter(self, inputs: Nest) -> None:
        """Notes that the tensors in `inputs` are the model's own inputs."""
        self._takers = model_inputs.takers_of_inputs(self._model, inputs)
        for name, tensor in model_inputs.named_inputs(self._model, inputs):
            self.owners.add(Owner(tensor, MODEL_INPUT, name=name))

    def leave(self, outputs: Nest) -> Nest:
        """The model's outputs, observed where the model computes after its last layer."""
        return self._observe_block(self._model, "(output)", outputs)

    def maker(self, tensor: Tensor) -> SiteRecord | None:
        """The site whose output a tensor is, or `None` where no site made it."""
        owner = self.owners.get(tensor)
        return None if owner is None or owner.site == MODEL_INPUT else self.sites[owner.site]

    def _wrapper(self, operation: Any, original: Call) -> Call:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._is_over:
                return original(*args, **kwargs)
            path = self._names.path(operation.name)
            try:
                return self._call(operation, original, args, kwargs)
            except Exception:
                # The innermost layer comes first, and the ones around it see its error go by.
                self.failed_at = self.failed_at or path
                raise

        return call

    def _call(self, operation: Any, original: Call, args: Arguments, kwargs: Keywords) -> Any:
        # A leaf is observed as a whole: what it calls inside (an RNN its cell, EinsumDense nothing)
        # has no row of its own, and a tap in it would be counted twice.
        if self._is_inside_leaf:
            return original(*args, **kwargs)
        # Tensors of an inner trace must not leave it: a row that was made there could not be read
        # outside, and a tap's slot belongs to the outer one.
        if self._trace_state() != self._home:
            reason = "called inside a traced loop or a checkpoint"
            self.unobserved.setdefault(self._names.path(operation.name), reason)
            return original(*args, **kwargs)
        if isinstance(operation, layer_kinds.TIME_DISTRIBUTED):
            return self._call_time_distributed(operation, original, args, kwargs)
        if _is_container(operation):
            return self._call_container(operation, original, args, kwargs)
        return self._call_leaf(operation, original, args, kwargs)

    def _call_container(self, layer: Any, original: Call, args: Arguments, kwargs: Keywords) -> Any:
        num_sites = len(self.sites)
        is_causal = bool(kwargs.get("use_causal_mask"))
        with self._names.inside(layer.name, is_causal), without_fusion(layer):
            outputs = original(*args, **kwargs)
        if runs_graph(layer):
            return outputs
        is_join = isinstance(layer, layer_kinds.BIDIRECTIONAL)
        joined = self.sites[num_sites:] if is_join else []
        return self._observe_block(layer, layer.name, outputs, joined)

    def _call_time_distributed(
        self, wrapper: Any, original: Call, args: Arguments, kwargs: Keywords
    ) -> Any:
        """Calls the layer inside as a leaf, or with all steps at once where it is a container."""
        inner = wrapper.layer
        if not (_is_container(inner) or isinstance(inner, layer_kinds.TIME_DISTRIBUTED)):
            with self._names.inside(wrapper.name, is_causal=False):
                return self._call_leaf(inner, original, args, kwargs, is_in_loop=True)
        self._is_inside_leaf = True  # nothing is observed while shapes are worked out
        try:
            joined = time_steps.join(inner, *args, **kwargs)
        finally:
            self._is_inside_leaf = False
        if joined is None:
            return self._call_leaf(wrapper, original, args, kwargs)
        self.owners.add_view(joined.x, of=args[0])
        with self._names.inside(wrapper.name, is_causal=False):
            outputs = inner.call(joined.x, **joined.keywords)
        split = joined.split(outputs)
        self.owners.add_view(split, of=outputs)
        return split

    def _observe_block(
        self, layer: Any, name: str, outputs: Nest, joined: Sequence[SiteRecord] = ()
    ) -> Nest:
        """The outputs of a container, as a site of its own where no layer inside made them.

        Args:
            layer: The container.
            name: Its name.
            outputs: What it returned.
            joined: The sites whose outputs it joins; none where that is not known.
        """
        leaves = _leaves((outputs,))
        position = _first_observable(leaves)
        if position is None or leaves[position] in self.owners:
            return outputs
        site = self._open(layer, name, "block", (), {})
        site.inputs = tuple(each.index for each in joined)
        site.inputs_known = bool(joined)
        site.arguments = tuple(Operand(each.index, each.output_shape or ()) for each in joined)
        return self._close(site, outputs)

    def _call_leaf(
        self,
        operation: Any,
        original: Call,
        args: Arguments,
        kwargs: Keywords,
        is_in_loop: bool = False,
    ) -> Any:
        """Calls a leaf.

        Args:
            operation: The leaf.
            original: Its call, or that of a wrapper that loops over it.
            args: Arguments of that call.
            kwargs: Further ones.
            is_in_loop: Whether `original` loops over steps.
        """
        site = self._open(operation, operation.name, layer_kinds.kind_of(operation), args, kwargs)
        args = self._tap_input(site, args)
        if index_rows.takes_indices(operation, args, kwargs):
            args = (self._take_indices(site.index, operation, args[0]), *args[1:])
        self._list_hidden(site)
        pre_activations = [args[0]] if args and site.kind == "activation" else []
        observed = self._activation_behind_loop if is_in_loop else self._activation_observed
        self._is_inside_leaf = True
        try:
            with observed(site, pre_activations) as activate:
                outputs = activate(original(*args, **kwargs))
        finally:
            self._is_inside_leaf = False
        outputs = self._close(site, outputs, *pre_activations)
        if is_in_loop:
            site.input_shape, site.output_shape = map(
                _join_shape, (site.input_shape, site.output_shape)
            )
        return outputs

    def _list_hidden(self, site: SiteRecord) -> None:
        """Lists what runs inside a layer that loops over it, other than a recurrent layer's cells.

        These are the layer, whose output is observed.
        """
        if isinstance(site.layer, layer_kinds.OPAQUE) and site.kind != "recurrent":
            for hidden in sublayers(site.layer):
                path = f"{site.layer_path}/{hidden.name}"
                self.unobserved.setdefault(path, f"inside {site.layer_path}")

    def _open(
        self, operation: Any, name: str, kind: SiteKind, args: Arguments, kwargs: Keywords
    ) -> SiteRecord:
        leaves = _leaves((*args, *(kwargs[name] for name in sorted(kwargs))))
        tensors = [leaf for leaf in leaves if keras.ops.is_tensor(leaf)]
        owners = [owner for owner in map(self.owners.get, tensors) if owner is not None]
        observable = {id(tensor) for tensor in tensors if is_observable(tensor)}
        makers = [owner.site for owner in owners]
        given = [owner.name for owner in owners if owner.site == MODEL_INPUT]
        is_first_call = self._names.is_first_call(operation)
        site_name, layer_path = self._names.name_site(operation, name)
        site = SiteRecord(
            index=len(self.sites),
            name=site_name,
            layer_path=layer_path,
            layer=operation,
            kind=kind,
            is_first_call=is_first_call,
            inputs=tuple(dict.fromkeys(maker for maker in makers if maker != MODEL_INPUT)),
            model_inputs=tuple(dict.fromkeys([*given, *self._takers.get(id(operation), ())])),
            inputs_known=all(each in self.owners for each in tensors if id(each) in observable),
            input_shape=tuple(tensors[0].shape) if tensors else None,
            arguments=tuple(self._arguments(leaves, observable)),
            is_training=_is_training(args, kwargs),
            in_causal_attention=self._names.is_causal,
        )
        self.sites.append(site)
        return site

    def _arguments(self, leaves: Sequence[Any], observable: set[int]) -> Iterator[Operand | float]:
        for leaf in leaves:
            if id(leaf) in observable:
                yield self.owners.operand(leaf)
            elif isinstance(leaf, int | float) and not isinstance(leaf, bool):
                yield float(leaf)

    def _tap_input(self, site: SiteRecord, args: Arguments) -> Arguments:
        """The arguments, with the first one observed where `x` is wanted.

        It is wanted for weight layers, and where nobody known made it: `h` of its maker serves for
        the rest. Where the maker's output goes nowhere else, its channel serves for a weight layer
        too, since the gradients of the two are the same then.
        """
        if not args or not is_observable(args[0]) or (site.kind != "weight" and site.inputs_known):
            return args
        owner = self.owners.get(args[0])
        if owner is None and _is_like(self._latest, args[0]):
            site.link = self._relate(self._latest, args[0])
        is_sole = id(site.layer) in self._sole_consumers
        if owner is not None and owner.channel is not None and is_sole:
            site.x = owner.channel
            return args
        tapped, site.x = self._observe(args[0])
        return (tapped, *args[1:])

    @contextlib.contextmanager
    def _activation_observed(
        self, site: SiteRecord, pre_activations: list[Tensor]
    ) -> Iterator[Call]:
        """A context in which the site's fused activation notes its first argument.

        Gives the function to apply to the outputs of the call: the identity.
        """
        function = layer_kinds.fused_activation(site.layer) if site.kind == "weight" else None
        if function is None:
            yield _identity
            return
        site.activation = function

        def activation(z: Tensor, *args: Any, **kwargs: Any) -> Any:
            if site.z is None and is_observable(z):
                z, site.z = self._observe(z)
                pre_activations.append(z)
            return function(z, *args, **kwargs)

        with replaced_activation(site.layer, activation):
            yield _identity

    @contextlib.contextmanager
    def _activation_behind_loop(
        self, site: SiteRecord, pre_activations: list[Tensor]
    ) -> Iterator[Call]:
        """A context in which the loop leaves out the site's fused activation.

        Gives the function that observes what the loop returns, and activates all steps at once:
        nothing can be observed inside of a loop.
        """
        function = layer_kinds.fused_activation(site.layer) if site.kind == "weight" else None
        if function is None or not time_steps.is_outside_of_loop(function):
            yield _identity
            return
        site.activation = function

        def activate(z: Tensor) -> Any:
            z, site.z = self._observe(z)
            pre_activations.append(z)
            return time_steps.as_from_loop(function(z))

        with replaced_activation(site.layer, _identity):
            yield activate

    def _close(self, site: SiteRecord, outputs: Nest, pre_activation: Tensor | None = None) -> Nest:
        """The outputs of a site, observed, and owned by the site from now on."""
        flat = _leaves((outputs,))
        first = _first_observable(flat)
        if first is None:
            self.unobserved.setdefault(site.name, "its output is not a dense floating-point tensor")
        else:
            if flat[first] not in self.owners:
                flat[first], site.h = self._observe(flat[first])
                self.owners.add(Owner(flat[first], site.index, site.h, pre_activation))
            site.output_shape = tuple(flat[first].shape)
        self._latest = None if first is None else flat[first]
        for tensor in flat:
            if keras.ops.is_tensor(tensor) and tensor not in self.owners:
                self.owners.add(Owner(tensor, site.index))
        return flat[0] if _is_leaf(outputs) else keras.tree.pack_sequence_as(outputs, flat)


def _identity(outputs: Any) -> Any:
    return outputs


def _leaves(values: Sequence[Any]) -> list[Any]:
    """The leaves of values, most of which are leaves: flattening takes as long as a small layer."""
    found: list[Any] = []
    for value in values:
        found.extend((value,) if _is_leaf(value) else keras.tree.flatten(value))
    return found


def _is_leaf(value: Any) -> bool:
    return value is None or isinstance(value, int | float | str) or keras.ops.is_tensor(value)


def _join_shape(shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    return None if shape is None else time_steps.join_shape(shape)


def _is_container(operation: Any) -> bool:
    is_layer = isinstance(operation, keras.layers.Layer)
    is_leaf = isinstance(operation, (*layer_kinds.WEIGHT, *layer_kinds.OPAQUE))
    return is_layer and not is_leaf and bool(sublayers(operation))


def _is_like(before: Tensor | None, after: Tensor) -> bool:
    return before is not None and tuple(before.shape) == tuple(after.shape)


def _is_training(args: Arguments, kwargs: Keywords) -> bool:
    positional = next((each for each in args if isinstance(each, bool)), False)
    return bool(kwargs.get("training", positional))


def _first_observable(leaves: Sequence[Any]) -> int | None:
    return next((place for place, leaf in enumerate(leaves) if is_observable(leaf)), None)
