"""A frame is the same whether it comes from a live report or out of an event log."""

import dataclasses
import json
import math
import zlib

import numpy as np
import pytest

from keras_initcheck.outputs.events import EventLog
from keras_initcheck.outputs.frame import Frame
from keras_initcheck.outputs.site_statistics import describe, hash_sites, measure
from keras_initcheck.profile import Places


def read_back(report, read, log_dir):
    with EventLog(log_dir) as log:
        log.write(report, 7)
    reader = read(log_dir)
    tag = f"initcheck/probe/{hash_sites(report.profile)}"
    tensors = reader.tensors("initcheck", "initcheck")
    findings = json.loads(zlib.decompress(tensors["initcheck/probe_findings"][7].item()))
    return Frame.from_log(reader.descriptions("initcheck")[tag], tensors[tag][7], findings, step=7, run="before")


def test_frame_out_of_a_log_is_that_of_the_report(full_report, read, tmp_path):
    live, logged = Frame.from_report(full_report, run="before"), read_back(full_report, read, tmp_path)
    for field in dataclasses.fields(Frame):
        if field.name not in ("matrix", "histograms"):  # histograms have series of their own in a log
            assert getattr(live, field.name) == getattr(logged, field.name), field.name
    np.testing.assert_allclose(logged.matrix, live.matrix, rtol=1e-6)


def test_column_has_a_number_for_each_site(make):
    sites = [make.site(0, "a", q=100.0), make.other(1, "b", "Dropout", "pass")]
    frame = Frame.from_report(make.report(sites))
    assert frame.column("log10_second_moment_x").tolist()[0] == 2.0
    assert math.isnan(frame.column("log10_second_moment_x")[1])


def test_column_that_the_log_lacks_is_nan(make):
    frame = Frame.from_report(make.report(num_sites=3))
    assert np.isnan(frame.column("of_a_later_version")).tolist() == [True] * 3


def test_first_measured_falls_back_to_the_loss_gradient(make):
    places = Places(x=make.moments(1.0), h=make.moments(1000.0))
    names = ("log10_random_gradient_second_moment_h", "log10_loss_gradient_second_moment_h")
    site = make.site(0, "a", random_gradients=None, loss_gradients=places)
    assert Frame.from_report(make.report([site])).first_measured(*names).tolist() == [3.0]
    assert np.isnan(Frame.from_report(make.report([make.other(0, "b", "Dropout", "pass")])).first_measured(*names)).all()


def test_findings_at_a_site_are_those_that_point_at_it(make):
    found = [make.finding("b", severity="warning"), make.finding("c", severity="info", culprits=("b",))]
    frame = Frame.from_report(make.report([make.site(index, name) for index, name in enumerate("abc")], found))
    assert [len(frame.findings_at(index)) for index in range(3)] == [0, 2, 1]
    assert [frame.severity_at(index) for index in range(3)] == [None, "warning", "info"]


def test_network_without_sites_is_an_empty_frame(make):
    frame = Frame.from_report(make.report(num_sites=0))
    assert len(frame) == 0
    assert frame.column("log10_second_moment_h").shape == (0,)


@pytest.mark.parametrize(
    ("changes", "matrix", "expected"),
    [
        ({"version": 99}, None, r"must be of version \d+. Received: version 99."),
        ({}, np.zeros((1, 2)), r"must have the shape \(3, \d+\) of its description. Received: \(1, 2\)."),
    ],
    ids=["newer version", "another shape"],
)
def test_log_that_cannot_be_read_is_an_error(make, changes, matrix, expected):
    profile = make.report(num_sites=3).profile
    description = {**json.loads(describe(profile)), **changes}
    with pytest.raises(ValueError, match=expected):
        Frame.from_log(description, measure(profile) if matrix is None else matrix, {"verdict": "", "ok": True, "findings": []})


def test_finding_of_another_version_is_an_error(make):
    profile = make.report(num_sites=1).profile
    findings = {"verdict": "", "ok": True, "findings": [{"code": "IC102"}]}
    with pytest.raises(ValueError, match=r"`findings\[0\]` must be an object with exactly the keys"):
        Frame.from_log(json.loads(describe(profile)), measure(profile), findings)
