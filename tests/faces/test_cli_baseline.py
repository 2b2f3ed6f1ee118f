"""`initcheck MODEL --baseline report.json`: only what is new counts."""

import json
from pathlib import Path

import pytest

from keras_initcheck.cli import main

MODELS = """
import keras

def network(name, *stds, constant=False):
    normal = keras.initializers.RandomNormal
    kernels = [normal(0.0, std, seed=number) for number, std in enumerate(stds)]
    kernels[-1] = keras.initializers.Constant(0.1) if constant else kernels[-1]
    layers = [
        keras.layers.Dense(64, "relu", kernel_initializer=kernel, name=f"dense_{number}")
        for number, kernel in enumerate(kernels)
    ]
    head = keras.layers.Dense(3, name="head")
    return keras.Sequential([keras.Input((64,)), *layers, head], name=name)

HE = (2 / 64) ** 0.5

def healthy():
    return network("net", HE, HE, HE)

def exploding():  # e^12.6 forward, e^6.9 and a warning backward
    return network("net", 300 ** 0.5 * HE, 1000 ** 0.5 * HE, HE)

def constant():
    return network("net", HE, HE, HE, constant=True)

def other():
    return network("other", HE)
"""


@pytest.fixture(autouse=True)
def workplace(make_workplace):
    make_workplace(MODELS)


@pytest.fixture
def compared(capsys):
    """Saves the report of one model and compares another with it; gives the exit status, and what
    is said of the difference.
    """

    def run(before, after, *arguments, options=()):
        main([f"models.py:{before}", "--json", "known.json", *options])
        capsys.readouterr()
        code = main([f"models.py:{after}", "--baseline", "known.json", *arguments])
        return (
            code,
            capsys.readouterr().out.partition("\nCompared with the baseline: ")[2].splitlines(),
        )

    return run


def test_known_findings_are_accepted(compared):
    assert main(["models.py:exploding"]) == 1
    assert compared("exploding", "exploding", "--fail-on", "warning") == (
        0,
        ["2 known findings accepted, 0 new, 0 gone."],
    )


def test_new_finding_fails_and_is_named(compared):
    code, lines = compared("healthy", "constant")
    assert code == 1
    assert lines == [
        "0 known findings accepted, 1 new, 0 gone.",
        "  new: error IC105 constant-kernel: dense_2",
    ]


def test_findings_that_are_gone_are_named(compared):
    code, lines = compared("exploding", "healthy")
    assert (code, lines[0]) == (0, "0 known findings accepted, 0 new, 2 gone.")
    assert "  gone: error IC102 forward-gain: dense_0 … dense_2" in lines


@pytest.mark.parametrize(("fail_on", "code"), [("never", 0), ("error", 0), ("warning", 1)])
def test_new_findings_count_from_the_least_severity_on(compared, fail_on, code):
    lifted = ("--threshold", "sgd_gain_error=20")
    assert compared("healthy", "exploding", "--fail-on", fail_on, *lifted)[0] == code


def test_known_finding_that_got_worse_is_new(compared):
    code, lines = compared("exploding", "exploding", options=("--threshold", "sgd_gain_error=20"))
    assert code == 1
    assert lines[0] == "1 known finding accepted, 1 new, 0 gone."


def test_rules_that_were_not_asked_for_are_not_gone(compared):
    assert compared("constant", "healthy", "--ignore", "IC105")[1] == [
        "0 known findings accepted, 0 new, 0 gone."
    ]
    assert compared("constant", "healthy", "--exempt", "dense_*=*")[1] == [
        "0 known findings accepted, 0 new, 0 gone."
    ]


def test_json_on_standard_output_stays_alone_there(compared, capsys):
    compared("exploding", "exploding")
    assert main(["models.py:exploding", "--baseline", "known.json", "--json", "-"]) == 0
    output = capsys.readouterr()
    assert "IC102" in {finding["code"] for finding in json.loads(output.out)["findings"]}
    assert "2 known findings accepted" in output.err


def test_baseline_may_be_replaced_in_one_go(compared):
    compared("healthy", "constant", "--json", "known.json")
    assert main(["models.py:constant", "--baseline", "known.json"]) == 0


@pytest.mark.parametrize(
    "content",
    [None, "", "{}", '{"format": "keras_initcheck.report", "version": 2}', "\udcff"],
)
def test_baseline_that_cannot_be_read_is_one_line(capsys, content):
    if content is not None:
        Path("known.json").write_bytes(content.encode(errors="surrogateescape"))
    assert main(["models.py:healthy", "--baseline", "known.json"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(
        "initcheck: error: --baseline must name a report that --json wrote. Received: 'known.json'."
    )
    assert output.err.count("\n") == 1


def test_baseline_of_another_model_is_one_line(capsys):
    main(["models.py:other", "--json", "known.json"])
    capsys.readouterr()
    assert main(["models.py:healthy", "--baseline", "known.json"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        "initcheck: error: --baseline must be a report on the model 'net'. Received: one on"
        " 'other'."
    )
    assert error.count("\n") == 1
