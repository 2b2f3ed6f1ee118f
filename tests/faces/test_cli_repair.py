import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_initcheck.cli import main

MODELS = """
import keras
import numpy as np

def network(std):
    def dense(seed):
        normal = keras.initializers.RandomNormal(stddev=std, seed=seed)
        return keras.layers.Dense(32, "relu", kernel_initializer=normal, name=f"hidden_{seed}")

    layers = [dense(seed) for seed in range(5)]
    glorot = keras.initializers.GlorotNormal(seed=9)
    head = keras.layers.Dense(3, kernel_initializer=glorot, name="head")
    model = keras.Sequential([keras.Input((32,)), *layers, head], name="network")
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model

def healthy():
    return network((2 / 32) ** 0.5)

def exploding():
    return network(1.0)

def trained():
    model = exploding()
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(3)
    return model

def data():
    return np.random.default_rng(0).normal(size=(16, 32)).astype("float32"), np.arange(16) % 3

class Unsaveable(keras.Model):
    def __init__(self, width, *, name="unsaveable"):
        super().__init__(name=name)
        normal = keras.initializers.RandomNormal
        self.hidden = [
            keras.layers.Dense(width, "relu", kernel_initializer=normal(stddev=1.0))
            for _ in range(5)
        ]
        self(keras.ops.zeros((1, 32)))

    def call(self, x):
        for layer in self.hidden:
            x = layer(x)
        return x

    def get_config(self):
        raise RuntimeError("no configuration here")

def unsaveable():
    return Unsaveable(32)
"""
EXPLODING = "models.py:exploding"


@pytest.fixture(autouse=True)
def workplace(make_workplace):
    make_workplace(MODELS)


@pytest.fixture
def exploding_file(workplace):
    """`model.keras`, exploding."""
    main([EXPLODING, "--repair", "--layers", "head", "--fail-on", "never", "--save", "model.keras"])
    return Path("model.keras")


@pytest.fixture
def error_of(capsys):
    """Runs the command, which must fail with one line on stderr; gives the line."""

    def run(*arguments):
        capsys.readouterr()
        code = main(list(arguments))
        output = capsys.readouterr()
        assert code == 2, output
        assert output.err.count("\n") == 1, output.err
        return output.err

    return run


def test_both_states_the_steps_and_their_outcome_are_told(capsys):
    assert main([EXPLODING, "--repair", "--save", "repaired.keras", "--width", "80"]) == 0
    lines = capsys.readouterr().out.splitlines()
    headings = [lines.index(text) for text in ("Before the repair", "Repair", "After the repair")]
    assert headings == sorted(headings)
    assert any(
        line.startswith("  error IC102 forward-gain: hidden_") for line in lines[: headings[1]]
    )
    assert any(
        line.startswith("  1. multiply hidden_0/kernel by 0.2")
        for line in lines[headings[1] : headings[2]]
    )
    assert any(
        "a new probe no longer reports IC102 forward-gain" in line
        for line in lines[headings[1] : headings[2]]
    )
    assert "network: healthy. No layer loses or blows up the signal." in lines[headings[2] :]
    assert [line.split()[2] for line in lines if line.startswith(("before ", "after "))] == [
        "1",
        "healthy",
    ]
    assert lines[-1] == "Saved to repaired.keras."


