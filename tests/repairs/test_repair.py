"""`repair`: what drifted is cured and proved, what is healthy or protected is bitwise what it was,
and everything can be undone.
"""

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.repairs.settling import Settler
from tests.support.faulty_models import (
    FAULTY,
    are_same,
    batch,
    cnn,
    compiled,
    mlp,
    normal,
    residual,
    values,
)


def found(report):
    return {finding.slug for finding in report.findings if finding.severity != "info"}


LARGE = (
    "a little too large",
    "too small",
    "Glorot with ReLU",
    "deep sigmoid",
    "recurrent",
    "residual",
)
QUICK_ON_JAX = ("too large", "GRU", "NaN")


def networks():
    """All faulty networks. Plans are the same on every backend: TensorFlow takes seconds for the
    large ones, and JAX compiles the shapes of each anew.
    """
    for name in FAULTY:
        slow = [*["tensorflow"] * (name in LARGE), *["jax"] * (name not in QUICK_ON_JAX)]
        yield pytest.param(name, marks=pytest.mark.slow_on(*slow))


@pytest.mark.parametrize("name", [*networks()])
def test_faulty_network_is_cured_and_the_cure_is_undone(name):
    keras.utils.set_random_seed(0)
    model = compiled(FAULTY[name]())
    before = values(model)
    done = ic.repair(model, *batch(model))
    assert found(done.before), "the network must be faulty for this test to say something"
    assert done.applied, done
    assert done.after.ok
    assert ic.check(model, *batch(model, seed=1)).ok, "also on another batch"
    done.undo()
    assert are_same(values(model), before)


def test_kernel_of_the_inputs_stays_where_the_recurrent_one_explodes():
    keras.utils.set_random_seed(0)
    model = compiled(FAULTY["recurrent"]())
    before = values(model)
    done = ic.repair(model, *batch(model))
    assert [step.variables for step in done.steps] == [("rnn/simple_rnn_cell/recurrent_kernel",)]
    assert are_same(values(model)[:1], before[:1])


@pytest.mark.parametrize("method", ["he", "glorot", "lecun", "orthogonal", "lsuv"])
def test_every_method_cures_weights_of_a_wrong_size(method):
    keras.utils.set_random_seed(0)
    model = compiled(mlp(normal(1.0)))
    done = ic.repair(model, *batch(model), method=method)
    assert done.applied, done
    assert all(f"hidden_{n}" in {step.layer for step in done.steps} for n in range(6))


def test_healthy_network_is_left_alone():
    model = compiled(mlp(keras.initializers.HeNormal))
    before = values(model)
    done = ic.repair(model, *batch(model))
    assert (done.steps, done.applied, done.after) == ((), False, None)
    assert are_same(values(model), before)


def test_rescaling_keeps_the_direction_of_each_kernel():
    model = compiled(mlp(lambda: keras.initializers.Orthogonal(gain=0.1)))
    before = values(model)[0]
    ic.repair(model, *batch(model))
    ratio = values(model)[0] / before
    # float32 rounds each product to 6e-8 of itself.
    np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-6)
    assert ratio.flat[0] == pytest.approx(
        10 * np.sqrt(2), rel=1e-4
    )  # E[w²] is that of an orthogonal matrix to within rounding


def test_only_the_layer_that_is_out_of_line_is_touched():
    keras.utils.set_random_seed(0)
    model = mlp(keras.initializers.HeNormal)
    model.get_layer("hidden_2").kernel.assign(model.get_layer("hidden_2").kernel.value * 30.0)
    done = ic.repair(compiled(model), *batch(model))
    assert done.applied
    assert {step.layer for step in done.steps} == {"hidden_2"}


