"""What a layer holds is bitwise what it was after a probe: at any depth, with no method of the
user's run, and nothing large copied.
"""

import gc
import random
import threading
import weakref
from collections import Counter, OrderedDict, deque

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.probe.engine import load
from keras_initcheck.probe.tap import objects
from keras_initcheck.probe.tap.objects import Objects
from keras_initcheck.records.errors import ProbeError

LAYERS = keras.layers
X, Y = (
    np.random.default_rng(seed).standard_normal((8, width)).astype("float32")
    for seed, width in ((0, 6), (1, 3))
)


@pytest.fixture(autouse=True)
def _seeded(seeded_keras):
    """Every test starts from the same seeds and names."""


class Plain:
    def __init__(self):
        self.n = 0
        self.inner = {"deep": [Slotted()]}

    def __getattr__(self, name):
        raise AssertionError("no method of the user's runs")


class Slotted:
    __slots__ = ("count", "late")

    def __init__(self):
        self.count = 0


class Holding(LAYERS.Layer):
    """Changes all that it holds in place whenever it is called."""

    def __init__(self, fails=False):
        super().__init__()
        self.fails = fails
        self.nested = {"a": [], "b": (deque([1], maxlen=3), {2})}
        self.numbers = [np.zeros(3), {"counts": np.arange(2)}]
        self.words = [Counter("aab")]
        self.plain = Plain()
        self.plain.itself = self.plain
        self.plain.ordered = OrderedDict(x=1, y=2)  # Keras 3.5 makes plain ones of those on a layer
        self.generators = [random.Random(1), np.random.default_rng(2), np.random.RandomState(3)]

    def call(self, x):
        self.nested["a"].append(x)
        self.nested["b"][0].append(2)
        self.nested["b"][1].add(3)
        self.numbers[0] += 1
        self.numbers[1]["counts"][0] = 7
        self.plain.ordered.move_to_end("x")
        self.words[0]["b"] += 1
        self.plain.n += 1
        self.plain.inner["deep"][0].count += 1
        self.plain.inner["deep"][0].late = x
        drawn = (
            self.generators[0].random() + self.generators[1].random() + self.generators[2].rand()
        )
        if self.fails:
            raise RuntimeError("half way")
        return x * (1.0 + 0.0 * drawn)

    def contents(self):
        slotted = self.plain.inner["deep"][0]
        states = [
            self.generators[0].getstate(),
            self.generators[1].bit_generator.state,
            self.generators[2].get_state(),
        ]
        return str(
            [
                self.nested,
                self.numbers,
                self.plain.ordered,
                self.words,
                self.plain.n,
                slotted.count,
                hasattr(slotted, "late"),
                states,
            ]
        )


@pytest.mark.parametrize("fails", [False, True], ids=["runs", "raises"])
def test_what_a_layer_holds(fails):
    layer = Holding()
    model = keras.Sequential([keras.Input((6,)), LAYERS.Dense(3), layer])
    model.compile("sgd", "mse")
    before, layer.fails = layer.contents(), fails
    if fails:
        with pytest.raises(ProbeError, match="half way"):
            ic.check(model, X, Y)
    else:
        ic.repair(model, X, Y, method="lsuv")
    assert layer.contents() == before


def keep_and_change(value, change):
    kept = Objects(load())
    holder = LAYERS.Layer()
    vars(holder)["value"] = value
    kept.keep([holder])
    change(value)
    kept.restore()
    return value


def test_large_arrays_are_not_copied_and_small_ones_beside_them_are(monkeypatch):
    monkeypatch.setattr(objects, "MOST_BYTES", 10_000)
    large, small = keep_and_change(
        (np.zeros(2_000), np.zeros(5)), lambda arrays: [array.fill(1) for array in arrays]
    )
    assert large.all() and not small.any()


def test_long_lists_are_not_looked_through(monkeypatch):
    monkeypatch.setattr(objects, "MOST_BYTES", 10_000)
    assert len(keep_and_change(list(range(1_000)), lambda numbers: numbers.append(1))) == 1_001


def test_objects_that_other_threads_may_change_are_left_alone():
    class Data(keras.utils.PyDataset):
        n = 0

    shared, data = Plain(), Data()
    shared.lock = threading.Lock()
    keep_and_change([shared, data], lambda values: [setattr(value, "n", 1) for value in values])
    assert shared.n == data.n == 1