def in_a_new_process(*arguments):
    """Exit status, last line of standard output and standard error of the command."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "keras_initcheck", *arguments]
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    return result.returncode, result.stdout.splitlines()[-1], result.stderr


def test_saved_model_is_healthy_in_a_new_process_and_standard_error_stays_empty():
    saved = in_a_new_process(EXPLODING, "--repair", "--save", "repaired.keras")
    assert saved == (0, "Saved to repaired.keras.", "")
    checked = in_a_new_process("repaired.keras", "--fail-on", "warning")
    assert checked == (0, "network: healthy. No layer loses or blows up the signal.", "")


def test_saved_weights_are_those_of_the_saved_model():
    for name in ("repaired.keras", "repaired.weights.h5"):
        assert main([EXPLODING, "--repair", "--save", name]) == 0
    model = keras.models.load_model("repaired.keras")
    expected = model.get_weights()
    model.set_weights([np.zeros_like(weight) for weight in expected])
    model.load_weights("repaired.weights.h5")
    for weight, other in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(weight, other)


def test_model_file_stays_as_it_is(exploding_file):
    before = exploding_file.read_bytes()
    assert main(["model.keras", "--repair", "--save", "repaired.keras"]) == 0
    assert exploding_file.read_bytes() == before
    assert main(["model.keras"]) == 1
    assert main(["repaired.keras"]) == 0


@pytest.mark.parametrize(
    "model", ["model.keras", EXPLODING], ids=["its own file", "another model's file"]
)
def test_existing_file_is_replaced_only_by_force(model, exploding_file, error_of):
    before = exploding_file.read_bytes()
    message = error_of(model, "--repair", "--save", "model.keras")
    assert (
        "--save must name a new file. Received: 'model.keras', which exists. Give another name, or"
        " --force" in message
    )
    assert exploding_file.read_bytes() == before
    assert main([model, "--repair", "--save", "model.keras", "--force"]) == 0
    assert main(["model.keras"]) == 0


def test_replaced_file_keeps_its_permissions_and_a_link_stays_a_link(exploding_file):
    exploding_file.chmod(0o640)
    Path("link.keras").symlink_to("model.keras")
    assert main(["model.keras", "--repair", "--save", "link.keras", "--force"]) == 0
    assert Path("link.keras").is_symlink()
    assert stat.S_IMODE(exploding_file.stat().st_mode) == 0o640
    assert main(["model.keras"]) == 0


@pytest.mark.parametrize(
    "error", [OSError("no space left"), KeyboardInterrupt()], ids=["full disk", "interrupt"]
)
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_crash_while_saving_leaves_the_old_file_and_nothing_else(
    error, suffix, exploding_file, monkeypatch, capsys
):
    old = Path(f"old{suffix}")
    old.write_bytes(b"what was there")
    content = sorted(os.listdir())

    def crash(model, path, *_, **__):
        Path(path).write_bytes(b"half a mod")
        raise error

    monkeypatch.setattr(keras.Model, "save", crash)
    monkeypatch.setattr(keras.Model, "save_weights", crash)
    code = main(["model.keras", "--repair", "--save", str(old), "--force"])
    assert code == (2 if isinstance(error, OSError) else 130)
    assert ("no space left" in capsys.readouterr().err) == isinstance(error, OSError)
    assert old.read_bytes() == b"what was there"
    assert sorted(os.listdir()) == content


def test_model_that_has_no_configuration_is_told_of_weight_files(error_of):
    message = error_of("models.py:unsaveable", "--repair", "--save", "repaired.keras")
    assert (
        "no configuration here. If the model has no configuration: a .weights.h5 file does not"
        " need one." in message
    )
    assert set(os.listdir()) <= {"models.py", "__pycache__"}
    assert main(["models.py:unsaveable", "--repair", "--save", "repaired.weights.h5"]) == 0


def test_dry_run_shows_the_plan_and_changes_nothing(exploding_file, capsys):
    content, before = sorted(os.listdir()), exploding_file.read_bytes()
    capsys.readouterr()
    assert main(["model.keras", "--repair", "--dry-run"]) == 1
    lines = capsys.readouterr().out.splitlines()
    plan = lines[lines.index("Plan") :]
    assert plan[1].startswith("  1. multiply hidden_0/kernel by 0.2")
    assert plan[-1] == "  Nothing was changed. A repair would begin with these steps."
    assert (sorted(os.listdir()), exploding_file.read_bytes()) == (content, before)


def test_what_no_weights_cure_is_said_and_not_saved(capsys):
    assert main([EXPLODING, "--repair", "--layers", "head", "--save", "repaired.keras"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == (
        "Not saved to repaired.keras: the model is unchanged and has its findings."
    )
    (said,) = (
        line
        for line in lines
        if line.startswith("  Nothing was changed. IC102 forward-gain stays: ")
    )
    assert "not among the layers that may change" in said
    assert "Before the repair" not in lines
    assert not Path("repaired.keras").exists()


def test_healthy_model_is_saved_as_it_is(capsys):
    assert main(["models.py:healthy", "--repair", "--save", "repaired.keras"]) == 0
    assert "  Nothing to repair: the model has no warning and no error." in capsys.readouterr().out
    assert main(["repaired.keras"]) == 0


def test_method_mode_layers_and_data_reach_the_repair(capsys):
    arguments = [
        "models.py:exploding",
        "models.py:data",
        "--repair",
        "he",
        "--mode",
        "backward",
        "--layers",
        "hidden_[01]",
        "head",
    ]
    assert main([*arguments, "--dry-run"]) == 1
    output = capsys.readouterr().out
    steps = [line for line in output.splitlines() if "redraw" in line]
    assert [line.split()[2] for line in steps] == [
        "hidden_0/kernel",
        "hidden_1/kernel",
        "head/kernel",
    ]
    assert "of 0.577: method he" in steps[2]  # 1/3 for three units: the gradient's fan
    assert "Measured on 16 samples" in output


def test_trained_model_is_repaired_only_on_demand(error_of):
    message = error_of("models.py:trained", "--repair", "--save", "repaired.keras")
    assert (
        "whose optimizer has made 3 steps. Pass --allow-trained if that is what you want."
        in message
    )
    assert (
        main(["models.py:trained", "--repair", "--save", "repaired.keras", "--allow-trained"]) == 0
    )


def test_json_alone_on_standard_output_is_the_report_after(capsys):
    assert main([EXPLODING, "--repair", "--save", "repaired.keras", "--json", "-"]) == 0
    output = capsys.readouterr()
    assert [
        finding for finding in json.loads(output.out)["findings"] if finding["severity"] != "info"
    ] == []
    assert "Before the repair" in output.err
    assert output.err.endswith("Saved to repaired.keras.\n")


def test_html_shows_the_model_before_and_after():
    assert main([EXPLODING, "--repair", "--save", "repaired.keras", "--html", "page.html"]) == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert "Comparison of 2 probes" in page
    assert "<h2>before</h2>" in page
    assert main([EXPLODING, "--repair", "--dry-run", "--html", "page.html"]) == 1
    assert "Comparison" not in Path("page.html").read_text(encoding="utf-8")


def test_baseline_is_held_against_the_model_after_the_repair(capsys):
    main([EXPLODING, "--json", "known.json"])
    capsys.readouterr()
    assert (
        main([EXPLODING, "--repair", "--save", "repaired.keras", "--baseline", "known.json"]) == 0
    )
    assert "0 new, 2 gone" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            [EXPLODING, "--repair"],
            (
                "--repair must come with one of --save PATH, which keeps the repaired model, and"
                " --dry-run"
            ),
        ),
        ([EXPLODING, "--repair", "--save", "a.keras", "--dry-run"], "Received: both."),
        (
            [EXPLODING, "--save", "a.keras"],
            "--save must come with --repair. Received: --save alone.",
        ),
        ([EXPLODING, "--dry-run"], "--dry-run must come with --repair."),
        ([EXPLODING, "--allow-trained"], "--allow-trained must come with --repair."),
        ([EXPLODING, "--layers", "head"], "--layers must come with --repair."),
        ([EXPLODING, "--repair", "--dry-run", "--force"], "--force must come with --save."),
        (["--list-rules", "--repair", "--dry-run"], "--repair must come with MODEL"),
        (
            ["--repair", EXPLODING, "--dry-run"],
            "MODEL and DATA must stand before it. Received: 'models.py:exploding'.",
        ),
        (
            [EXPLODING, "--repair", "--save", "a.h5"],
            "--save must name a .keras file, or a .weights.h5 file",
        ),
        (
            [EXPLODING, "--repair", "--save", "none/a.keras"],
            "and 'none' is not a directory that can be written.",
        ),
        (
            [EXPLODING, "--repair", "--dry-run", "--layers", "body"],
            "--layers must mean layers of the model that have weights.",
        ),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_told_in_one_line(arguments, expected, error_of):
    assert expected in error_of(*arguments)


def test_directory_is_no_file_to_save_to(error_of):
    Path("a.keras").mkdir()
    assert "Received: 'a.keras', which is a directory." in error_of(
        EXPLODING, "--repair", "--save", "a.keras", "--force"
    )