def test_dry_run_plans_and_changes_nothing():
    model = compiled(mlp(normal(1.0)))
    before = values(model)
    done = ic.repair(model, *batch(model), dry_run=True)
    assert are_same(values(model), before)
    assert not done.applied
    assert [step.layer for step in done.steps] == [f"hidden_{n}" for n in range(6)]
    # sqrt(2/64) of weights that are N(0,1); 4096 of them have a standard deviation within 4.5 /
    # sqrt(2 * 4096) of 1.
    assert all(step.factor == pytest.approx(np.sqrt(2 / 64), rel=0.05) for step in done.steps)
    assert "1. multiply hidden_0/kernel by 0.1" in str(done)


def test_frozen_layers_and_those_not_named_keep_their_values():
    model = mlp(normal(1.0))
    model.get_layer("hidden_0").trainable = False
    before = values(model)
    done = ic.repair(compiled(model), *batch(model), layers=["hidden_0", "hidden_1"])
    assert {step.layer for step in done.steps} == {"hidden_1"}
    assert not done.applied, "one layer of six cannot cure them"
    assert "remain" in done.message
    assert are_same(values(model), before + values(model)[len(before) :])


@pytest.mark.parametrize("chosen", ["hidden_*", ["hidden_0", "hidden_1"], "layer"])
def test_layers_are_named_by_pattern_path_and_object(chosen):
    model = compiled(mlp(normal(1.0), depth=2, width=256))
    done = ic.repair(
        model,
        *batch(model),
        layers=model.get_layer("hidden_1") if chosen == "layer" else chosen,
        dry_run=True,
    )
    assert {step.layer for step in done.steps} == (
        {"hidden_1"} if chosen == "layer" else {"hidden_0", "hidden_1"}
    )


def with_broken_embedding_and_norm():
    embedding, norm = (
        keras.layers.Embedding(20, 16, name="tokens"),
        keras.layers.LayerNormalization(name="norm"),
    )
    hidden = [keras.layers.Dense(16, "relu", kernel_initializer="he_normal") for _ in range(2)]
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            embedding,
            norm,
            *hidden,
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    broken = np.array(keras.ops.convert_to_numpy(embedding.embeddings.value))
    broken[3] = np.nan
    embedding.embeddings.assign(broken)
    norm.gamma.assign(np.full(16, np.inf))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    generator = np.random.default_rng(0)
    return model, (generator.integers(0, 20, (32, 4)), generator.integers(0, 10, 32))


@pytest.mark.parametrize("method", ["auto", "he"])
def test_embeddings_and_normalisations_get_their_first_values_where_they_are_named(method):
    model, data = with_broken_embedding_and_norm()
    others = values(model)[3:]
    done = ic.repair(model, *data, method=method, layers=["tokens", "norm"])
    assert done.applied, done
    assert are_same(values(model)[3:], others), "only what was named"
    table = values(model)[0]
    assert 0.0 < np.abs(table).max() <= 0.05, "Keras draws embeddings from -0.05 to 0.05"
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(model.get_layer("norm").gamma.value), 1.0
    )
    assert "reinitialize" in str(done)


def test_embeddings_and_normalisations_are_protected_unless_named():
    model, data = with_broken_embedding_and_norm()
    before = values(model)
    done = ic.repair(model, *data)
    assert not done.applied
    assert are_same(values(model), before)
    assert "an embedding or normalization that `layers` does not name" in done.message


def test_unknown_layers_and_methods_are_refused():
    model = mlp(normal(1.0), depth=2)
    with pytest.raises(ValueError, match="`layers` must mean layers of the model"):
        ic.repair(model, *batch(model), layers="nope")
    with pytest.raises(TypeError, match="`layers` must hold paths"):
        ic.repair(model, *batch(model), layers=[3])
    with pytest.raises(ValueError, match="`method` must be one of"):
        ic.repair(model, *batch(model), method="xavier")
    with pytest.raises(ValueError, match="`mode` must be one of"):
        ic.repair(model, *batch(model), mode="sideways")


def test_intended_zeros_stay_zero():
    model = residual(blocks=4)
    for block in range(4):
        model.get_layer(f"outer_{block}").kernel.assign(np.zeros((64, 64)))
        model.get_layer(f"inner_{block}").kernel.assign(
            model.get_layer(f"inner_{block}").kernel.value * 1e4
        )
    ic.repair(compiled(model), *batch(model), method="he")
    assert all(
        not np.any(keras.ops.convert_to_numpy(model.get_layer(f"outer_{block}").kernel.value))
        for block in range(4)
    )


