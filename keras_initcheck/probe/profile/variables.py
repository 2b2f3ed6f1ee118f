"""The layer, site, role and fans of each variable, and the layers that no pass has called."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_initcheck.probe.keras_model import introspection, layer_kinds
from keras_initcheck.probe.keras_model.private_api import flatten_layers, sublayers
from keras_initcheck.probe.tap.site_record import SiteRecord
from keras_initcheck.records.structure import NOT_CALLED, WeightRole
from keras_initcheck.theory.fans import Fans

QUANTIZED = "quantized: it runs another method than `call`"
_ROLES: dict[str, WeightRole] = {
    "kernel": "kernel",
    "depthwise_kernel": "kernel",
    "pointwise_kernel": "kernel",
    "recurrent_kernel": "kernel",
    "embeddings": "embedding",
    "bias": "bias",
    "gamma": "scale",
    "beta": "scale",
    "scale": "scale",
    "moving_mean": "state",
    "moving_variance": "state",
}


@dataclass(frozen=True)
class OwnedVariable:
    """A variable with its owner.

    Attributes:
        variable: The variable.
        owner: The layer that created it.
        name: Path of the variable.
        layer: Path of the layer.
        site: Index of the layer's site, or of the site that runs the layer inside; `None` without.
        role: Its role, as in `WeightStats.role`.
        fans: True fans of a kernel, or `None`.
        is_assigned: Whether a wrapper gives it other values in each call of the model.
    """

    variable: Any
    owner: Any
    name: str
    layer: str
    site: int | None
    role: WeightRole
    fans: Fans | None
    is_assigned: bool = False


def owned_variables(model: Any, sites: Sequence[SiteRecord]) -> dict[int, OwnedVariable]:
    """Every variable of the model with its owner, by the variable's identity.

    A variable that several layers share belongs to the first.
    """
    found: dict[int, OwnedVariable] = {}
    assigned = set(map(id, layer_kinds.assigned_kernels(flatten_layers(model))))
    for layer, path, site in _walk(model, "", None, _first_sites(sites), set()):
        fans = _fans(layer)
        for variable in introspection.own_variables(layer):
            name = str(variable.name).rsplit("/", 1)[-1]
            owned = OwnedVariable(
                variable,
                layer,
                f"{path}/{name}".lstrip("/"),
                path,
                site,
                _role(name, variable),
                fans.get(name),
                id(variable) in assigned,
            )
            found.setdefault(id(variable), owned)
    return found


def uncalled_layers(
    model: Any, sites: Sequence[SiteRecord], seen: Sequence[str]
) -> list[tuple[str, str]]:
    """`(path, reason)` of layers with variables that no site stands for or runs inside."""
    observed = _first_sites(sites)
    found = []
    for layer, path, site in _walk(model, "", None, observed, set()):
        is_container = bool(sublayers(layer)) and not isinstance(layer, layer_kinds.OPAQUE)
        if (
            site is None
            and not is_container
            and path not in seen
            and introspection.own_variables(layer)
        ):
            is_quantized = getattr(layer, "quantization_mode", None) is not None
            found.append((path, QUANTIZED if is_quantized else NOT_CALLED))
    return found


def num_unmeasured(model: Any) -> int:
    """Number of parameters in matrices that are no floating-point numbers."""
    return sum(
        math.prod(variable.shape)
        for variable in model.weights
        if len(variable.shape) > 1 and not keras.backend.is_float_dtype(variable.dtype)
    )


def _first_sites(sites: Sequence[SiteRecord]) -> dict[int, SiteRecord]:
    return {id(site.layer): site for site in sites if site.is_first_call}


def _walk(
    layer: Any, path: str, site: int | None, sites: dict[int, SiteRecord], seen: set[int]
) -> Iterator[tuple[Any, str, int | None]]:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    record = sites.get(id(layer))
    path = record.layer_path if record is not None and record.kind != "block" else path
    own = record.index if record is not None else site
    yield layer, path, own
    is_inside = record is None and site is not None
    is_leaf = isinstance(layer, (*layer_kinds.OPAQUE, *layer_kinds.WEIGHT))
    inherited = own if is_leaf or is_inside else None
    for sublayer in sublayers(layer):
        yield from _walk(sublayer, f"{path}/{sublayer.name}".lstrip("/"), inherited, sites, seen)


def _role(name: str, variable: Any) -> WeightRole:
    if name in _ROLES:
        return _ROLES[name]
    if name.endswith("kernel") and len(variable.shape) >= 2:
        return "kernel"
    if "bias" in name:
        return "bias"
    return "other" if variable.trainable else "state"


def _fans(layer: Any) -> dict[str, Fans]:
    try:
        return {**layer_kinds.kernel_fans(layer), **layer_kinds.cell_fans(layer)}
    except (
        ValueError,
        AttributeError,
    ):  # an equation or a subclass whose kernel is not what its class promises
        return {}
