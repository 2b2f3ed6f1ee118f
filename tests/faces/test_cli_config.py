"""What the command is told by options, and by a section of the configuration file of the directory
that it runs in.
"""

import importlib
import json
import sys
from pathlib import Path

import pytest

from keras_initcheck.cli import main
from keras_initcheck.rules.thresholds import MEANINGS

MODELS = """
import keras

# The mean square grows by e^1.5 a layer: e^9 forward and e^7.5 back to the first, both warnings
# with SGD.
def drifting():
    def dense(number):
        std = (2 * 2.718281828**1.5 / 64) ** 0.5
        normal = keras.initializers.RandomNormal(0.0, std, seed=number)
        return keras.layers.Dense(64, "relu", kernel_initializer=normal, name=f"dense_{number}")

    body = keras.Sequential([keras.Input((64,)), *map(dense, range(6))], name="body")
    head = keras.layers.Dense(3, name="head")
    return keras.Sequential([keras.Input((64,)), body, head], name="drifting")
"""
DRIFTING = "models.py:drifting"


@pytest.fixture(autouse=True)
def workplace(make_workplace):
    make_workplace(MODELS)


@pytest.fixture
def report_of(capsys):
    """Runs the command; gives the report that it prints as JSON, and its exit status."""

    def run(*arguments):
        capsys.readouterr()
        code = main([DRIFTING, "--json", "-", *arguments])
        return json.loads(capsys.readouterr().out), code

    return run


@pytest.fixture
def error_of(capsys):
    """Runs the command, which must fail with one line on stderr and nothing else; gives the
    line.
    """

    def run(*arguments):
        code = main([*arguments] or [DRIFTING])
        output = capsys.readouterr()
        assert (code, output.out, output.err.count("\n")) == (2, "", 1), output
        return output.err.removeprefix("initcheck: error: ")

    return run


def codes(report):
    return {finding["code"] for finding in report["findings"]}


def setup_cfg(*lines):
    Path("setup.cfg").write_text(
        "\n".join(["[metadata]", "name = project", "[keras_initcheck]", *lines])
    )


def pyproject(*lines):
    Path("pyproject.toml").write_text(
        "\n".join(["[project]", 'name = "project"', "[tool.keras_initcheck]", *lines])
    )


def test_threshold_on_the_command_line_is_judged_by(report_of):
    assert (
        codes(
            report_of("--threshold", "sgd_gain_warning=10", "--threshold", "layer_ratio_factor=5")[
                0
            ]
        )
        == set()
    )


def test_exempt_layers_on_the_command_line_are_left_alone(report_of):
    report, _ = report_of("--exempt", "body/*=IC102", "--exempt", "body/*=IC103")
    assert codes(report) == {"IC104"}
    assert report["num_exempted"] == 2


