"""Each private name of Keras by name: a failure here reports that Keras has changed it."""

import ast
from collections import Counter
from pathlib import Path

import keras
import pytest

import keras_initcheck
from keras_initcheck.probe.keras_model import private_api

LAYERS = keras.layers
PACKAGE = Path(keras_initcheck.__file__).parent


@pytest.fixture
def nested():
    inputs = keras.Input((4,), name="data")
    inner = keras.Sequential([keras.Input((4,)), LAYERS.Dense(3, name="inside")], name="inner")
    hidden = keras.ops.relu(inner(inputs))
    return keras.Model(inputs, LAYERS.Dense(2, name="outside")(hidden + 1.0))


def compiled(optimizer="sgd"):
    model = keras.Sequential([keras.Input((4,)), LAYERS.Dense(3)])
    model.compile(optimizer, "mse")
    return model


def test_flatten_layers_reaches_layers_at_any_depth(nested):
    names = [layer.name for layer in private_api.flatten_layers(nested)]
    assert names[0] == nested.name
    assert {"inner", "inside", "outside"} <= set(names)


def test_flatten_layers_without_recursion_gives_direct_sublayers(nested):
    inner = nested.get_layer("inner")
    assert "inside" not in [layer.name for layer in private_api.sublayers(nested)]
    assert "inside" in [layer.name for layer in private_api.sublayers(inner)]


def test_functional_is_the_graph_of_a_sequential(nested):
    inner = nested.get_layer("inner")
    assert private_api.graph_behind(inner) is not inner
    assert private_api.is_graph(private_api.graph_behind(inner))
    assert private_api.graph_behind(nested) is nested


def test_nodes_by_depth_hold_each_call_of_an_operation(nested):
    assert private_api.is_graph(nested)
    assert not private_api.is_graph(nested.get_layer("outside"))
    nodes = private_api.graph_nodes(nested)
    kinds = Counter(type(node.operation).__name__ for node in nodes)
    assert kinds == {"InputLayer": 1, "Sequential": 1, "Relu": 1, "Add": 1, "Dense": 1}
    assert all(node.is_input or node.input_tensors for node in nodes)


def test_compute_output_spec_builds_a_model_without_running_it():
    model = keras.Sequential([LAYERS.Dense(3), LAYERS.Dense(2)])
    private_api.build(model, keras.ops.zeros((2, 5)))
    assert model.built
    assert [tuple(weight.shape) for weight in model.weights] == [(5, 3), (3,), (3, 2), (2,)]


def test_compile_loss_is_made_anew_by_each_compile():
    model = keras.Sequential([keras.Input((4,)), LAYERS.Dense(3)])
    assert private_api.compiled_loss(model) is None
    model.compile("sgd", "mse")
    first = private_api.compiled_loss(model)
    assert type(first).__name__ == "CompileLoss"
    model.compile("sgd", "mse")
    assert private_api.compiled_loss(model) is not first


def test_trainable_variables_of_an_optimizer_are_those_that_it_updates():
    model = compiled()
    assert private_api.trained_variables(model.optimizer) == []
    model.optimizer.build(model.trainable_variables)
    trained = private_api.trained_variables(model.optimizer)
    assert [id(each) for each in trained] == [id(each) for each in model.trainable_variables]


def test_slot_lists_leave_out_the_optimizer_s_own_variables():
    optimizer = compiled("adam").optimizer
    optimizer.build(compiled().trainable_variables)
    assert [name for name, _ in private_api.slot_lists(optimizer)] == ["momentums", "velocities"]
    assert len(optimizer.variables) == 6  # counter, learning rate, and two slots for each of two


@pytest.mark.skipif(
    not hasattr(keras.optimizers, "MultiOptimizer"), reason="this Keras has no MultiOptimizer"
)
def test_optimizer_map_chooses_and_names_count_on_as_before():
    (kernel, _) = compiled().trainable_variables
    multi = keras.optimizers.MultiOptimizer(lambda variable: named_optimizer())
    LAYERS.Dense(1)
    before = int(LAYERS.Dense(1).name.rpartition("_")[2])
    assert isinstance(private_api.choose_optimizer(multi, kernel), keras.optimizers.Adam)
    assert int(LAYERS.Dense(1).name.rpartition("_")[2]) == before + 1


def named_optimizer():
    """An optimizer whose making takes a name of a layer."""
    return keras.optimizers.Adam(name=LAYERS.Dense(1).name)