def test_crowds_of_objects_are_not_looked_through(monkeypatch):
    monkeypatch.setattr(objects, "MOST_BYTES", 2_000)
    crowd = keep_and_change(
        [Slotted() for _ in range(10)],
        lambda values: [setattr(value, "count", 1) for value in values],
    )
    assert 0 < sum(value.count for value in crowd) < 10


def test_copies_go_with_their_last_user():
    kept = Objects(load())
    kept.keep([Plain()])
    alive = weakref.ref(kept)
    gc.collect()
    gc.disable()
    try:
        del kept
        assert alive() is None
    finally:
        gc.enable()


def test_a_long_chain_of_objects_is_no_recursion():
    first = chain = [0]
    for _ in range(5_000):
        chain.append([0])
        chain = chain[-1]
    keep_and_change(first, lambda _: chain.append(1))
    assert chain == [0]


class Odd(keras.Model):
    """Holds a layer that it never calls, and notes what it is called with."""

    def __init__(self):
        super().__init__()
        self.used, self.unused, self.seen, self.latest = LAYERS.Dense(3), LAYERS.Dense(2), [], None

    def call(self, x):
        self.seen.append(x)
        self.latest = x
        return self.used(x) * (1.0 + 0.0 * (np.random.rand() + random.random()))


@pytest.mark.filterwarnings("ignore:`build\\(\\)` was called on layer")
def test_model_with_a_layer_that_it_never_calls_is_built_once():
    model = Odd()
    model(X)
    before = (
        len(model.seen),
        model.latest,
        random.getstate(),
        np.random.get_state()[1].tolist(),
        len(model.variables),
    )
    ic.check(model, X)
    ic.check(model, X)
    assert len(model.seen) == before[0] and model.latest is before[1]
    assert (random.getstate(), np.random.get_state()[1].tolist(), len(model.variables)) == before[
        2:
    ]


@pytest.mark.filterwarnings("ignore:`build\\(\\)` was called on layer")
def test_unbuilt_model_with_such_a_layer_gets_the_weights_that_fit_would_give_it():
    found = []
    for is_checked in (True, False):
        keras.utils.set_random_seed(5)
        model = Odd()
        model.compile("sgd", "mse", run_eagerly=keras.backend.backend() == "tensorflow")
        if is_checked:
            ic.check(model, X, Y)
        model.fit(
            X, Y, shuffle=False, verbose=0
        )  # Keras builds this model again, and what its `call` draws is drawn once more
        found.append([values.tobytes() for values in model.get_weights()])
    assert found[0] == found[1]


def test_model_that_cannot_be_built_stays_unbuilt():
    class TwoInputs(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = LAYERS.Dense(4), LAYERS.Dense(3)

        def call(self, x):
            if x.shape[-1] != 6:
                self.first(x)
                raise ValueError("these do not fit")
            return self.second(self.first(x))

    model = TwoInputs()
    with pytest.raises(ProbeError, match="these do not fit"):
        ic.check(model, X[:, :5])
    assert not model.first.built and not model.variables
    assert [tuple(variable.shape) for variable in ic.check(model, X) and model.variables] == [
        (6, 4),
        (4,),
        (4, 3),
        (3,),
    ]


class Unseeded(LAYERS.Layer):
    def call(self, x):
        return x + keras.random.normal((1, 3))


@pytest.mark.backend("torch", "tensorflow")
@pytest.mark.parametrize("is_there", [False, True], ids=["made by the probe", "made before"])
def test_keras_generator_of_unseeded_draws(is_there):
    model = keras.Sequential([keras.Input((6,)), LAYERS.Dense(3), Unseeded()])
    if is_there:
        keras.random.normal((1,))
    else:
        keras.utils.set_random_seed(3)  # takes it away
    before = global_generator(), names_given(), random.getstate()
    for use in (ic.check, ic.repair):
        use(model, X)
        assert (global_generator(), names_given(), random.getstate()) == before
    assert (before[0] is not None) == is_there


def global_generator():
    found = global_state().get_global_attribute("global_seed_generator")
    return (
        None
        if found is None
        else (id(found), keras.ops.convert_to_numpy(found.state.value).tolist())
    )


def names_given():
    return dict(global_state().get_global_attribute("object_name_uids"))


def global_state():
    from keras.src.backend.common import global_state

    return global_state