def test_trained_model_is_refused_and_its_momenta_are_reset_where_that_is_allowed():
    keras.utils.set_random_seed(0)
    model = compiled(mlp(normal(0.01)), keras.optimizers.SGD(0.01, momentum=0.9))
    x, y = batch(model)
    model.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match=r"optimizer has made 1 step\."):
        ic.repair(model, x, y)
    before = values(model)
    done = ic.repair(model, x, y, allow_trained=True)
    assert done.applied
    slots = {
        variable.path: keras.ops.convert_to_numpy(variable.value)
        for variable in model.optimizer.variables
    }
    kernels = [value for path, value in slots.items() if "hidden" in path and "kernel" in path]
    assert len(kernels) == 6
    assert not any(map(np.any, kernels))
    assert any(np.any(value) for path, value in slots.items() if "head" in path), (
        "the head keeps its momentum"
    )
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations.value)) == 1
    done.undo()
    assert are_same(values(model), before)


def test_a_cure_that_does_not_help_is_undone():
    model = compiled(mlp(keras.initializers.HeNormal, depth=2))
    x, y = batch(model)
    before = values(model)
    done = ic.repair(model, x * 1e4, y, first_step=False)
    assert not done.applied
    assert [finding.slug for finding, _ in done.plan.unresolved] == ["input-scale"]
    assert are_same(values(model), before)


def test_a_cure_is_kept_where_it_shows_that_the_learning_rate_is_too_high():
    """Before, that follows from the weights."""
    model = mlp(normal(1.0))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(50.0), loss)
    done = ic.repair(model, *batch(model))
    assert done.applied
    assert "first-step-diverges" not in {each.slug for each in done.before.findings if each.rank}
    assert [each.slug for each in done.after.findings if each.rank] == ["first-step-diverges"]


def test_an_exception_in_the_middle_leaves_the_model_as_it_was(monkeypatch):
    model = compiled(mlp(normal(1.0)))
    x, y = batch(model)
    before = values(model)

    def fails(self, batch):
        raise RuntimeError("in the middle")

    monkeypatch.setattr(Settler, "run", fails)
    with pytest.raises(RuntimeError, match="in the middle"):
        ic.repair(model, x, y, method="lsuv")
    assert are_same(values(model), before)


def test_balanced_mode_splits_the_misfit_between_signal_and_gradient():
    hidden = [
        keras.layers.Dense(units, "relu", kernel_initializer=normal(1.0)())
        for units in (512, 32, 512, 32)
    ]
    model = compiled(keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)]))
    moments = {}
    for mode in ("forward", "backward", "balanced"):
        done = ic.repair(model, *batch(model), mode=mode)
        assert done.applied, done
        moments[mode] = np.mean(keras.ops.convert_to_numpy(hidden[1].kernel.value) ** 2)
        done.undo()
    # float32 kernels are rescaled to what the measured E[w²] asks for, which is summed in float64.
    assert moments["forward"] == pytest.approx(2 / 512, rel=1e-4)
    assert moments["backward"] == pytest.approx(2 / 32, rel=1e-4)
    assert moments["balanced"] == pytest.approx(2 / np.sqrt(512 * 32), rel=1e-4)


def test_glorot_takes_the_mean_of_both_fans():
    hidden = [
        keras.layers.Dense(units, "tanh", kernel_initializer=normal(1.0)())
        for units in (512, 32, 64)
    ]
    model = compiled(keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)]))
    assert ic.repair(model, *batch(model), method="glorot").applied
    # Drawn in float64 to this size exactly, and rounded to float32.
    assert np.mean(keras.ops.convert_to_numpy(hidden[1].kernel.value) ** 2) == pytest.approx(
        2 / (512 + 32), rel=1e-6
    )


