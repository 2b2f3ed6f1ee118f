import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_initcheck.cli import main
from keras_initcheck.outputs.json_format import schema
from keras_initcheck.rules.catalogue import RULES

MODELS = """
import keras
import numpy as np

def network(std):
    def dense():
        normal = keras.initializers.RandomNormal(stddev=std)
        return keras.layers.Dense(32, activation="relu", kernel_initializer=normal)

    layers = [dense() for _ in range(5)]
    model = keras.Sequential([keras.Input((32,)), *layers, keras.layers.Dense(3)], name="network")
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model

def healthy():
    return network((2 / 32) ** 0.5)

def exploding():
    return network(1.0)

# The mean square grows by 4.5 a layer: ln 4.5 * 5 = 7.5, between the budgets of a warning and an
# error.
def drifting():
    return network((2 * 4.5 / 32) ** 0.5)

def small():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)], name="small")
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model

class Zoo:
    model = small()

def labelled():
    return np.ones((8, 4), "float32"), np.arange(8) % 3
"""


@pytest.fixture(autouse=True)
def workplace(make_workplace):
    make_workplace(MODELS)


def command(*arguments, environment=None, **options):
    """The command in a process of its own."""
    root = str(Path(__file__).parents[2])
    variables = {**os.environ, "PYTHONPATH": root, **(environment or {})}
    return subprocess.run(
        [sys.executable, *arguments],
        env=variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **options,
    )


def test_healthy_model_prints_its_report_and_exits_with_0(capsys):
    assert main(["models.py:healthy", "--width", "80"]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("network: 6 weight layers")
    assert output.out.endswith("network: healthy. No layer loses or blows up the signal.\n")
    assert max(map(len, output.out.splitlines())) <= 80
    assert output.err == ""


def test_exploding_model_exits_with_1_and_names_the_rule(capsys):
    assert main(["models.py:exploding"]) == 1
    assert "IC102 forward-gain" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("factory", "fail_on", "code"),
    [
        ("exploding", "never", 0),
        ("drifting", "error", 0),
        ("drifting", "warning", 1),
        ("healthy", "warning", 0),
    ],
)
def test_fail_on_sets_the_severity_that_counts(factory, fail_on, code):
    assert main([f"models.py:{factory}", "--fail-on", fail_on]) == code


def test_ignored_rules_do_not_count():
    assert main(["models.py:exploding", "--ignore", "ic102,backward-gain"]) == 0
    assert main(["models.py:exploding", "--select", "IC402"]) == 0


def test_json_on_standard_output_is_alone_there(capsys):
    assert main(["models.py:exploding", "--json", "-", "--log-dir", "logs"]) == 1
    output = capsys.readouterr()
    assert "IC102" in {finding["code"] for finding in json.loads(output.out)["findings"]}
    assert output.err == "For TensorBoard: tensorboard --logdir logs\n"


def test_notes_are_printed_in_full_if_asked_for(capsys):
    main(["models.py:exploding", "--width", "100"])
    assert "· IC104 layer-ratio" not in capsys.readouterr().out
    main(["models.py:exploding", "--width", "100", "--verbose"])
    printed = capsys.readouterr().out
    assert "· IC104 layer-ratio" in printed
    assert "    details: Root mean square: " in printed


def test_json_file_holds_the_report_and_the_table_is_printed_too(capsys):
    main(["models.py:small", "--json", "report.json"])
    assert json.loads(Path("report.json").read_text())["profile"]["model"] == "small"
    assert "healthy" in capsys.readouterr().out


def test_log_dir_receives_events_and_one_line_says_how_to_open_them(capsys):
    main(["models.py:small", "--log-dir", "my logs"])
    assert list(Path("my logs/initcheck").glob("*tfevents*"))
    assert capsys.readouterr().out.endswith("\nFor TensorBoard: tensorboard --logdir 'my logs'\n")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_model_file_is_opened(suffix, capsys):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="only")], name="saved")
    model.save(f"model{suffix}")
    capsys.readouterr()
    assert main([f"model{suffix}"]) == 0
    assert "saved: healthy" in capsys.readouterr().out


def test_module_of_the_current_directory_is_importable(capsys):
    Path("models.py").rename("models_of_a_module.py")
    assert main(["models_of_a_module:small"]) == 0


def test_target_may_be_a_model_and_a_dotted_attribute():
    assert main(["models.py:Zoo.model"]) == 0


def test_applications_are_built_without_weights(monkeypatch):
    received = []

    def application(weights="imagenet"):
        received.append(weights)
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])

    monkeypatch.setattr(application, "__module__", "keras.src.applications.tiny")
    monkeypatch.setattr(keras.applications, "Tiny", application, raising=False)
    main(["keras.applications:Tiny"])
    assert received == [None]


@pytest.mark.parametrize("data", ["data.npz", "models.py:labelled"])
def test_data_with_labels_gives_the_loss(data, capsys):
    np.savez("data.npz", x=np.ones((8, 4), "float32"), y=np.arange(8) % 3, sample_weight=np.ones(8))
    main(["models.py:small", data, "--json", "-"])
    profile = json.loads(capsys.readouterr().out)["profile"]
    assert profile["batch_size"] == 8
    assert profile["loss"] > 0


def test_batch_size_takes_the_first_rows_of_a_npy_file(capsys):
    np.save("inputs.npy", np.ones((50, 4)))
    main(["models.py:small", "inputs.npy", "--batch-size", "5", "--json", "-"])
    assert json.loads(capsys.readouterr().out)["profile"]["batch_size"] == 5