def test_thresholds_are_listed_with_default_and_meaning(capsys):
    assert main(["--list-thresholds"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.partition("=")[0] for line in lines if not line.startswith(" ")] == list(MEANINGS)
    assert lines[0] == "sgd_gain_warning=6"


CFG = """
ignore = IC103,
    layer-ratio
fail_on = warning
batch_size = 5
seed = 7
thresholds =
    # a comment
    sgd_gain_warning = 4
    sgd_gain_error = 5
exempt =
    hea? = IC102
    nothing/* = *
"""
TOML = """
ignore = ["IC103", "layer-ratio"]
fail_on = "warning"
batch_size = 5
seed = 7
thresholds = {sgd_gain_warning = 4, sgd_gain_error = 5.0}
[tool.keras_initcheck.exempt]
"hea?" = "IC102"
"nothing/*" = ["*"]
"""


@pytest.mark.parametrize(
    ("write", "text"), [(setup_cfg, CFG), (pyproject, TOML)], ids=["setup.cfg", "pyproject.toml"]
)
def test_every_key_of_a_file_has_its_effect(report_of, write, text):
    write(*text.splitlines())
    report, code = report_of()
    assert [(finding["code"], finding["severity"]) for finding in report["findings"]] == [
        ("IC102", "error")
    ]
    assert report["findings"][0]["expected"].startswith("at most 7.4 times")
    assert (report["profile"]["batch_size"], report["profile"]["seed"], code) == (5, 7, 1)


def test_exemption_of_a_file_counts(report_of):
    setup_cfg("exempt = body/* = IC102, IC103")
    report, _ = report_of()
    assert (codes(report), report["num_exempted"]) == ({"IC104"}, 2)


@pytest.mark.parametrize("write", [setup_cfg, pyproject], ids=["setup.cfg", "pyproject.toml"])
def test_no_config_leaves_the_file_unread(report_of, write):
    write("nonsense = 1")
    assert report_of("--no-config")[1] == 0


@pytest.mark.parametrize(
    ("fail_on", "code"), [(None, 1), ("never", 0), ("error", 0), ("warning", 1)]
)
def test_command_line_wins(report_of, fail_on, code):
    setup_cfg("fail_on = warning")
    assert report_of(*([] if fail_on is None else ["--fail-on", fail_on]))[1] == code


def test_rules_on_the_command_line_replace_those_of_the_file(report_of):
    setup_cfg("select = IC104", "ignore = IC102")
    assert codes(report_of("--select", "IC102,IC103")[0]) == {"IC103"}
    assert codes(report_of("--select", "IC102,IC103", "--ignore", "")[0]) == {"IC102", "IC103"}


def test_thresholds_and_exemptions_are_merged_by_name(report_of):
    setup_cfg(
        "thresholds =",
        "  sgd_gain_warning = 1",
        "  layer_ratio_factor = 5",
        "exempt = body/* = IC102",
    )
    report, _ = report_of("--threshold", "sgd_gain_warning=8", "--exempt", "head=*")
    assert codes(report) == set()
    assert codes(
        report_of("--threshold", "layer_ratio_factor=1.5", "--exempt", "body/*=IC103")[0]
    ) == {"IC102", "IC104"}


def test_command_line_may_lift_a_warning_below_the_error_of_the_file(report_of):
    setup_cfg("thresholds = sgd_gain_error = 30")
    assert codes(report_of("--threshold", "sgd_gain_warning=25", "--ignore", "IC104")[0]) == set()


@pytest.mark.parametrize(
    "text",
    [
        "[metadata\nbroken",
        "[metadata]\nname = [nothing]",
        "[DEFAULT]\nname = x\n[keras_initcheck]\n",
        "# [keras_initcheck]",
    ],
    ids=["broken elsewhere", "no section", "defaults", "comment"],
)
def test_file_without_settings_is_nothing_to_speak_of(report_of, text):
    Path("setup.cfg").write_text(text)
    Path("pyproject.toml").write_text('[project]\ndependencies = ["keras_initcheck"]')
    assert report_of()[1] == 0


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "fail-on = warning",
            (
                "setup.cfg: the section's keys must be among select, ignore, fail_on, batch_size,"
                " seed, thresholds, exempt."
            ),
        ),
        (
            "fail_on = info",
            "setup.cfg: fail_on must be one of never, warning, error. Received: 'info'.",
        ),
        ("batch_size = 0", "setup.cfg: batch_size must be an integer, 1 or more. Received: '0'."),
        ("seed = -1", "setup.cfg: seed must be an integer, 0 or more. Received: '-1'."),
        (
            "select = IC102, IC999",
            "setup.cfg: select must name rules by code or slug. Received: 'IC999'.",
        ),
        ("ignore = IC999", "setup.cfg: ignore must name rules by code or slug. Received: 'IC999'."),
        (
            "thresholds = nope",
            (
                "setup.cfg: thresholds must be NAME=NUMBER, such as sgd_gain_warning=8. Received:"
                " 'nope'."
            ),
        ),
        (
            "thresholds = nope = 1",
            (
                "setup.cfg: thresholds must name known thresholds. Received: 'nope'. Choose from:"
                " sgd_gain_warning, "
            ),
        ),
        (
            "thresholds = culprit_share = 2",
            "setup.cfg: thresholds must give culprit_share a number from 0.01 to 1.",
        ),
        (
            "exempt = head",
            (
                "setup.cfg: exempt must be PATTERN=CODES, such as backbone/*=IC102,IC103 or head=*."
                " Received: 'head'."
            ),
        ),
        ("exempt = head =", "setup.cfg: exempt must be PATTERN=CODES"),
        (
            "exempt = head = IC999",
            "setup.cfg: exempt must name rules by code or slug. Received: 'IC999'.",
        ),
        ("seed = 1\nseed = 2", "setup.cfg must be readable. Received: "),
    ],
)
def test_wrong_line_of_setup_cfg_is_one_line_with_file_and_key(error_of, line, expected):
    setup_cfg(line)
    assert error_of().startswith(expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("nonsense = 1", "pyproject.toml: the section's keys must be among select, "),
        (
            "batch_size = true",
            "pyproject.toml: batch_size must be an integer, 1 or more. Received: True.",
        ),
        ("batch_size = 2.5", "pyproject.toml: batch_size must be an integer"),
        ('seed = "7"', "pyproject.toml: seed must be an integer, 0 or more. Received: '7'."),
        ("fail_on = 1", "pyproject.toml: fail_on must be one of never, warning, error."),
        ("ignore = [1]", "pyproject.toml: ignore must be a list of codes or slugs, such as "),
        (
            'select = ["IC999"]',
            "pyproject.toml: select must name rules by code or slug. Received: 'IC999'.",
        ),
        (
            "thresholds = {culprit_share = nan}",
            "pyproject.toml: thresholds must give culprit_share a number from 0.01 to 1.",
        ),
        ("thresholds = 8", "pyproject.toml: thresholds must be a table NAME = NUMBER, such as "),
        ("thresholds = {culprit_share = true}", "pyproject.toml: thresholds must be a table"),
        ("exempt = 3", "pyproject.toml: exempt must be a table PATTERN = CODES, such as "),
        ('exempt = {"head" = []}', "pyproject.toml: exempt must be a table PATTERN = CODES"),
        ("seed =", "pyproject.toml must be readable. Received: "),
    ],
)
def test_wrong_line_of_pyproject_is_one_line_with_file_and_key(error_of, line, expected):
    pyproject(line)
    assert error_of().startswith(expected)


