"""State that belongs to the framework and not to Keras is bitwise what it was: torch's modules,
TensorFlow's variables and generators.
"""

import keras
import numpy as np
import pytest

import keras_initcheck as ic

LAYERS = keras.layers
X, Y = (
    np.random.default_rng(seed).standard_normal((16, width)).astype("float32")
    for seed, width in ((0, 6), (1, 3))
)


@pytest.fixture(autouse=True)
def _seeded(seeded_keras):
    """Every test starts from the same seeds and names."""


def torch_model():
    import torch

    class Codebook(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.codes = torch.nn.Parameter(torch.ones(6))
            self.register_buffer("usage", torch.zeros(2))
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            self.codes.data += 1.0
            self.usage[0] += 1
            self.usage = self.usage + 1
            return x + self.codes

    class Hiding(LAYERS.Layer):
        def __init__(self):
            super().__init__()
            self.hidden = [torch.nn.Sequential(torch.nn.BatchNorm1d(6), Codebook())]
            self.loose = [torch.full((2,), float("nan")), torch.zeros(2)]
            self.generator = [torch.Generator().manual_seed(1)]

        def call(self, x):
            self.loose[1] += torch.rand(2, generator=self.generator[0])
            return self.hidden[0](x)

    wrapped = LAYERS.TorchModuleWrapper(torch.nn.Sequential(torch.nn.BatchNorm1d(6), Codebook()))
    layer = Hiding()
    model = keras.Sequential([keras.Input((6,)), wrapped, layer, LAYERS.Dense(3)])
    model.compile("sgd", "mse")
    return model, [wrapped.module, *layer.hidden], layer


def torch_state(modules, layer):
    tensors = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
    identities = [(id(tensor), id(tensor.grad), tensor.requires_grad) for tensor in tensors]
    tensors += [tensor.grad for tensor in tensors if tensor.grad is not None] + layer.loose
    flags = [
        (part.training, getattr(part, "calls", None))
        for module in modules
        for part in module.modules()
    ]
    return (
        [tensor.detach().numpy().tobytes() for tensor in tensors],
        identities,
        flags,
        layer.generator[0].get_state().tolist(),
    )


@pytest.mark.backend("torch")
def test_modules_buffers_gradients_and_flags():
    model, modules, layer = torch_model()
    model.fit(X, Y, verbose=0)
    modules[1].eval()
    before = torch_state(modules, layer)
    ic.check(model, X, Y, jacobian_spectrum=True)
    assert torch_state(modules, layer) == before
    ic.repair(model, X, Y, method="lsuv", allow_trained=True)
    assert torch_state(modules, layer) == before


@pytest.mark.backend("torch")
def test_prediction_after_a_check_of_a_wrapped_module():
    import torch

    model = keras.Sequential(
        [keras.Input((6,)), LAYERS.TorchModuleWrapper(torch.nn.BatchNorm1d(6)), LAYERS.Dense(1)]
    )
    before = model.predict(X, verbose=0)
    ic.check(model, X)
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)


def tensorflow_layer():
    import tensorflow as tf

    class Part(tf.Module):
        def __init__(self):
            super().__init__()
            self.count = tf.Variable(0.0)

    class Drawing(LAYERS.Layer):
        def __init__(self):
            super().__init__()
            self.count = tf.Variable(0.0)
            self.parts = {"list": [tf.Variable([1.0, 2.0])], "module": Part()}
            self.generator = tf.random.Generator.from_seed(1)

        def call(self, x):
            self.count.assign_add(1.0)
            self.parts["list"][0].assign(2.0 * self.parts["list"][0])
            self.parts["module"].count.assign_add(1.0)
            noise = (
                tf.random.normal((1, 3))
                + self.generator.normal((1, 3))
                + tf.random.get_global_generator().normal((1, 3))
            )
            return x + 0.1 * noise

        def values(self):
            held = [
                self.count,
                *self.parts["list"],
                self.parts["module"].count,
                self.generator.state,
            ]
            return [variable.numpy().tolist() for variable in held]

    return Drawing()


def tensorflow_model(run_eagerly=True):
    import tensorflow as tf

    keras.utils.set_random_seed(7)
    tf.random.set_global_generator(tf.random.Generator.from_seed(2))
    layer = tensorflow_layer()
    model = keras.Sequential([keras.Input((6,)), LAYERS.Dense(3), layer])
    model.compile("sgd", "mse", run_eagerly=run_eagerly)
    return model, layer


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize("is_eager", [True, False], ids=["eager", "graph"])
def test_variables_and_generators_of_tensorflow(is_eager):
    def checked(model):
        ic.check(model, X, Y)
        model.fit(X, Y, batch_size=8, verbose=0)

    def watched(model):
        model.fit(
            X,
            Y,
            batch_size=8,
            verbose=0,
            callbacks=[ic.InitCheck(None, on_drift="ignore", update_freq=1)],
        )

    found = []
    for train in (lambda model: model.fit(X, Y, batch_size=8, verbose=0), checked, watched):
        model, layer = tensorflow_model(is_eager)
        train(model)
        found.append(([values.tobytes() for values in model.get_weights()], layer.values()))
    assert found[1] == found[0]
    assert found[2] == found[0]


@pytest.mark.backend("tensorflow")
def test_global_generator_that_a_probe_made_is_taken_away():
    from tensorflow.python.ops import stateful_random_ops

    model, _ = tensorflow_model()
    stateful_random_ops.global_generator = None
    ic.check(model, X, Y)
    assert stateful_random_ops.global_generator is None


@pytest.mark.backend("tensorflow")
def test_tensorflow_has_the_private_names_of_its_generators():
    from keras_initcheck.probe.engine import tensorflow_state as engine

    assert callable(engine.eager_context()._rng.getstate)
    assert hasattr(engine.stateful_random_ops, "global_generator")


@pytest.mark.backend("tensorflow")
def test_probe_runs_where_tensorflow_has_moved_them(monkeypatch):
    from keras_initcheck.probe.engine import tensorflow_state as engine

    monkeypatch.setattr(engine, "eager_context", lambda: None)
    monkeypatch.setattr(engine, "stateful_random_ops", None)
    model, _ = tensorflow_model()
    assert ic.check(model, X, Y).profile.sites