@pytest.mark.parametrize("keys", [("x1", "x2"), ("left", "right")], ids=["numbered", "named"])
def test_npz_feeds_a_model_with_two_inputs(keys):
    left, right = keras.Input((3,), name="left"), keras.Input((5,), name="right")
    joined = keras.layers.Concatenate()([left, right])
    keras.Model([left, right], keras.layers.Dense(4)(joined)).save("two.keras")
    np.savez("two.npz", **{keys[0]: np.ones((6, 3)), keys[1]: np.ones((6, 5))})
    assert main(["two.keras", "two.npz"]) == 0


def test_code_that_model_and_data_both_name_is_run_once():
    Path("models.py").write_text(
        MODELS + "\nwith open('runs', 'a') as file:\n    file.write('x')\n"
    )
    main(["models.py:small", "models.py:labelled"])
    assert Path("runs").read_text() == "x"


def test_file_named_like_an_installed_module_does_not_replace_it():
    Path("models.py").rename("json.py")
    main(["json.py:small"])
    assert sys.modules["json"] is json


def test_same_seed_gives_the_same_numbers(capsys):
    reports = []
    for seed in ("1", "1", "2"):
        main(["models.py:Zoo.model", "--seed", seed, "--json", "-"])
        reports.append(json.loads(capsys.readouterr().out)["profile"]["inputs"])
    assert reports[0] == reports[1] != reports[2]


def test_trial_is_made_on_request(capsys):
    options = ["--width", "90", "--fail-on", "never", "--trial", "3"]
    assert main(["models.py:small", "models.py:labelled", *options]) == 0
    assert "Trial of 3 steps: Undecided: a verdict takes 10 steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--trial", "3"], "--trial must come with DATA"),
        (["models.py:labelled", "--trial", "0"], "--trial"),
    ],
)
def test_trial_that_cannot_be_made_is_refused(capsys, arguments, words):
    assert main(["models.py:small", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_spectrum_of_the_jacobian_is_printed_on_request(capsys):
    assert main(["models.py:small", "--width", "80", "--spectrum"]) == 0
    assert "Singular values from inputs to outputs" in capsys.readouterr().out
    assert main(["models.py:small", "--width", "80"]) == 0
    assert "Singular values" not in capsys.readouterr().out
    assert main(["models.py:small", "--spectrum", "--repair", "--dry-run"]) == 2
    assert "Received: --spectrum with --repair" in capsys.readouterr().err


def test_first_step_can_be_left_out(capsys):
    for option, is_there in (([], True), (["--no-first-step"], False)):
        main(["models.py:small", "models.py:labelled", *option, "--json", "-"])
        profile = json.loads(capsys.readouterr().out)["profile"]
        assert (profile["first_step"] is not None) == is_there


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.slug)
def test_every_rule_is_explained_by_code_and_by_slug(rule, capsys):
    assert main(["--explain", rule.code.lower()]) == 0
    by_code = capsys.readouterr().out
    assert main(["--explain", rule.slug]) == 0
    assert capsys.readouterr().out == by_code
    assert by_code.startswith(f"{rule.code} {rule.slug}")


def test_every_rule_is_listed_on_a_line(capsys):
    assert main(["--list-rules"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [rule.code for rule in RULES]


def test_schema_of_a_report_is_printed_as_json(capsys):
    assert main(["--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["--explain", "IC102"],
        ["--list-rules"],
        ["--list-thresholds"],
        ["--schema"],
    ],
    ids=lambda a: a[0],
)
def test_what_needs_no_model_imports_neither_keras_nor_a_framework(arguments):
    script = (
        "import atexit, sys\natexit.register(lambda: print('HEAVY', sorted({'keras',"
        " 'tensorflow', 'jax', 'torch', 'sklearn'} & set(sys.modules))))\nsys.argv ="
        f" ['initcheck', *{arguments!r}]\nfrom keras_initcheck.cli import main\nsys.exit(main())\n"
    )
    result = command("-c", script)
    assert result.stdout.endswith("HEAVY []\n"), result
    assert result.returncode == 0


def test_help_fits_80_columns_and_tells_the_exit_status():
    result = command("-m", "keras_initcheck", "--help")
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "exit status" in result.stdout
    assert result.stderr == ""


def test_process_prints_nothing_but_the_report():
    result = command("-m", "keras_initcheck", "models.py:exploding")
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout.startswith("network: 6 weight layers")


def test_closed_pipe_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    root = str(Path(__file__).parents[2])
    result = subprocess.run(
        [sys.executable, "-m", "keras_initcheck", "--list-rules"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (result.returncode, result.stderr) == (141, b"")


def test_interrupt_ends_without_a_traceback(capsys):
    Path("models.py").write_text("def stop():\n    raise KeyboardInterrupt\n")
    assert main(["models.py:stop"]) == 130
    assert capsys.readouterr() == ("", "")


def test_html_is_written_beside_the_printed_report(capsys):
    assert main(["models.py:exploding", "--html", "report.html"]) == 1
    assert "IC102 forward-gain" in capsys.readouterr().out
    page = Path("report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "IC102" in page


def test_reports_are_compared_on_the_terminal_and_as_a_page(capsys):
    for name in ("healthy", "exploding"):
        main([f"models.py:{name}", "--json", f"{name}.json"])
    capsys.readouterr()
    assert main(["--compare", "healthy.json", "exploding.json", "--html", "compared.html"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["probe", "healthy", "exploding"]
    assert "Comparison of 2 probes" in Path("compared.html").read_text(encoding="utf-8")


def test_comparison_needs_no_keras():
    for name in ("a", "b"):
        main(["models.py:small", "--json", f"{name}.json"])
    code = (
        "import sys; from keras_initcheck.cli import main; main(['--compare', 'a.json', 'b.json']);"
        " print('keras' in sys.modules)"
    )
    assert command("-c", code).stdout.splitlines()[-1] == "False"
