"""Passes do not come between one another in threads, and Ctrl-C does not come between the pieces
that are put back.
"""

import contextlib
import signal
import threading

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.probe.engine import interrupts
from keras_initcheck.probe.tap import preserve
from keras_initcheck.repairs import repairer, settling, snapshot

LAYERS = keras.layers
X, Y = (
    np.random.default_rng(seed).standard_normal((16, width)).astype("float32")
    for seed, width in ((0, 6), (1, 3))
)


@pytest.fixture(autouse=True)
def _seeded(seeded_keras):
    """Every test starts from the same seeds and names."""


class Counting(LAYERS.Layer):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def call(self, x):
        self.calls += 1
        return x


def make_model(shared=(), scale=1.0):
    initializer = keras.initializers.RandomNormal(stddev=scale, seed=1)
    dense = [LAYERS.Dense(8, "relu", kernel_initializer=initializer) for _ in range(3)]
    model = keras.Sequential(
        [
            keras.Input((6,)),
            *dense,
            LAYERS.BatchNormalization(),
            Counting(),
            *shared,
            LAYERS.Dense(3),
        ]
    )
    model.compile("sgd", "mse")
    return model


def state(model):
    layers = [*model._flatten_layers(), model._compile_loss]
    return [sorted((name, id(value)) for name, value in vars(layer).items()) for layer in layers], [
        w.tobytes() for w in model.get_weights()
    ]


def in_threads(*actions):
    errors = []

    def run(action):
        try:
            action()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=300)
    assert not errors
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.backend("torch", "tensorflow")
def test_threads_that_check_one_model_and_models_with_shared_layers():
    shared = [LAYERS.Dense(8, name="shared")]
    models = [make_model(shared), make_model(shared)]
    before = [state(model) for model in models]
    in_threads(
        *[lambda model=model: ic.check(model, X, Y) for model in (*models, models[0], models[0])]
    )
    assert [state(model) for model in models] == before


def test_pass_waits_for_the_one_that_runs():
    model, order = make_model(), []

    def second():
        with preserve.preserved(model):
            order.append("second")

    with preserve.preserved(model):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(timeout=0.05)
        order.append("first")
    thread.join(timeout=60)
    assert order == ["first", "second"]


def test_check_inside_a_pass_is_no_deadlock():
    model = make_model()
    with preserve.preserved(model):
        assert ic.check(model, X, Y).profile.sites


def test_report_s_reader_may_check_the_model_again():
    model, found = make_model(scale=3.0), []
    model.run_eagerly = keras.backend.backend() == "tensorflow"
    watcher = ic.InitCheck(
        None, on_drift=lambda report: found.append((report, ic.check(model, X, Y)))
    )
    model.fit(X, Y, verbose=0, callbacks=[watcher])
    assert found and all(first.profile.sites and second.profile.sites for first, second in found)


@contextlib.contextmanager
def interrupted_inside():
    """`uninterrupted`, with a Ctrl-C as soon as it is entered."""
    with interrupts.uninterrupted():
        signal.raise_signal(signal.SIGINT)
        yield


def test_a_model_that_another_thread_trains_is_left_alone():
    model, started, done = make_model(), threading.Event(), threading.Event()

    class Waiting(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            started.set()
            assert done.wait(60)

    thread = threading.Thread(target=lambda: model.fit(X, Y, verbose=0, callbacks=[Waiting()]))
    thread.start()
    assert started.wait(60)
    try:
        with pytest.raises(
            ic.ProbeError, match="must not run in another thread while it is probed"
        ):
            ic.check(model, X, Y)
    finally:
        done.set()
        thread.join()
    assert ic.check(model, X, Y).profile.step == 1


@pytest.fixture
def _hears_control_c():
    """A shell starts what runs in its background deaf to Ctrl-C."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("_hears_control_c")
def test_control_c_while_a_check_puts_things_back(monkeypatch):
    model = make_model()
    before = state(model)
    monkeypatch.setattr(preserve, "uninterrupted", interrupted_inside)
    with pytest.raises(KeyboardInterrupt):
        ic.check(model, X, Y)
    assert state(model) == before


@pytest.mark.usefixtures("_hears_control_c")
@pytest.mark.parametrize(
    "place", [snapshot, settling, preserve], ids=["values", "settling", "attributes"]
)
def test_control_c_while_a_repair_puts_things_back(monkeypatch, place):
    model = make_model(scale=3.0)
    before = state(model)
    monkeypatch.setattr(place, "uninterrupted", interrupted_inside)
    if place is snapshot:  # it restores what does not help
        monkeypatch.setattr(repairer, "_failure", lambda *reports: "it does not help")
    with pytest.raises(KeyboardInterrupt):
        ic.repair(model, X, Y, method="lsuv")
    assert state(model) == before


@pytest.mark.usefixtures("_hears_control_c")
def test_control_c_in_a_layer():
    class Interrupted(LAYERS.Layer):
        def call(self, x):
            if armed:
                signal.raise_signal(signal.SIGINT)
            return x

    armed = []
    model = make_model([Interrupted()])
    armed.append(True)
    before = state(model)
    for use in (ic.check, ic.repair):
        with pytest.raises(KeyboardInterrupt):
            use(model, X, Y)
        assert state(model) == before


def test_control_c_that_nobody_hears_is_not_held_back_for_good():
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupted_inside():
            pass
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, previous)
