"""Reports compared with an earlier one: what is new, what is gone, and what only moved."""

from dataclasses import replace

import pytest

from keras_initcheck.records.finding import Finding
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import Report
from keras_initcheck.records.sites import SiteStats


def finding(site="dense", code="IC102", severity="warning", **changes):
    return Finding(
        code, "slug", severity, "message", "why", "fix", site=site, layer=site, **changes
    )


def report(*findings, model="net", sites=("dense",)):
    places = tuple(
        SiteStats(index, name, name, "Dense", "weight") for index, name in enumerate(sites)
    )
    return Report(Profile.of(model, places), findings)


@pytest.mark.parametrize(
    "change",
    [{"site": "other", "layer": "other"}, {"code": "IC103"}, {"severity": "error"}],
    ids=["other place", "other code", "worse"],
)
def test_finding_that_the_baseline_lacks_is_new(change):
    found = replace(finding(), **change)
    assert report(found).new_findings(report(finding())) == (found,)


@pytest.mark.parametrize(
    "change",
    [{}, {"measured": 7.0, "message": "moved"}, {"severity": "info"}],
    ids=["same", "other numbers", "less severe"],
)
def test_finding_that_the_baseline_has_is_known(change):
    assert report(replace(finding(), **change)).new_findings(report(finding())) == ()


def test_information_is_neither_new_nor_gone():
    information = report(finding(severity="info"))
    assert information.new_findings(report()) == ()
    assert report().resolved_findings(information) == ()


def test_information_that_became_a_warning_is_new():
    assert len(report(finding()).new_findings(report(finding(severity="info")))) == 1


def test_each_known_finding_covers_one():
    assert len(report(finding(), finding()).new_findings(report(finding()))) == 1
    assert len(report(finding()).resolved_findings(report(finding(), finding()))) == 1


def test_the_worst_is_compared_with_the_worst():
    worse = report(finding(severity="error"), finding(severity="info"))
    assert worse.new_findings(report(finding(), finding(severity="info"))) == worse.findings[:1]


def test_gain_is_known_by_any_of_its_culprits():
    before, after = finding("a", culprits=("a", "b")), finding("b", culprits=("b", "c"))
    assert report(after).new_findings(report(before)) == ()
    assert report(replace(after, culprits=("c",))).new_findings(report(before)) != ()


def test_finding_about_the_network_has_its_code_as_place():
    loss = finding(site=None, code="IC402", severity="error")
    assert report(loss).new_findings(report(loss)) == ()


@pytest.mark.parametrize(
    ("left", "count"), [([], 1), (["info"], 0), (["error"], 0)], ids=["none", "harmless", "worse"]
)
def test_gone_is_what_has_no_like(left, count):
    assert (
        len(report(*(finding(severity=each) for each in left)).resolved_findings(report(finding())))
        == count
    )


@pytest.mark.parametrize("method", ["new_findings", "resolved_findings"])
def test_baseline_of_another_model_is_refused(method):
    with pytest.raises(
        ValueError, match=r"must be a report on the model 'net'\. Received: one on 'other'"
    ):
        getattr(report(), method)(report(model="other", sites=("conv",)))


@pytest.mark.parametrize(
    "changes", [{"model": "net_1"}, {"sites": ("dense", "new")}], ids=["renamed", "edited"]
)
def test_model_may_be_renamed_or_edited(changes):
    assert report().new_findings(report(**changes)) == ()
