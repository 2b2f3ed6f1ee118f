import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_initcheck.cli import main
from keras_initcheck.command import loading

MODELS = """
import keras
import numpy as np

def model():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)], name="small")
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model

def needs(width): ...
def gives_nothing(): ...

def fails():
    raise RuntimeError("no such\\nluck")

def leaves():
    raise SystemExit("bye")

def batches():
    yield np.ones((2, 4))[:0].reshape(-1, 4) if False else 1 / 0

number = 3
"""


@pytest.fixture(autouse=True)
def workplace(make_workplace):
    make_workplace(MODELS)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            [],
            (
                "Expected one of MODEL, --demo, --compare, --explain CODE, --list-rules,"
                " --list-thresholds and --schema. Received: none."
            ),
        ),
        (["a.keras", "--demo"], "Received: MODEL and --demo."),
        (["a.keras", "--compare", "a.json", "b.json"], "Received: MODEL and --compare."),
        (
            ["--compare", "a.json"],
            (
                "--compare must name two reports or more, as --json writes them. Received: a.json"
                " alone."
            ),
        ),
        (
            ["--compare", "a.json", "b.json"],
            "--compare must name a report that --json wrote. Received: 'a.json'. No such file",
        ),
        (
            ["--compare", "models.py", "b.json"],
            "Received: 'models.py'. `text` must be strict JSON.",
        ),
        (["a.keras", "--quick"], "--quick must come with --demo."),
        (["a.keras", "--nonsense"], "unrecognized arguments: --nonsense. See: initcheck --help"),
        (
            ["a.keras", "--batch-size", "0"],
            "--batch-size: must be an integer, 1 or more. Received: '0'.",
        ),
        (["a.keras", "--batch-size", "many"], "Received: 'many'."),
        (["a.keras", "--seed", "-1"], "--seed: must be an integer, 0 or more."),
        (["a.keras", "--width", "39"], "--width: must be an integer, 40 or more."),
        (["a.keras", "--fail-on", "info"], "--fail-on: invalid choice: 'info'"),
        (
            ["a.keras", "--select", "IC102,IC999"],
            "--select must name rules by code or slug. Received: 'IC999'.",
        ),
        (
            ["a.keras", "--ignore", "IC999"],
            "--ignore must name rules by code or slug. Received: 'IC999'.",
        ),
        (["--explain", "IC999"], "--explain must name rules by code or slug. Received: 'IC999'."),
    ],
    ids=lambda value: " ".join(value) or "none" if isinstance(value, list) else "",
)
def test_arguments_that_make_no_sense(error_of, arguments, expected):
    assert expected in error_of(*arguments)


def test_file_that_holds_no_report_is_not_told_of_the_library(error_of):
    error = error_of("--compare", "models.py", "b.json")
    assert error.endswith("(Expecting value: line 2 column 1 (char 1)).\n")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("nix.keras", "MODEL must name a file that exists. Received: 'nix.keras'."),
        ("nix.py:model", "MODEL must name a file that exists. Received: 'nix.py'."),
        (
            "notes.txt",
            (
                "MODEL must be a .keras or .h5 file, package.module:factory or file.py:factory."
                " Received: 'notes.txt'."
            ),
        ),
        (
            "models.py",
            "Received: 'models.py', which names no object in the file. Write",
        ),
        ("only.weights.h5", "which holds weights only. Save it with model.save(...)."),
        ("no_such_module:model", "there is no module 'no_such_module'"),
        ("keras.no_such_part:model", "there is no module 'keras.no_such_part'"),
        ("models.py:nix", "MODEL must name something in models.py. Received: 'nix'. It has: "),
        (
            "models.py:number",
            "MODEL must name a callable. Received: 'models.py:number', which is of type int.",
        ),
        (
            "models.py:needs",
            (
                "MODEL must be callable without arguments. Received: 'models.py:needs', which takes"
                " (width)."
            ),
        ),
        (
            "models.py:gives_nothing",
            (
                "MODEL must return a keras.Model. Received: 'models.py:gives_nothing', which"
                " returns a NoneType."
            ),
        ),
    ],
)
def test_model_that_is_none(error_of, source, expected):
    Path("only.weights.h5").write_bytes(b"")
    assert expected in error_of(source)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "garbage.keras",
            (
                "MODEL must be a readable .keras file. Received: 'garbage.keras', which is"
                " incomplete or has another format."
            ),
        ),
        (
            "garbage.h5",
            "MODEL must be a file that Keras has saved. Received: garbage.h5, which Keras cannot",
        ),
    ],
)
def test_garbage_is_no_model_file(error_of, name, expected):
    Path(name).write_bytes(b"garbage")
    assert expected in error_of(name)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("models.py:fails", "MODEL: models.py:fails failed. RuntimeError: no such luck."),
        ("models.py:leaves", "MODEL: models.py:leaves failed. SystemExit: bye."),
        ("broken.py:model", "MODEL: broken.py could not be run. SyntaxError:"),
        (
            "broken_module:model",
            (
                "MODEL: the module 'broken_module' could not be imported. ModuleNotFoundError: No"
                " module named 'nix'."
            ),
        ),
    ],
)
def test_failure_of_the_users_code_shows_its_own_traceback_above_the_line(capsys, source, expected):
    Path("broken.py").write_text("model = (")
    Path("broken_module.py").write_text("import nix")
    assert main([source]) == 2
    *above, line = capsys.readouterr().err.splitlines()
    assert line.startswith(f"initcheck: error: {expected}")
    assert above
    assert not any("keras_initcheck" in each for each in above)


