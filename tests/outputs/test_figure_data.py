"""A frame is the same whether it comes from a live report or out of an event log."""

import dataclasses
import json
import math
import re
import zlib
from pathlib import Path

import numpy as np
import pytest

from keras_initcheck.outputs.events import EventLog
from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.json_values import encode
from keras_initcheck.outputs.log_reading import read_description, read_judgement
from keras_initcheck.outputs.logged import Judgement
from keras_initcheck.outputs.site_statistics import describe, hash_sites, measure
from keras_initcheck.records.statistics import Places


def read_back(report, read, log_dir):
    with EventLog(log_dir) as log:
        log.write(report, 7)
    reader = read(log_dir)
    tag = f"initcheck/probe/{hash_sites(report.profile.structure)}"
    tensors = reader.tensors("initcheck", "initcheck")
    findings = json.loads(zlib.decompress(tensors["initcheck/probe_findings"][7].item(1)))
    description = read_description(reader.descriptions("initcheck")[tag])
    return FigureData.from_log(
        description, tensors[tag][7], read_judgement(findings), step=7, run="before"
    )


def test_frame_out_of_a_log_is_that_of_the_report(full_report, read, tmp_path):
    live, logged = (
        FigureData.from_report(full_report, run="before"),
        read_back(full_report, read, tmp_path),
    )
    for field in dataclasses.fields(FigureData):
        if field.name not in (
            "matrix",
            "histograms",
        ):  # histograms have series of their own in a log
            assert getattr(live, field.name) == getattr(logged, field.name), field.name
    np.testing.assert_allclose(logged.matrix, live.matrix, rtol=1e-6)


def test_column_has_a_number_for_each_site(make):
    sites = [make.site(0, "a", q=100.0), make.other(1, "b", "Dropout", "pass")]
    frame = FigureData.from_report(make.report(sites))
    assert frame.column("log10_second_moment_x").tolist()[0] == 2.0
    assert math.isnan(frame.column("log10_second_moment_x")[1])


def test_column_that_the_log_lacks_is_nan(make):
    frame = FigureData.from_report(make.report(num_sites=3))
    assert np.isnan(frame.column("of_a_later_version")).tolist() == [True] * 3


def test_first_measured_falls_back_to_the_loss_gradient(make):
    """It is the logarithm of a root mean square, as all that is shown."""
    places = Places(x=make.moments(1.0), h=make.moments(1000.0))
    names = ("log10_random_gradient_second_moment_h", "log10_loss_gradient_second_moment_h")
    site = make.site(0, "a", random_gradients=None, loss_gradients=places)
    assert FigureData.from_report(make.report([site])).first_measured(*names).tolist() == [1.5]
    assert np.isnan(
        FigureData.from_report(make.report([make.other(0, "b", "Dropout", "pass")])).first_measured(
            *names
        )
    ).all()


def test_findings_at_a_site_are_those_that_point_at_it(make):
    found = [
        make.finding("b", severity="warning"),
        make.finding("c", severity="info", culprits=("b",)),
    ]
    frame = FigureData.from_report(
        make.report([make.site(index, name) for index, name in enumerate("abc")], found)
    )
    assert [len(frame.findings_at(index)) for index in range(3)] == [0, 2, 1]
    assert [frame.severity_at(index) for index in range(3)] == [None, "warning", "info"]


def test_network_without_sites_is_an_empty_frame(make):
    frame = FigureData.from_report(make.report(num_sites=0))
    assert len(frame) == 0
    assert frame.column("log10_second_moment_h").shape == (0,)


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros((1, 2)),
        np.zeros(28),
        np.float64(1),
        np.array([b"text"]),
        "like complex",
        "like text",
    ],
    ids=lambda each: str(each)[:12],
)
def test_matrix_of_another_shape_or_kind_is_an_error(make, matrix):
    profile = make.report(num_sites=3).profile
    if isinstance(matrix, str):
        matrix = measure(profile).astype(matrix.removeprefix("like ").replace("text", "U"))
    with pytest.raises(
        ValueError,
        match=r"`matrix` must have the shape \(3, \d+\) of its description, and floats. Received: ",
    ):
        FigureData.from_log(describe(profile), matrix, Judgement(True, "", 0, ()))


@pytest.mark.parametrize("version", [99, None, True, [[[]]]], ids=repr)
def test_description_of_another_version_is_an_error(make, version):
    description = {**encode(describe(make.report().profile)), "version": version}
    with pytest.raises(
        ValueError,
        match=re.escape(
            f"must be of version 1 to 2. Received: version {version!r}. Upgrade keras_initcheck"
        ),
    ):
        read_description(description)


def test_log_of_version_1_is_read_and_predicts_nothing():
    """The documents are those that version 1 wrote for three layers, the first of them dead."""
    log = json.loads((Path(__file__).parent / "log_of_version_1.json").read_text())
    matrix = np.array(log["matrix"], np.float64)  # reads "-Infinity", and `None` as nan
    frame = FigureData.from_log(
        read_description(log["description"]), matrix, read_judgement(log["judgement"])
    )
    assert frame.sites.names == ("dense", "dropout", "dense_1")
    assert frame.sites.unpredicted == (None, None, None)
    assert frame.column("share_zero_h").tolist() == [1.0, 1.0, 1.0]
    assert frame.column("log10_second_moment_x").tolist() == pytest.approx(
        [0.0, math.nan, -math.inf], nan_ok=True
    )
    assert np.isnan(frame.column("log10_predicted_second_moment_h")).all()
    assert [finding.code for finding in frame.findings_at(0)] == ["IC106"]


@pytest.mark.parametrize("sites", [None, {}, {"names": 3}], ids=repr)
def test_broken_log_of_version_1_is_an_error(make, sites):
    document = {**encode(describe(make.report().profile)), "version": 1, "sites": sites}
    with pytest.raises(
        ValueError, match=r"wrote this log, or something else\. `description\.sites"
    ):
        read_description(document)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kinds": None}, "`description.sites.kinds` must be a list"),
        (
            {"kinds": ["weight", "magic", "pass"]},
            "`description.sites.kinds[1]` must be one of weight, activation",
        ),
        ({"names": [1, 2, 3]}, "`description.sites.names[0]` must be str"),
        (
            {"layers": ["a"]},
            (
                "`description.sites.layers` must be a list with an entry for each of the 3 sites."
                " Received: '1 entries'"
            ),
        ),
        (
            {"inputs": [[], [7], []]},
            "`description.sites.inputs[1]` must be indices of earlier sites, 0 to 0",
        ),
        (
            {"output_shapes": [[-1], None, None]},
            "`description.sites.output_shapes` must be a list of shapes",
        ),
        (
            {"num_parameters": [-1, 0, 0]},
            "`description.sites.num_parameters` must be a list of numbers that are 0 or more",
        ),
    ],
)
def test_description_of_another_shape_is_an_error(make, changes, expected):
    description = json.loads(json.dumps(encode(describe(make.report(num_sites=3).profile))))
    description["sites"].update(changes)
    with pytest.raises(
        ValueError,
        match=(
            "Another version of keras_initcheck wrote this log, or something else."
            f" {re.escape(expected)}"
        ),
    ):
        read_description(description)


def test_finding_of_another_version_is_an_error():
    findings = {"verdict": "", "ok": True, "num_findings": 1, "findings": [{"code": "IC102"}]}
    with pytest.raises(
        ValueError, match=r"`judgement\.findings\[0\]` must be an object with exactly the keys"
    ):
        read_judgement(findings)
