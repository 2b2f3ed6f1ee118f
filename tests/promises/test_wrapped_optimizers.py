"""Budgets follow the optimizer that makes the update, however it is wrapped, and whatever a user
has derived it from.
"""

import keras
import numpy as np
import pytest

import keras_initcheck as ic
from keras_initcheck.rules import budgets

OPTIMIZERS = keras.optimizers
HAS_MULTI_OPTIMIZER = hasattr(OPTIMIZERS, "MultiOptimizer")  # of Keras 3.15
NOT_ADAPTIVE = {"SGD"}
WRAPPERS = {"LossScaleOptimizer", "MultiOptimizer"}
needs_multi_optimizer = pytest.mark.skipif(
    not HAS_MULTI_OPTIMIZER, reason="Keras has no MultiOptimizer before 3.15"
)


class OwnAdam(OPTIMIZERS.Adam):
    """As users derive one."""


class Adam(OPTIMIZERS.Optimizer):
    """Keras' only by name: it steps along the sign of the gradient's sum, or does anything else."""


def deep(optimizer, policy="float32", depth=4, width=64):
    """Shrinks the signal like the README's `MLP 13x128 Glorot`, in fewer layers: `3 ln(0.16 / 2)`
    is e^-7.6, which Adam alone bears.
    """
    keras.utils.set_random_seed(1)
    small = [
        keras.initializers.VarianceScaling(0.16, "fan_in", "untruncated_normal")
        for _ in range(depth)
    ]
    options = {"activation": "relu", "dtype": policy}
    hidden = [
        keras.layers.Dense(width, name=f"hidden_{n}", kernel_initializer=small[n], **options)
        for n in range(depth)
    ]
    model = keras.Sequential(
        [
            keras.Input((64,), dtype="float32"),
            *hidden,
            keras.layers.Dense(10, dtype=policy, name="head"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, run_eagerly=keras.backend.backend() == "tensorflow")
    return model


def batch(samples=32):
    generator = np.random.default_rng(0)
    return generator.standard_normal((samples, 64)).astype("float32"), generator.integers(
        0, 10, samples
    )


def by_layer(choose):
    """A `MultiOptimizer` that asks `choose` for each variable's optimizer."""
    return OPTIMIZERS.MultiOptimizer(lambda variable: choose(variable.path))


def mapped(default, **others):
    return OPTIMIZERS.MultiOptimizer(
        OPTIMIZERS.OptimizerMap(default, {f".*{name}/.*": each for name, each in others.items()})
    )


def gains(report):
    return [
        finding
        for finding in report.findings
        if finding.slug in ("forward-gain", "backward-gain") and finding.severity != "info"
    ]


def test_every_optimizer_of_keras_is_sorted():
    kinds = {
        name
        for name, kind in vars(OPTIMIZERS).items()
        if isinstance(kind, type) and issubclass(kind, OPTIMIZERS.Optimizer)
    }
    unsorted = kinds - budgets.ADAPTIVE - NOT_ADAPTIVE - WRAPPERS - {"Optimizer"}
    assert not unsorted, (
        "say in rules/budgets.py whether it is adaptive, or unwrap it in probe/optimizers.py"
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: OPTIMIZERS.LossScaleOptimizer(OPTIMIZERS.LossScaleOptimizer(OwnAdam())),
        lambda: OwnAdam(),
        pytest.param(
            lambda: mapped(OPTIMIZERS.Adam(), head=OPTIMIZERS.Adam(0.1)),
            marks=needs_multi_optimizer,
        ),
        pytest.param(
            lambda: OPTIMIZERS.LossScaleOptimizer(mapped(OPTIMIZERS.Adam())),
            marks=needs_multi_optimizer,
        ),
        pytest.param(lambda: by_layer(lambda path: OPTIMIZERS.Adam()), marks=needs_multi_optimizer),
    ],
    ids=[
        "loss scale twice",
        "subclass",
        "map of Adam alone",
        "loss scale around a map",
        "function",
    ],
)
def test_one_family_is_named_for_the_model(make):
    profile = ic.check(deep(make(), depth=1, width=8), *batch()).profile
    assert profile.optimizer == "Adam"
    assert not any(weight.optimizer for weight in profile.weights)


def test_healthy_network_stays_silent_and_is_not_repaired():
    model = deep(OPTIMIZERS.LossScaleOptimizer(OPTIMIZERS.Adam()))
    before = model.get_weights()
    done = ic.repair(model, *batch())
    assert done.before.ok, done.before
    assert (done.before.profile.optimizer, done.steps) == ("Adam", ())
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_mixed_float16_model_is_judged_by_the_optimizer_that_it_was_given():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = deep("adam", policy="mixed_float16", depth=1)
        assert isinstance(model.optimizer, OPTIMIZERS.LossScaleOptimizer), (
            "what compile does by itself"
        )
        profile = ic.check(model, *batch()).profile
    finally:
        keras.config.set_dtype_policy(policy)
    assert (profile.optimizer, profile.is_loss_scaled) == ("Adam", True)


def test_repair_in_fit_changes_nothing_under_loss_scaling():
    trained = []
    for callbacks in ([], [ic.InitCheck(None, on_drift="repair")]):
        model = deep(OPTIMIZERS.LossScaleOptimizer(OPTIMIZERS.Adam()))
        model.fit(*batch(), verbose=0, shuffle=False, callbacks=callbacks)
        trained.append(model.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*trained, strict=True))


