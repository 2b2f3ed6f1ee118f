"""A number of batches in turn from whatever `fit` takes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from typing import Any

import keras
import numpy as np

from keras_initcheck.probe import engine
from keras_initcheck.probe.data.arguments import as_batch_size
from keras_initcheck.probe.data.batch import (
    BATCH_SIZE,
    Batch,
    as_batch,
    as_parts,
    refuse_labels,
    without_batches,
    yields_batches,
)
from keras_initcheck.probe.engine.devices import whole
from keras_initcheck.probe.engine.tensor_kinds import is_scipy_sparse, is_sparse
from keras_initcheck.records.errors import DataError


@dataclass(frozen=True)
class Batches:
    """Batches of one data set.

    Attributes:
        items: Yields them.
        count: Number of batches.
        source: Where they come from, in words.
        is_bare: Whether `fit` passes inputs without labels on as they are, and not in a tuple.
    """

    items: Iterator[Batch]
    count: int
    source: str
    is_bare: bool


def take_batches(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    *,
    count: int,
    seed: int = 0,
    first: Batch | None = None,
) -> Batches:
    """Batches of the data in turn.

    Args:
        x: As in `take_batch`. Arrays are shuffled, and so they are each time they begin anew. What
            yields batches is asked for them in its own order, and again from its start where they
            are too few; the batches of a generator are repeated then.
        y: As in `take_batch`.
        sample_weight: As in `take_batch`.
        batch_size: As in `take_batch`.
        count: Number of batches.
        seed: Seed of the order of arrays.
        first: A batch that was drawn from a generator or an iterator already, which comes first.

    Raises:
        DataError: As in `take_batch`; the batches themselves may raise it, too.

    Side effects: a generator or an iterator loses `count` items, `first` included. What yields
    batches may draw from the global random states, which are the caller's to put back.
    """
    batch_size = as_batch_size(batch_size)
    x, y, sample_weight = whole((x, y, sample_weight))
    name = type(x).__name__
    if not yields_batches(x):
        size = batch_size or BATCH_SIZE
        items: Iterator[Any] = _shuffled((x, y, sample_weight), size, count, seed)
        return Batches(_converted(items, name), count, f"{count} batches of {name}, shuffled", True)
    refuse_labels(x, y)
    is_bare = not isinstance(x, keras.utils.PyDataset)
    if is_bare and iter(x) is x:
        drawn = [] if first is None else [first]
        source = f"{count} batches drawn from a {name}, which yields them no more"
        return Batches(_repeated(x, drawn, count), count, source, True)
    return Batches(
        _converted(_in_turn(x, count), name), count, f"{count} batches of {name}", is_bare
    )


def _converted(items: Iterable[Any], name: str) -> Iterator[Batch]:
    for item in items:
        yield as_batch(whole(as_parts(item)), f"batch of {name}")


def _shuffled(parts: tuple[Any, ...], size: int, count: int, seed: int) -> Iterator[Any]:
    """Rows of arrays, each once before any comes again; a batch may span two rounds."""
    arrays = tuple(
        None if part is None else keras.tree.map_structure(_indexable, part) for part in parts
    )
    length = _common_length(arrays)
    generator, order = np.random.default_rng(seed), np.array([], int)
    for _ in range(count):
        while len(order) < min(size, length):
            order = np.concatenate([order, generator.permutation(length)])
        rows, order = order[:size], order[size:]
        yield tuple(
            None if part is None else keras.tree.map_structure(partial(_take, rows), part)
            for part in arrays
        )


def _indexable(array: Any) -> Any:
    """An array with a batch axis, whose rows can be taken in any order."""
    if is_scipy_sparse(array):
        return array.tocsr()
    if is_sparse(array):
        raise DataError(
            "Sparse tensors must come as a data set that yields batches, because their rows cannot"
            f" be shuffled. Received: a {type(array).__name__}."
        )
    found = array if hasattr(array, "shape") and hasattr(array, "dtype") else np.asarray(array)
    if not len(found.shape):
        raise DataError(
            f"Every array must have a batch axis. Received: a scalar, {array!r}. Make a list of"
            " numbers an array, `numpy.asarray(numbers)`."
        )
    return found


def _common_length(arrays: tuple[Any, ...]) -> int:
    lengths = {
        int(array.shape[0])
        for part in arrays
        if part is not None
        for array in keras.tree.flatten(part)
    }
    if lengths == {0} or not lengths:
        raise DataError("The data must hold at least one sample. Received: empty arrays.")
    if len(lengths) > 1:
        raise DataError(
            f"All arrays must have the same length. Received: lengths {sorted(lengths)}."
        )
    return lengths.pop()


def _take(rows: np.ndarray, array: Any) -> Any:
    if is_scipy_sparse(array):
        return engine.load().sparse_head(array[rows], len(rows))
    if keras.ops.is_tensor(array):
        return keras.ops.take(array, rows, axis=0)
    return array.iloc[rows] if hasattr(array, "iloc") else array[rows]


def _in_turn(x: Any, count: int) -> Iterator[Any]:
    """Items of what can be asked again from its start."""
    if isinstance(x, keras.utils.PyDataset):
        length = x.num_batches
        yield from (x[number if length is None else number % length] for number in range(count))
        return
    num_left = count
    while num_left:
        num_before = num_left
        for item in islice(x, num_left):
            yield item
            num_left -= 1
        if num_left == num_before:
            raise without_batches(x)


def _repeated(x: Any, drawn: list[Batch], count: int) -> Iterator[Batch]:
    """Items of what yields each of them once; they are kept, to be repeated."""
    for number in range(count):
        if number >= len(drawn):
            item = next(x, None)
            if item is None:
                break
            drawn.append(next(_converted([item], type(x).__name__)))
        yield drawn[number]
    if not drawn:
        raise without_batches(x)
    yield from islice(cycle(drawn), count - len(drawn))
