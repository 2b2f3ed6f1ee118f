"""Batches, processes and replicas on TensorFlow: what `tf.distribute` and `tf.data` do to them."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_initcheck.probe.engine.tensor_kinds import is_scipy_sparse


def replay(batches: list[Any], iterator: Any, model: Any) -> Any:
    """An iterator over `batches`, which may be filled after this call, in place of `iterator`.

    It has the same type specification, so that no compiled function is traced again. The plain
    generator of `train_on_batch` has none.
    """
    if isinstance(iterator, tf.distribute.DistributedIterator):
        return _replay_on_replicas(batches, iterator.element_spec, model.distribute_strategy)
    if not hasattr(iterator, "element_spec"):
        return iter(batches)
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(batches), output_signature=iterator.element_spec
    )
    return iter(dataset)


def _replay_on_replicas(batches: list[Any], element_spec: Any, strategy: Any) -> Any:
    """A distributed iterator that gives each replica the part that it had.

    Such an iterator deals the elements of its dataset out to the replicas in turn.
    """

    def parts() -> Iterator[Any]:
        for batch in batches:
            leaves = [strategy.experimental_local_results(leaf) for leaf in tf.nest.flatten(batch)]
            for of_replica in zip(*leaves, strict=True):
                yield tf.nest.pack_sequence_as(batch, of_replica)

    if strategy.num_replicas_in_sync > 1:
        # A leaf then is a PerReplicaSpec, which has no public way to the replicas' own.
        element_spec = tf.nest.map_structure(lambda leaf: leaf._component_specs[0], element_spec)
    return iter(
        strategy.distribute_datasets_from_function(
            lambda _: tf.data.Dataset.from_generator(parts, output_signature=element_spec)
        )
    )


def sparse_head(value: Any, size: int) -> Any:
    """The first samples of a sparse tensor or matrix, as the sparse tensor that `fit` makes."""
    if is_scipy_sparse(value):
        rows = value.tocsr()[:size].tocoo()
        places = np.stack([rows.row, rows.col], axis=1).astype("int64")
        return tf.sparse.reorder(tf.SparseTensor(places, rows.data, rows.shape))
    return tf.sparse.slice(value, [0] * len(value.shape), [size, *value.shape[1:]])


def gather(value: Any) -> Any:
    """See `Engine.gather`.

    A replica that got nothing of an uneven last batch holds a part without rows.
    """
    if not isinstance(value, tf.distribute.DistributedValues) or isinstance(value, tf.Variable):
        return value
    parts = value.values
    if isinstance(parts[0], tf.SparseTensor):
        return tf.sparse.concat(0, parts)
    return tf.concat(parts, axis=0) if len(parts[0].shape) else parts[0]


@contextlib.contextmanager
def without_strategy() -> Iterator[None]:
    """A context outside of every `tf.distribute` scope.

    There a model runs on one device, and Keras does not divide its loss by the replicas. TensorFlow
    enters scopes only within each other, and has no public way out of one: they stand in a list of
    the graph.
    """
    entered = tf.compat.v1.get_default_graph()._distribution_strategy_stack
    scopes = list(entered)
    entered.clear()
    try:
        yield
    finally:
        entered[:] = scopes


def building_scope(model: Any) -> Any:
    """The scope of the strategy under which a model was made, in which `fit` builds it."""
    return model.distribute_strategy.scope()


def is_first_process(model: Any) -> bool:
    """Whether this process is the chief or, where there is none, the first worker."""
    resolver = getattr(model.distribute_strategy, "cluster_resolver", None)
    if resolver is None or not resolver.task_type:
        return True
    jobs = resolver.cluster_spec().jobs
    return bool(
        resolver.task_type == ("chief" if "chief" in jobs else "worker") and not resolver.task_id
    )
