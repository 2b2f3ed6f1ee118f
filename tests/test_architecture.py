"""The layers of the house: who may import whom, read from the source, and what an import costs."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "keras_initcheck"

LAYERS = {
    "records": "records",
    "theory": "theory",
    "analysis": "analysis",
    "probe": "probe",
    "rules": "rules",
    "repairs": "repairs",
    "outputs": "outputs",
    "tensorboard_plugin": "island",
    "watch": "watch",
    "api": "faces",
    "callback": "faces",
    "initializers": "faces",
    "command": "faces",
    "cli": "faces",
    "demo": "faces",
    "__main__": "faces",
    "__init__": "root",
}
MAY_IMPORT = {
    "records": {"records"},
    "theory": {"records", "theory"},
    "analysis": {"records", "theory", "analysis"},
    "probe": {"records", "theory", "analysis", "probe"},
    "rules": {"records", "theory", "analysis", "rules"},
    "repairs": {"records", "theory", "analysis", "probe", "rules", "repairs"},
    "outputs": {"records", "analysis", "outputs"},
    "island": {"outputs", "island"},
    "watch": {
        "records",
        "theory",
        "analysis",
        "probe",
        "rules",
        "repairs",
        "outputs",
        "watch",
    },
}
MAY_IMPORT["faces"] = {*MAY_IMPORT["watch"], "faces", "root"}
MAY_IMPORT["root"] = {"records", "rules", "repairs", "faces"}
FOREIGN = {
    "records": {"numpy"},
    "theory": {"numpy", "scipy"},
    "analysis": {"numpy"},
    "probe": {"numpy", "keras"},
    "rules": {"numpy"},
    "repairs": {"numpy", "keras"},
    "outputs": {
        "numpy",
        "rich",
        "tensorboard",
        "plotly",
        "jinja2",
        "markupsafe",
        "pydantic",
        "pydantic_core",
    },
    "island": {"numpy", "tensorboard", "werkzeug"},
    "watch": {"numpy", "keras"},
    "faces": {"numpy", "keras", "h5py", "packaging", "rich", "sklearn", "tomli"},
    "root": set(),
}
EXCEPTIONS = {
    ("outputs/events.py", "keras_initcheck.tensorboard_plugin.log_format"): (
        "Names that the log's writer and the tab share; the tab must start without `outputs`."
    ),
}
"""Arrows that `MAY_IMPORT` does not have, each with its reason."""
FRAMEWORKS = {"tensorflow", "jax", "torch"}
RENDERING_THEMSELVES = {
    "records/report.py": "outputs",
    "records/trial.py": "outputs",
    "repairs/repair.py": "outputs",
}
"""Records that import their renderers, inside of their methods only, since users ask a report, a
trial and a repair themselves for their text, figures and files.
"""
ROOMS_OF_PROBE = (
    "keras_types",
    "engine",
    "keras_model",
    "data",
    "tap",
    "prediction",
    "profile",
    "files",
)
"""Rooms inside `probe/`, lowest first: each imports from itself and from those before it. The files
that stand beside the folders are the highest one."""


def files():
    return sorted(PACKAGE.rglob("*.py"))


def layer_of(path):
    return LAYERS[path.relative_to(PACKAGE).parts[0].removesuffix(".py")]


def imports(path, inside_functions_too=True):
    """Dotted names that a file imports, absolute and relative to nothing: the house has no relative
    imports.
    """
    tree = ast.parse(path.read_text())
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if id(node) in inside and not inside_functions_too:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield (
                node.module
                if node.module != "keras_initcheck"
                else f"keras_initcheck.{node.names[0].name}"
            )
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_file_imports_only_from_layers_above_it(path):
    layer = layer_of(path)
    own = RENDERING_THEMSELVES.get(path.relative_to(PACKAGE).as_posix())
    is_engine = path.parent.name == "engine"
    for name in imports(path):
        top, *rest = name.split(".")
        if top == "keras_initcheck":
            target = LAYERS.get(rest[0], "root") if rest else "root"
            is_exception = (str(path.relative_to(PACKAGE)), name) in EXCEPTIONS
            allowed = {*MAY_IMPORT[layer], own}
            assert is_exception or target in allowed, f"{layer} may not import {name}"
        elif is_engine and top in FRAMEWORKS:
            assert path.stem.partition("_")[0] == top
        else:
            assert top in sys.stdlib_module_names or top in FOREIGN[layer], (
                f"{layer} may not import {name}"
            )


@pytest.mark.parametrize("file", RENDERING_THEMSELVES)
def test_renderer_is_imported_inside_of_methods_only(file):
    at_the_top = {
        LAYERS.get(name.split(".")[1])
        for name in imports(PACKAGE / file, inside_functions_too=False)
        if name.startswith("keras_initcheck.")
    }
    assert RENDERING_THEMSELVES[file] not in at_the_top


def room_of_probe(module):
    """The room in which a module of the probe, as a dotted name, stands; `None` for others."""
    parts = module.split(".")
    if parts[:2] != ["keras_initcheck", "probe"] or len(parts) < 3:
        return None
    return parts[2] if parts[2] in ROOMS_OF_PROBE else "files"


def imported_modules(path, is_lazy=True):
    """Dotted names of the modules that a file imports, inside functions too if `is_lazy`."""
    pending = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if is_lazy or not isinstance(node, ast.FunctionDef):
            pending += ast.iter_child_nodes(node)
        if isinstance(node, ast.ImportFrom):
            for name in node.names:
                full = f"{node.module}.{name.name}"
                place = PACKAGE.parent / full.replace(".", "/")
                is_module = place.is_dir() or place.with_suffix(".py").exists()
                yield full if is_module else node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def module_of(path):
    """The dotted name of a file of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize(
    "path",
    [path for path in files() if room_of_probe(module_of(path)) is not None],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_file_of_the_probe_imports_from_no_room_above_it(path):
    floor = ROOMS_OF_PROBE.index(room_of_probe(module_of(path)))
    rooms = {name: room_of_probe(name) for name in imported_modules(path)}
    above = {name for name, room in rooms.items() if room and ROOMS_OF_PROBE.index(room) > floor}
    assert above == set()


def test_no_file_imports_itself_through_others():
    graph = {module_of(path): set(imported_modules(path, is_lazy=False)) for path in files()}
    TopologicalSorter({name: used & graph.keys() for name, used in graph.items()}).prepare()


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_file_stays_small(path):
    assert len(path.read_text().splitlines()) <= 400


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("module", ["keras_initcheck", "keras_initcheck.cli"])
def test_import_loads_nothing_heavy(module):
    heavy = {"keras", "numpy", "tensorflow", "jax", "torch", "tensorboard", "rich", "plotly"}
    assert (
        run_python(f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))").strip()
        == "[]"
    )


def test_tensorboard_s_entry_point_loads_nothing_that_may_be_missing():
    code = (
        "import sys, keras_initcheck.tensorboard_plugin.plugin; print(sorted(name for name in"
        " sys.modules if name.partition('.')[0] in {'keras', 'plotly', 'rich', 'tensorflow', 'jax',"
        " 'torch'} or name.startswith('keras_initcheck.') and '.tensorboard_plugin' not in name))"
    )
    assert run_python(code).strip() == "[]"


def test_names_shared_with_the_log_need_the_standard_library_alone():
    path = PACKAGE / "tensorboard_plugin" / "log_format.py"
    assert {name.partition(".")[0] for name in imports(path)} <= sys.stdlib_module_names


def test_every_public_name_loads():
    out = run_python(
        "import keras_initcheck as ic; print([n for n in ic.__all__ if not hasattr(ic, n)])"
    )
    assert out.strip().splitlines()[-1] == "[]"


def test_unknown_name_is_an_attribute_error():
    import keras_initcheck

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = keras_initcheck.nothing


def test_outputs_do_not_load_a_framework():
    code = (
        "import sys; from keras_initcheck.outputs import console, events, json_format; "
        "print(sorted({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))"
    )
    assert run_python(code).strip() == "[]"
