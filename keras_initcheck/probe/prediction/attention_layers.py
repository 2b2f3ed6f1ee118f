"""Attention layers, of which only the four projections are sites: what stands between these."""

from collections.abc import Callable
from typing import Any

import keras

from keras_initcheck.probe.keras_model.private_api import flatten_layers, sublayers
from keras_initcheck.probe.keras_types import Layer
from keras_initcheck.probe.prediction.site_network import SiteNetwork
from keras_initcheck.probe.tap.site_record import SiteRecord
from keras_initcheck.theory.propagation.attention import Attention
from keras_initcheck.theory.propagation.noise import Dropout
from keras_initcheck.theory.propagation.rule import Unpredictable

INSIDE_ATTENTION = "a part of its attention's rule"


class AttentionLayers:
    """The `MultiHeadAttention` layers of a model.

    Args:
        model: The model.
        network: The network to which nodes are added.
    """

    def __init__(self, model: Layer, network: SiteNetwork) -> None:
        layers: list[Any] = flatten_layers(model)
        self._network = network
        self._layer_of = {
            id(inner): layer
            for layer in layers
            if isinstance(layer, keras.layers.MultiHeadAttention)
            for inner in sublayers(layer)
        }

    def is_inside(self, record: SiteRecord) -> bool:
        """Whether a site is part of an attention layer and receives what no site has made."""
        return id(record.layer) in self._layer_of and not record.inputs_known

    def add_input(self, record: SiteRecord, latest: Callable[[Any], SiteRecord | None]) -> int:
        """Adds what a site inside an attention layer receives, and returns the node's position.

        Args:
            record: The site: the output projection, or an operation before it.
            latest: The latest site of a layer, or `None`.
        """
        layer = self._layer_of[id(record.layer)]
        if record.layer is not layer.output_dense:
            return self._network.add(record.index, Unpredictable(INSIDE_ATTENTION))
        projections = (layer.query_dense, layer.key_dense, layer.value_dense)
        projected = [site for site in map(latest, projections) if site is not None]
        shapes = [site.output_shape or () for site in projected]
        if [len(shape) for shape in shapes] != [4, 4, 4]:
            reason = "its attention goes over more than one axis"
            return self._network.add(record.index, Unpredictable(reason))
        sources = tuple(self._network.outputs[site.index] for site in projected)
        mixed = self._network.add(record.index, _attention(record, *shapes), sources)
        rate = float(layer.dropout or 0.0)
        if rate and record.is_training:
            return self._network.add(record.index, Dropout(rate), (mixed,))
        return mixed


def _attention(
    record: SiteRecord, query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...]
) -> Attention:
    """The rule that mixes values of those shapes `(batch, length, heads, size)`.

    A causal mask lets a query see half of the keys in the mean.
    """
    seen = 0.5 if record.in_causal_attention else 1.0
    return Attention(
        num_keys=max(round(seen * key[1]), 1),
        num_queries=max(round(seen * query[1]), 1),
        key_size=key[-1],
        value_size=value[-1],
    )
