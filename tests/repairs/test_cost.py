"""A repair probes the model twice: to find what is wrong, and to see that it no longer is."""

import keras
import pytest

import keras_initcheck as ic
from keras_initcheck.probe.probe import Probe
from keras_initcheck.repairs.settling import Settler
from tests.support.faulty_models import batch, compiled, mlp, normal


@pytest.fixture
def passes(monkeypatch):
    """The probes and settling passes that are made, in order."""
    made = []

    def counted(name, original):
        def run(*arguments, **options):
            made.append(name)
            return original(*arguments, **options)

        return run

    monkeypatch.setattr(Probe, "measure", counted("probe", Probe.measure))
    monkeypatch.setattr(Settler, "run", counted("settle", Settler.run))
    return made


@pytest.mark.slow_on("jax")
@pytest.mark.parametrize(
    "initializer", [keras.initializers.GlorotUniform, normal(0.01), normal(1.0)]
)
def test_repair_of_thirty_layers_takes_two_probes(passes, initializer):
    keras.utils.set_random_seed(0)
    model = compiled(mlp(initializer, depth=30))
    assert ic.repair(model, *batch(model)).applied
    assert passes == ["probe", "probe"]


def test_healthy_model_is_probed_once(passes):
    keras.utils.set_random_seed(0)
    model = compiled(mlp(keras.initializers.HeNormal))
    assert not ic.repair(model, *batch(model)).applied
    assert passes == ["probe"]