def test_section_that_is_no_table_is_refused(error_of):
    Path("pyproject.toml").write_text("tool.keras_initcheck = 3")
    assert error_of().startswith(
        "pyproject.toml: tool.keras_initcheck must be a table. Received: 3."
    )


def test_sections_in_both_files_are_refused(error_of):
    setup_cfg("seed = 1")
    pyproject("seed = 1")
    assert error_of().startswith(
        "Settings must be in one file. Received: sections in setup.cfg and pyproject.toml."
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--threshold", "sgd_gain_warning"], "argument --threshold: must be NAME=NUMBER"),
        (
            ["--threshold", "nope=1"],
            (
                "--threshold must name known thresholds. Received: 'nope'. Choose from:"
                " sgd_gain_warning, sgd_gain_error,"
            ),
        ),
        (
            ["--threshold", "sgd_gain_warning=13"],
            "--threshold must keep sgd_gain_warning at or below sgd_gain_error.",
        ),
        (["--exempt", "head"], "argument --exempt: must be PATTERN=CODES"),
        (
            ["--exempt", "head=IC999"],
            "--exempt must name rules by code or slug. Received: 'IC999'.",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_option_that_makes_no_sense_is_named(error_of, arguments, expected):
    assert error_of("a.keras", *arguments).startswith(expected)


def test_library_does_not_read_the_file(monkeypatch):
    import keras_initcheck as ic

    setup_cfg("nonsense = 1", "ignore = IC102")
    monkeypatch.syspath_prepend(".")
    report = ic.check(importlib.import_module("models").drifting())
    monkeypatch.delitem(sys.modules, "models")
    assert "IC102" in {finding.code for finding in report.findings}
