"""Which rows of the table a finding marks."""

import pytest

from keras_initcheck.outputs.severity_marks import Pointers, site_severities


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"site": "dense#2", "layer": None}, True),
        ({"site": None, "layer": "dense"}, True),
        ({"site": None, "layer": "other", "culprits": ("dense",)}, True),
        ({"site": "other", "layer": "other"}, False),
        ({"site": None, "layer": None}, False),
    ],
    ids=["site", "layer", "culprit", "another layer", "whole network"],
)
def test_finding_points_at_its_site_layer_and_culprits(make, changes, expected):
    pointing = make.finding(**changes)
    assert Pointers([pointing]).at("dense#2", "dense") == ((pointing,) if expected else ())


def test_site_has_the_worst_of_its_severities(make):
    found = [("a", "info"), ("a", "error"), ("a", "warning"), ("b", "info")]
    report = make.report(
        [make.site(index, name) for index, name in enumerate("abc")],
        [make.finding(name, severity=severity) for name, severity in found],
    )
    assert site_severities(report) == {0: "error", 1: "info"}
