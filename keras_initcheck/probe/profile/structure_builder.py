"""From a traced pass to the `Structure` of a model: sites, weights, chains, what was not probed."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.chains import find_chains, mark_heads
from keras_initcheck.probe.keras_model import layer_kinds, optimizers
from keras_initcheck.probe.keras_model.activations import UNKNOWN, following_activation
from keras_initcheck.probe.profile import variables
from keras_initcheck.probe.profile.variables import OwnedVariable
from keras_initcheck.probe.tap.diagnosis import our_own
from keras_initcheck.probe.tap.pass_record import PassRecord
from keras_initcheck.probe.tap.site_record import Channel, SiteRecord
from keras_initcheck.records.measurement import H, X
from keras_initcheck.records.structure import Site, Structure, Weight

IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class TracedStructure:
    """A structure, and the rows of the pass from which it was learned.

    Attributes:
        structure: The structure.
        activations: The function, layer or operation that follows each weight layer, by the index
            of its site.
        places: `(sites, places)`, row among the signals; -1 where nothing is observed.
        weight_rows: `(weights,)`, row among the weights.
        gradient_rows: `(weights,)`, row among the gradients of the weights; -1 where none is taken.
        sketch_rows: `(weights,)`, row among the sketches; -1 where none is made.
        chains: Indices of the sites of each chain.
        makers: For each site the index of the one that makes its `h`: itself, or the activation
            layer that follows; `None` if a function that is no site does.
        owned: The variables behind the structure's weights, in their order.
    """

    structure: Structure
    activations: dict[int, Any]
    places: IntArray
    weight_rows: IntArray
    gradient_rows: IntArray
    sketch_rows: IntArray
    chains: list[list[int]]
    makers: list[int | None]
    owned: tuple[OwnedVariable, ...]


def build_structure(
    model: Any, record: PassRecord, follows: npt.NDArray[np.bool_]
) -> TracedStructure:
    """The structure of a model.

    Args:
        model: The model.
        record: What its pass learned while it was traced.
        follows: `(links,)`, whether the later tensor of a link is an element-wise function of the
            earlier one.
    """
    owned = variables.owned_variables(model, record.sites)
    kept = [variable for variable in record.weights if id(variable) in owned]
    weights = _weights(model, kept, owned)
    sizes = _num_parameters(weights)
    bare = []
    for each in record.sites:
        with our_own(f"the statistics of layer {each.name!r}"):
            bare.append(_site(each, follows, sizes.get(each.index, 0)))
    places = np.array([_places(each) for each in record.sites], np.intp).reshape(-1, 3)
    activations = {
        each.index: each.activation for each in record.sites if each.activation is not None
    }
    joined, makers = _join_activations(bare, places, activations, record.sites)
    sites = mark_heads(joined)
    chains = find_chains(sites)
    return TracedStructure(
        Structure(
            model=model.name,
            sites=_number_chains(sites, chains),
            weights=weights,
            inputs=tuple(name for name, _ in record.inputs),
            not_probed=_not_probed(model, record),
            num_unmeasured=variables.num_unmeasured(model),
            backend=keras.backend.backend(),
            dtype=str(getattr(model.dtype_policy, "name", "float32")),
            versions=_versions(),
            **_optimizer_facts(model),
        ),
        activations,
        places,
        weight_rows=_positions(kept, record.weights),
        gradient_rows=_positions(kept, record.trainable),
        sketch_rows=_positions(kept, record.sketched),
        chains=chains,
        makers=makers,
        owned=tuple(owned[id(each)] for each in kept),
    )


def _weights(
    model: Any, kept: Sequence[Any], owned: dict[int, OwnedVariable]
) -> tuple[Weight, ...]:
    trainable = model.trainable_variables
    are_trained = {id(variable) for variable in trainable}
    optimizer = optimizers.compiled_optimizer(model)
    _, trained_by = optimizers.families(optimizer, trainable)
    return tuple(
        _weight(owned[id(each)], id(each) in are_trained, trained_by.get(id(each))) for each in kept
    )


def _weight(owned: OwnedVariable, is_trainable: bool, optimizer: str | None) -> Weight:
    return Weight(
        name=owned.name,
        layer=owned.layer,
        site=owned.site,
        role=owned.role,
        shape=tuple(owned.variable.shape),
        fan_in=float(owned.fans.fan_in) if owned.fans else None,
        fan_out=float(owned.fans.fan_out) if owned.fans else None,
        is_trainable=is_trainable,
        optimizer=optimizer,
    )


def _optimizer_facts(model: Any) -> dict[str, Any]:
    optimizer = optimizers.compiled_optimizer(model)
    family, _ = optimizers.families(optimizer, model.trainable_variables)
    return {"optimizer": family, "is_loss_scaled": optimizers.is_loss_scaled(optimizer)}


def _site(record: SiteRecord, follows: npt.NDArray[np.bool_], num_parameters: int) -> Site:
    return Site(
        index=record.index,
        name=record.name,
        layer=record.layer_path,
        layer_type=type(record.layer).__name__,
        kind=record.kind,
        inputs=record.inputs,
        inputs_known=record.inputs_known,
        follows_previous=record.link is not None and bool(follows[record.link]),
        input_shape=record.input_shape,
        output_shape=record.output_shape,
        num_parameters=num_parameters if record.is_first_call else 0,
        is_trainable=bool(getattr(record.layer, "trainable", True)),
        activation=_activation(record),
        model_inputs=record.model_inputs,
        uses_moving_statistics=layer_kinds.uses_moving_statistics(
            record.layer, is_training=record.is_training
        ),
    )


def _num_parameters(weights: Sequence[Weight]) -> Counter[int]:
    """Numbers of weights by the index of the site that owns them."""
    found: Counter[int] = Counter()
    for weight in weights:
        if weight.site is not None:
            found[weight.site] += math.prod(weight.shape)
    return found


def _activation(record: SiteRecord) -> str | None:
    """Name of the activation; for a recurrent layer, the one of its candidate state."""
    is_recurrent = record.kind == "recurrent"
    function = layer_kinds.state_activation(record.layer) if is_recurrent else record.activation
    return None if function is None else following_activation(function).name


def _places(record: SiteRecord) -> tuple[int, int, int]:
    """Rows of `x`, `z` and `h`. A weight layer without an activation of its own has `z = h`."""

    def row(channel: Channel | None) -> int:
        return -1 if channel is None else channel.index

    has_own_z = record.z is not None or record.kind != "weight"
    return row(record.x), row(record.z if has_own_z else record.h), row(record.h)


def _join_activations(
    sites: Sequence[Site],
    places: IntArray,
    activations: dict[int, Any],
    records: Sequence[SiteRecord],
) -> tuple[list[Site], list[int | None]]:
    """The sites with `h` of each weight layer behind the activation that follows as a layer.

    A subclassed model may apply an activation as a bare function, which is no site. If the next
    layer's input is an element-wise function of the output, the activation is called `"unknown"`
    and its measured effect serves.

    Returns:
        The sites, and `TracedStructure.makers`.

    Side effects: fills in `places` and `activations`.
    """
    receivers: list[list[Site]] = [[] for _ in sites]
    for site in sites:
        for index in dict.fromkeys(site.inputs):
            receivers[index].append(site)
    joined = list(sites)
    makers: list[int | None] = [site.index for site in sites]
    untouched = places.copy()
    for site in sites:
        if site.kind != "weight" or site.activation is not None:
            continue
        following = sites[site.index + 1] if site.index + 1 < len(sites) else None
        if _is_activation_of(site, receivers[site.index]):
            (receiver,) = receivers[site.index]
            activations[site.index] = records[receiver.index].layer
            name = following_activation(activations[site.index]).name
            joined[site.index] = replace(site, activation=name)
            places[site.index, H] = untouched[receiver.index, H]
            makers[site.index] = receiver.index
        elif not receivers[site.index] and following is not None and following.follows_previous:
            joined[site.index] = replace(site, activation=UNKNOWN)
            places[site.index, H] = untouched[following.index, X]
            makers[site.index] = None
    return joined, makers


def _is_activation_of(site: Site, receivers: Sequence[Site]) -> bool:
    return (
        len(receivers) == 1
        and receivers[0].kind == "activation"
        and receivers[0].inputs == (site.index,)
    )


def _number_chains(sites: Sequence[Site], chains: Sequence[Sequence[int]]) -> tuple[Site, ...]:
    numbers = {index: number for number, chain in enumerate(chains) for index in chain}
    return tuple(replace(site, chain=numbers.get(site.index)) for site in sites)


def _positions(kept: Sequence[Any], among: Sequence[Any]) -> IntArray:
    places = {id(variable): position for position, variable in enumerate(among)}
    return np.array([places.get(id(variable), -1) for variable in kept], np.intp)


def _not_probed(model: Any, record: PassRecord) -> tuple[tuple[str, str], ...]:
    uncalled = variables.uncalled_layers(model, record.sites, tuple(record.unobserved))
    return (*record.notes, *record.unobserved.items(), *uncalled)


def _versions() -> tuple[tuple[str, str], ...]:
    backend = keras.backend.backend()
    return (("keras", keras.__version__), (backend, metadata.version(backend)))