def test_fixup_zeroes_the_last_layer_of_each_branch_and_scales_the_others():
    keras.utils.set_random_seed(0)
    model = compiled(residual(blocks=16))
    inner = keras.ops.convert_to_numpy(model.get_layer("inner_3").kernel.value)
    done = ic.repair(model, *batch(model), method="fixup")
    assert done.applied, done
    # The first block, which begins at the input, belongs to no stream.
    assert not any(
        np.any(keras.ops.convert_to_numpy(model.get_layer(f"outer_{block}").kernel.value))
        for block in range(1, 16)
    )
    # L^(-1/(2m-2)) with 15 blocks of two layers, multiplied in float32.
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(model.get_layer("inner_3").kernel.value),
        inner / 15**0.5,
        rtol=1e-6,
    )


def test_branches_that_blow_up_the_stream_are_scaled_in_every_layer():
    keras.utils.set_random_seed(0)
    model = compiled(residual(blocks=16))
    done = ic.repair(model, *batch(model))
    assert done.applied, done
    factors = {step.layer: step.factor for step in done.steps if "IC502" in step.why}
    assert set(factors) == {
        f"{place}_{block}" for place in ("inner", "outer") for block in range(1, 16)
    }
    assert set(factors.values()) == {15**-0.5}, "N^(-1/(2m-2)) for 15 blocks of two layers"


@pytest.mark.parametrize(
    "blocks", [8, pytest.param(32, marks=pytest.mark.slow_on("tensorflow", "jax"))]
)
def test_a_step_of_sgd_moves_the_output_of_a_repaired_stack_by_little_however_many_blocks_there_are(
    blocks,
):
    """Zhang et al. 2019, section 3. 8 blocks grow within the budget, and it is the logits that are
    found to be too large.
    """
    keras.utils.set_random_seed(0)
    model = residual(blocks=blocks)
    model.compile(
        keras.optimizers.SGD(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    x, y = batch(model)
    assert ic.repair(model, x, y).applied
    before = model.predict(x, verbose=0)
    model.train_on_batch(x, y)
    # Measured: 0.01 to 0.03. It was 0.7 and 4.7 with 1/√N on the last layers alone, and 77 where a
    # smaller head hid the growth of 8 blocks.
    assert np.abs(model.predict(x, verbose=0) - before).mean() < 0.05


def test_shared_layer_is_corrected_once():
    shared = keras.layers.Dense(64, "relu", kernel_initializer=normal(1.0)(), name="shared")
    signal = entered = keras.Input((64,))
    for _ in range(4):
        signal = shared(signal)
    model = compiled(keras.Model(entered, keras.layers.Dense(10)(signal)))
    done = ic.repair(model, *batch(model))
    assert done.applied, done
    assert [step.layer for step in done.steps] == ["shared"]
    assert np.mean(keras.ops.convert_to_numpy(shared.kernel.value) ** 2) == pytest.approx(
        2 / 64, rel=1e-4
    )


def test_mixed_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = compiled(mlp(normal(1.0)))
        done = ic.repair(model, *batch(model))
    finally:
        keras.config.set_dtype_policy(policy)
    assert done.applied, done


def test_convolutions_get_their_true_fans():
    keras.utils.set_random_seed(0)
    model = compiled(cnn())
    ic.repair(model, *batch(model))
    kernel = keras.ops.convert_to_numpy(model.get_layer("conv_1").kernel.value)
    assert np.mean(kernel**2) == pytest.approx(
        2 / (9 * 16), rel=1e-4
    )  # measured in float64, multiplied in float32


def test_values_of_the_repair_are_not_held_against_the_initializer():
    body = [keras.layers.Dense(32, "relu", kernel_initializer="random_normal") for _ in range(8)]
    model = keras.Sequential([keras.Input((16,)), *body, keras.layers.Dense(4)])
    repair = ic.repair(model)
    assert repair.applied
    assert "IC109" not in {finding.code for finding in repair.after.findings}
