"""Data for a case: seeded NumPy arrays, and the ways in which `fit` and `check` take them."""

import keras
import numpy as np

from tests.random_models.description import (
    BATCH,
    CLASSES,
    SHAPES,
    VOCABULARY,
    is_stateful,
    names_of,
    packed,
)


def inputs_of(case, samples):
    """Arrays, one for each input; ids have zeros at the end, which masks hide."""
    rng = np.random.default_rng(case.seed)
    return [
        (
            draw_ids(rng, samples)
            if kind == "ids"
            else draw_normal(rng, (samples, *SHAPES[kind]), kind)
        )
        for kind in case.inputs
    ]


def draw_ids(rng, samples):
    ids = rng.integers(1, VOCABULARY, (samples, *SHAPES["ids"])).astype("int32")
    ids[::2, -2:] = 0
    return ids


def draw_normal(rng, shape, kind):
    values = rng.standard_normal(shape).astype("float32")
    if kind == "sequence":
        values[::2, -2:] = 0.0  # for Masking
    return values


def labels_of(case, samples):
    rng = np.random.default_rng(case.seed + 1)
    return [draw_labels(rng, output.loss, samples) for output in case.outputs]


def draw_labels(rng, loss, samples):
    classes = rng.integers(0, CLASSES, samples)
    if loss == "sparse_categorical_crossentropy":
        return classes.astype("int32")
    if loss == "categorical_crossentropy":
        return np.eye(CLASSES, dtype="float32")[classes]
    if loss == "binary_crossentropy":
        return rng.integers(0, 2, (samples, CLASSES)).astype("float32")
    return rng.standard_normal((samples, CLASSES)).astype("float32")


def arrays_of(case):
    """Inputs, labels and sample weights or `None`, packed as the model takes them."""
    samples, names = 2 * BATCH if is_stateful(case) else case.training.samples, names_of(case)
    x, y = inputs_of(case, samples), labels_of(case, samples)
    weight = (
        np.random.default_rng(case.seed + 2).random(samples).astype("float32")
        if case.training.is_weighted
        else None
    )
    if case.style == "sequential":
        return x[0], y[0], weight
    return packed(case, x, names[0]), packed(case, y, names[1]), weight


class Batches(keras.utils.PyDataset):
    def __init__(self, parts):
        super().__init__()
        self.parts = parts

    def __len__(self):
        return len(self.parts)

    def __getitem__(self, index):
        return self.parts[index]


def batches(x, y, weight):
    """The data in batches; the last may be smaller."""
    samples = len(keras.tree.flatten(x)[0])
    parts = (x, y) if weight is None else (x, y, weight)
    cut = [slice(start, start + BATCH) for start in range(0, samples, BATCH)]
    return [keras.tree.map_structure(lambda array, part=part: array[part], parts) for part in cut]


def endless(parts):
    while True:
        yield from parts


def source_of(case):
    """Keyword arguments for `fit` and, without the last three, for `check`: a fresh source each
    time.
    """
    x, y, weight = arrays_of(case)
    parts = batches(x, y, weight)
    if case.training.source == "tf.data":
        import tensorflow as tf

        whole = (x, y) if weight is None else (x, y, weight)
        return {"x": tf.data.Dataset.from_tensor_slices(tuple_of(whole)).batch(BATCH)}
    if case.training.source == "PyDataset":
        return {"x": Batches(parts)}
    if case.training.source == "generator":
        return {"x": endless(parts), "steps_per_epoch": len(parts)}
    return {"x": x, "y": y, "sample_weight": weight, "batch_size": BATCH}


def tuple_of(parts):
    """Lists become tuples, which tf.data does not make one tensor of."""
    if isinstance(parts, (list, tuple)):
        return tuple(tuple_of(part) for part in parts)
    return (
        {name: tuple_of(part) for name, part in parts.items()} if isinstance(parts, dict) else parts
    )


def check_data(case):
    """Keyword arguments for `check` and `repair`."""
    found = source_of(case)
    return {name: value for name, value in found.items() if name != "steps_per_epoch"}
