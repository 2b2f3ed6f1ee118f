"""Batches in turn from whatever `fit` takes, and what a trial refuses."""

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.probe.data.batches import take_batches
from keras_initcheck.probe.engine.arrays import to_numpy
from keras_initcheck.probe.keras_model.guessing import guessing_loss

X = np.arange(10, dtype="float32").reshape(10, 1)


def rows(x, y=None, batch_size=4, count=5, **options):
    found = take_batches(x, y, batch_size=batch_size, count=count, **options)
    return [to_numpy(batch.x)[:, 0].tolist() for batch in found.items]


def test_arrays_are_shuffled_and_every_row_comes_before_any_comes_again():
    found = rows(X)
    assert [len(batch) for batch in found] == [4] * 5
    order = [row for batch in found for row in batch]
    assert sorted(order[:10]) == sorted(order[10:]) == X[:, 0].tolist()
    assert order[:10] != X[:, 0].tolist()
    assert found == rows(X)
    assert found != rows(X, seed=1)


def test_batch_is_no_larger_than_the_data():
    assert [sorted(batch) for batch in rows(X, batch_size=32, count=2)] == [X[:, 0].tolist()] * 2


def test_parts_keep_together():
    found = take_batches({"a": X, "b": -X}, (2 * X, 3 * X), 4 * X[:, 0], 3, count=4)
    for batch in found.items:
        a = to_numpy(batch.x["a"])
        assert np.array_equal(to_numpy(batch.x["b"]), -a)
        assert np.array_equal(to_numpy(batch.y[1]), 3 * a)
        assert np.array_equal(to_numpy(batch.sample_weight), 4 * a[:, 0])


class Numbered(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X[index : index + 1], X[index : index + 1]


@pytest.mark.parametrize("data", [Numbered(), [0]], ids=["PyDataset", "iterable"])
def test_data_set_begins_again(data):
    class Twice:
        def __iter__(self):
            return iter([(X[:1], X[:1]), (X[1:2], X[1:2])])

    found = rows(data if isinstance(data, Numbered) else Twice())
    assert found == [[0.0], [1.0], [0.0], [1.0], [0.0]]


def test_generator_loses_as_many_items_as_it_is_asked_for():
    generator = (X[number : number + 1] for number in range(10))
    taken = take_batches(generator, count=3)
    assert len(list(taken.items)) == 3
    assert next(generator)[0, 0] == 3
    assert taken.source == "3 batches drawn from a generator, which yields them no more"


def test_generator_that_ends_is_repeated():
    assert rows((X[number : number + 1] for number in range(2)), count=3) == [[0.0], [1.0], [0.0]]


def test_batch_that_was_drawn_before_comes_first():
    generator = iter([X[:1], X[1:2], X[2:3]])
    first = next(take_batches(generator, count=1).items)
    assert rows(generator, count=3, first=first) == [[0.0], [1.0], [2.0]]


@pytest.mark.backend("tensorflow")
def test_tensorflow_data_set():
    import tensorflow as tf

    assert rows(tf.data.Dataset.from_tensor_slices(X).batch(5), count=3) == [
        [0.0, 1.0, 2.0, 3.0, 4.0],
        [5.0, 6.0, 7.0, 8.0, 9.0],
        [0.0, 1.0, 2.0, 3.0, 4.0],
    ]


@pytest.mark.backend("torch")
def test_torch_data_loader():
    import torch

    data = torch.utils.data.TensorDataset(torch.tensor(X))
    assert rows(torch.utils.data.DataLoader(data, batch_size=5), count=3)[2] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ((X[:0], None), "at least one sample"),
        ((X, X[:3]), r"same length. Received: lengths \[3, 10\]"),
        ((iter([]), None), "at least one batch"),
        ((iter([X]), X), "`y` must not be given"),
        ((np.float32(1), None), "batch axis"),
    ],
)
def test_what_is_no_data_is_refused(data, match):
    with pytest.raises(ic.DataError, match=match):
        list(take_batches(*data, count=1).items)


def model(compiled=True):
    found = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    if compiled:
        found.compile("sgd", "mse", run_eagerly=keras.backend.backend() == "tensorflow")
    return found


def test_model_that_is_not_compiled_is_refused():
    with pytest.raises(ic.ProbeError, match=r"not compiled with an optimizer. Call `model.compile"):
        ic.trial(model(compiled=False), X, X)


def test_data_without_labels_is_refused():
    with pytest.raises(ic.DataError, match=r"without labels. Pass `y`"):
        ic.trial(model(), X)


@pytest.mark.parametrize("steps", [0, -1, 2.5, True])
def test_number_of_steps_is_positive(steps):
    with pytest.raises(ValueError, match="`steps` must be a positive integer"):
        ic.trial(model(), X, X, steps=steps)


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match=r"must be a keras\.Model"):
        ic.trial("model", X, X)


@pytest.mark.parametrize(
    ("loss", "labels", "expected"),
    [
        ("sparse_categorical_crossentropy", [0, 0, 1, 2], 1.5 * np.log(2)),
        ("categorical_crossentropy", np.eye(4), np.log(4)),
        ("binary_crossentropy", [[0], [1], [1], [1]], 2 * np.log(2) - 0.75 * np.log(3)),
        ("mean_squared_error", [[1.0], [3.0]], 1.0),
        ("mean_absolute_error", [[1.0], [1.0], [4.0]], 1.0),
    ],
)
def test_loss_of_the_best_constant_prediction(loss, labels, expected):
    assert guessing_loss(loss, np.array(labels)) == pytest.approx(expected)


def test_guess_of_labels_with_nan_is_not_known():
    assert np.isnan(guessing_loss("mean_squared_error", np.array([1.0, np.nan])))