def test_failure_of_the_users_data_is_no_finding(capsys):
    assert main(["models.py:model", "models.py:batches"]) == 2
    error = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in error
    assert error.splitlines()[-1].startswith("initcheck: error: ")


def test_lambda_in_a_file_is_refused_and_run_only_with_unsafe(error_of, capsys):
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Lambda(lambda x: 2 * x), keras.layers.Dense(4)]
    )
    for name in ("code.keras", "code.h5"):
        model.save(name)
        error = error_of(name)
        assert f"{name} contains Python code" in error
        assert "--unsafe runs it" in error
        assert main([name, "--unsafe"]) == 0


def test_h5_is_refused_by_keras_releases_that_run_its_code(error_of, monkeypatch):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)]).save("model.h5")
    monkeypatch.setattr(loading.keras, "__version__", "3.11.2")
    assert "Keras 3.11.2 runs any code in a .h5 file" in error_of("model.h5")


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"x": np.ones((8, 5))}, "must be given inputs like (None, 4) float32. Received: (8, 5) "),
        ({"x": np.array(["a", "b"])}, "Arrays must hold numbers. Received: dtype <U1"),
        (
            {"x": np.ones((0, 4))},
            "The batch must hold at least one sample. Received: an empty batch.",
        ),
        ({"x": np.float32(1)}, "Every array must have a batch axis. Received: a scalar"),
        (
            {"x": np.ones((8, 4)), "y": np.ones(7)},
            "All arrays of a batch must have the same length.",
        ),
        ({"x": np.ones((8, 4)), "y": np.ones((8, 7, 2))}, "The labels must fit the model's loss"),
        ({"z": np.ones((8, 4))}, "DATA must have the keys x (or x1, x2, ..."),
        ({"y": np.ones(8)}, "Received: data.npz with the keys ['y']."),
        (
            {"x": np.array([{}], dtype=object)},
            "DATA must contain arrays of numbers. Received: data.npz at 'x' with Python objects",
        ),
    ],
    ids=[
        "shape",
        "dtype",
        "empty",
        "scalar",
        "lengths",
        "labels",
        "unknown key",
        "no x",
        "pickled",
    ],
)
def test_data_that_does_not_fit(error_of, arrays, expected):
    np.savez("data.npz", **arrays)
    assert expected in error_of("models.py:model", "data.npz")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("nix.npz", "DATA must name a file that exists. Received: 'nix.npz'."),
        (
            "notes.csv",
            (
                "DATA must be a .npz or .npy file, package.module:function or file.py:function."
                " Received: 'notes.csv'."
            ),
        ),
        ("garbage.npz", "DATA must contain arrays of numbers"),
        ("garbage.npy", "DATA must contain arrays of numbers"),
        ("models.py:number", "`x` must be an array"),
    ],
)
def test_data_that_is_none(error_of, source, expected):
    for name in ("garbage.npz", "garbage.npy"):
        Path(name).write_bytes(b"garbage")
    assert expected in error_of("models.py:model", source)


@pytest.mark.parametrize("option", ["--json", "--html", "--log-dir"])
def test_place_that_cannot_be_written(capsys, option):
    Path("file").write_text("")
    assert main(["models.py:model", option, "file/below"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        f"initcheck: error: {option} must name a place that can be written. Received: 'file/below'."
    )
    assert error.count("\n") == 1


def run_without(tmp_path, missing, **environment):
    """The command in a process that finds no package of those names."""
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\nfor name in {missing!r}:\n    sys.modules[name] = None\n"
    )
    root = str(Path(__file__).parents[2])
    variables = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    variables |= {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), root]),
        "KERAS_HOME": str(tmp_path),
        **environment,
    }
    return subprocess.run(
        [sys.executable, "-m", "keras_initcheck", "models.py:model"],
        env=variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_no_backend_is_one_line_with_the_remedy(tmp_path):
    result = run_without(tmp_path, ["tensorflow", "jax", "torch"])
    assert (result.returncode, result.stdout) == (2, "")
    assert (
        result.stderr
        == "initcheck: error: Keras needs a backend, one of tensorflow, jax, torch. Received: none"
        " is installed. Try: pip install tensorflow\n"
    )


def test_backend_that_was_asked_for_is_not_replaced(tmp_path):
    result = run_without(tmp_path, ["torch"], KERAS_BACKEND="torch")
    assert result.returncode == 2
    assert result.stderr.startswith(
        "initcheck: error: KERAS_BACKEND must name an installed backend ("
    )
    assert result.stderr.count("\n") == 1


def test_installed_backend_is_chosen_where_tensorflow_is_missing(tmp_path):
    pytest.importorskip("jax")
    result = run_without(tmp_path, ["tensorflow"])
    assert result.returncode == 0, result.stderr
    assert (
        result.stderr == "initcheck: tensorflow is not installed; using jax (KERAS_BACKEND=jax)\n"
    )
    assert "jax" in result.stdout


def test_backend_that_does_not_start_is_one_line(tmp_path):
    (tmp_path / "jax.py").write_text("raise RuntimeError('broken\\ninstallation')")
    result = run_without(tmp_path, ["tensorflow", "torch"])
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith(
        "initcheck: error: The backend jax must start. Received: RuntimeError: broken installation."
    )