@pytest.mark.parametrize(
    "make",
    [
        lambda: OPTIMIZERS.LossScaleOptimizer(OPTIMIZERS.SGD(0.01)),
        lambda: Adam(0.01),
        pytest.param(
            lambda: mapped(OPTIMIZERS.SGD(), head=OPTIMIZERS.Adam()), marks=needs_multi_optimizer
        ),
        pytest.param(
            lambda: mapped(OPTIMIZERS.Adam(), hidden_2=OPTIMIZERS.SGD()),
            marks=needs_multi_optimizer,
        ),
    ],
    ids=["loss scale", "Adam by name alone", "SGD but for the head", "one layer of SGD"],
)
def test_the_optimizer_that_bears_least_decides(make):
    found = gains(ic.check(deep(make()), *batch()))
    assert found
    assert all("SGD's budget" in finding.expected for finding in found)


@needs_multi_optimizer
@pytest.mark.parametrize("is_built", [False, True])
@pytest.mark.parametrize("kind", ["map", "function"])
def test_chain_is_judged_by_those_that_train_it(is_built, kind):
    """The head's SGD has no part in the chain of hidden layers."""
    sgd = OPTIMIZERS.SGD()
    optimizer = (
        mapped(OPTIMIZERS.Adam(), head=sgd)
        if kind == "map"
        else by_layer(lambda p: sgd if "head" in p else OPTIMIZERS.Adam())
    )
    model = deep(optimizer)
    if is_built:
        optimizer.build(model.trainable_variables)
    report = ic.check(model, *batch())
    assert not gains(report), report
    assert report.profile.optimizer == "MultiOptimizer"
    assert {weight.layer: weight.optimizer for weight in report.profile.weights} == {
        **{f"hidden_{n}": "Adam" for n in range(4)},
        "head": "SGD",
    }


@needs_multi_optimizer
def test_words_name_the_inner_optimizer():
    model = deep(mapped(OPTIMIZERS.Adam(), head=OPTIMIZERS.SGD()), depth=8)
    first, *_ = gains(ic.check(model, *batch()))
    assert first.expected == "at most 400 times weaker or stronger (adaptive optimizer: Adam)"


@needs_multi_optimizer
def test_asking_a_function_for_optimizers_leaves_their_names_free():
    model = deep(by_layer(lambda path: OPTIMIZERS.Adam()), depth=1)
    number = int(OPTIMIZERS.Adam().name.rpartition("_")[2] or 0)
    ic.check(model, *batch())
    assert OPTIMIZERS.Adam().name == f"adam_{number + 1}"
    assert not model.optimizer.built


@needs_multi_optimizer
def test_fit_with_several_optimizers_is_bitwise_the_same():
    trained = []
    for callbacks in ([], [ic.InitCheck(None, update_freq=1)]):
        model = deep(
            mapped(OPTIMIZERS.Adam(), head=OPTIMIZERS.SGD(momentum=0.9)), depth=1, width=16
        )
        model.fit(*batch(), batch_size=16, verbose=0, shuffle=False, callbacks=callbacks)
        trained.append(
            [
                keras.ops.convert_to_numpy(variable.value)
                for variable in [*model.variables, *model.optimizer.variables]
            ]
        )
    assert all(np.array_equal(a, b) for a, b in zip(*trained, strict=True))