def test_object_name_uids_are_the_counts_behind_names():
    before = LAYERS.Dense(1).name
    with private_api._object_names_kept():
        inside = LAYERS.Dense(1).name
    assert before != inside == LAYERS.Dense(1).name


def test_trackers_and_global_state_are_found():
    dense = LAYERS.Dense(1)
    *trackers, state = private_api.bookkeeping([dense, object.__new__(keras.Sequential)])
    assert [type(tracker).__name__ for tracker in trackers] == ["Tracker"]
    assert "object_name_uids" in state.keras


def test_torch_params_hold_the_variables_of_layers_on_torch():
    model = compiled()
    found = private_api.torch_parameters([model, *model.layers])
    num_parameters = sum(len(each) for each in found)
    is_torch = keras.backend.backend() == "torch"
    assert num_parameters >= 2 if is_torch else num_parameters == 0


@pytest.mark.skipif(not hasattr(keras, "RematScope"), reason="this Keras has no RematScope")
def test_rematerialized_call_is_left_out_for_the_time_of_the_context():
    with keras.RematScope(mode="full"):
        dense = LAYERS.Dense(2)
    plain = LAYERS.Dense(2)
    with private_api.without_rematerialization([dense, plain]):
        assert dense.rematerialized_call(len) is len
        assert "rematerialized_call" not in vars(plain)
    assert "rematerialized_call" not in vars(dense)
    assert hasattr(type(dense), "rematerialized_call")


FUSED = {name for name in vars(LAYERS.Bidirectional) if name.startswith("_call_fused_")}


@pytest.mark.skipif(not FUSED, reason="this Keras runs both directions on their own")
def test_both_directions_run_on_their_own_for_the_time_of_the_context():
    layer = LAYERS.Bidirectional(LAYERS.LSTM(2, use_bias=True))
    layer.build((None, 3, 4))
    assert layer._can_attempt_fused_lstm(None)
    with private_api.without_fusion(layer):
        assert not layer._can_attempt_fused_lstm(None)
        assert not layer._can_attempt_fused_gru(None, initial_state=None)
    assert layer._can_attempt_fused_lstm(None)
    assert len(FUSED) == 2, FUSED  # of LSTM and GRU


FRAMEWORKS = "probe/engine"
PRIVATE_OF_PYTHON = {"_current_frames", "_replace", "_fields", "_asdict", "_name_"}


LOOK_UPS = {"getattr", "hasattr", "setattr", "delattr", "get", "pop", "setdefault"}


def private_names(path):
    """Private attributes that a file asks other objects for, also by a string."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if owner not in ("self", "cls") and not isinstance(node.value, ast.Call):
                yield node.attr
        elif isinstance(node, ast.Subscript):
            yield node.slice.value if isinstance(node.slice, ast.Constant) else ""
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if called in LOOK_UPS:
                yield from (each.value for each in node.args if isinstance(each, ast.Constant))


def own_names(path):
    """Private names that a file, or another one of the package, defines."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr


def test_private_names_of_keras_stand_in_one_file():
    files = [path for path in PACKAGE.rglob("*.py") if FRAMEWORKS not in path.as_posix()]
    own = {name for path in files for name in own_names(path)} | PRIVATE_OF_PYTHON
    found = {
        (path.name, name)
        for path in files
        for name in private_names(path)
        if isinstance(name, str) and name.startswith("_") and not name.startswith("__")
    }
    assert {(place, name) for place, name in found if name not in own} == {
        ("private_api.py", name)
        for name in (
            "_compile_loss",
            "_flatten_layers",
            "_functional",
            "_modules",
            "_nodes_by_depth",
            "_optimizer_map",
            "_remat_mode",
            "_torch_params",
            "_tracker",
            "_trainable_variables",
        )
    }


def test_source_of_keras_is_imported_in_one_file():
    importing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("keras.src"))
        or (isinstance(node, ast.Import) and any("keras.src" in alias.name for alias in node.names))
        or (
            isinstance(node, ast.Attribute)
            and node.attr == "src"
            and isinstance(node.value, ast.Name)
            and node.value.id == "keras"
        )
    }
    assert importing == {"probe/keras_model/private_api.py"}


def test_learning_rate_that_was_given_can_be_held():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    optimizer = keras.optimizers.SGD(schedule)
    assert private_api.given_learning_rate(optimizer) is schedule
    private_api.hold_learning_rate(optimizer, 0.25)
    assert float(optimizer.learning_rate) == 0.25
