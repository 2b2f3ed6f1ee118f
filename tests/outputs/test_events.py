"""Reports as TensorBoard runs, read back through both of TensorBoard's data providers."""

import json
import math
import os
import shutil
import subprocess
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest

from keras_initcheck.outputs.events import EventLog
from keras_initcheck.outputs.site_statistics import STATISTICS
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import Report
from keras_initcheck.records.statistics import Histogram, Places

UNKNOWN_DATA_CLASS = 0


def logged(directory, *steps_and_reports, **options):
    with EventLog(directory, **options) as log:
        for step, report in steps_and_reports:
            log.write(report, step)
    return directory


def matrix_tag(tensors, prefix):
    """The one tag of a matrix: its prefix and twelve digits for the list of sites."""
    (tag,) = (tag for tag in tensors if tag.startswith(f"{prefix}/"))
    assert len(bytes.fromhex(tag.removeprefix(f"{prefix}/"))) == 6
    return tag


@pytest.fixture
def values_of(events_of):
    """`values_of(directory)`: every value in the event files below it, as it was written."""
    return lambda directory: [
        value
        for path in sorted(directory.rglob("*tfevents*"))
        for event in events_of(path)
        for value in event.summary.value
    ]


def size_of(directory):
    return sum(path.stat().st_size for path in directory.rglob("*tfevents*"))


def test_nothing_is_created_before_the_first_write(tmp_path):
    with EventLog(tmp_path / "logs"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_runs_are_the_probes_and_their_curves_over_depth(tmp_path, make, read):
    logged(tmp_path / "deep" / "logs", (0, make.report()))
    assert read(tmp_path / "deep" / "logs").runs() == {"initcheck", "initcheck/by_depth"}


def test_summary_curves(tmp_path, make, read):
    sites = [make.site(0, "a", 0.01), make.site(1, "head", is_head=True)]
    findings = [make.finding(severity=severity) for severity in ("error", "warning", "info")]
    first = make.report(sites, findings, log10_forward_gain=0.5, log10_backward_gain=-0.25)
    second = make.report(sites, log10_forward_gain=1.5, log10_backward_gain=None)
    log = read(logged(tmp_path, (0, first), (10, second)))
    assert log.scalars("initcheck") == {
        "initcheck/log10_forward_gain": {0: 0.5, 10: 1.5},
        "initcheck/log10_backward_gain": {0: -0.25},
        "initcheck/worst_ratio": {0: 2.0, 10: 2.0},
        "initcheck/findings": {0: 2.0, 10: 0.0},
    }


def test_verdict_is_markdown(tmp_path, make, read):
    log = read(
        logged(tmp_path, (0, make.report(findings=[make.finding("plain0")])), (1, make.report()))
    )
    texts = log.tensors("initcheck", "text")["initcheck/verdict"]
    assert (
        texts[0]
        .item()
        .decode()
        .startswith(
            "**net&#58; error&#58; The signal grows 9.1-fold in plain0. Use he&#95;normal.**\n\n|"
        )
    )
    assert (
        texts[1].item().decode() == "**net&#58; healthy. No layer loses or blows up the signal.**"
    )


def test_verdict_is_written_again_when_something_else_is_found(tmp_path, make, read):
    same = [
        make.report(findings=[make.finding("plain0", message=message)])
        for message in ("It grows 9-fold.", "It grows 8-fold.")
    ]
    other = make.report(findings=[make.finding("plain0", severity="warning")])
    log = read(logged(tmp_path, *enumerate([*same, other, make.report(), make.report()])))
    assert list(log.tensors("initcheck", "text")["initcheck/verdict"]) == [0, 2, 3]


def test_histograms(tmp_path, make, read):
    histograms = (
        ("weight/dense\n", Histogram(0.0, 2.0, (3.0, 4.0))),
        ("weight/empty", Histogram(0.0, 0.0, ())),
    )
    log = read(logged(tmp_path, (4, make.report(histograms=histograms))))
    found = log.tensors("initcheck", "histograms")
    assert list(found) == ["initcheck weight/dense�"]
    assert found["initcheck weight/dense�"][4].tolist() == [[0.0, 1.0, 3.0], [1.0, 2.0, 4.0]]


def test_matrix_of_each_probe(tmp_path, make, read):
    reports = [
        make.report([make.site(0, "a", ratio), make.site(1, "b", ratio / 10)])
        for ratio in (1.0, 1e-4)
    ]
    found = read(logged(tmp_path, (0, reports[0]), (5, reports[1]))).tensors(
        "initcheck", "initcheck"
    )
    matrices = found[matrix_tag(found, "initcheck/probe")]
    column = list(STATISTICS).index("log10_forward_ratio")
    assert {step: matrix[:, column].tolist() for step, matrix in matrices.items()} == {
        0: [0.0, -1.0],
        5: [-4.0, -5.0],
    }
    assert {(matrix.shape, matrix.dtype.name) for matrix in matrices.values()} == {
        ((2, len(STATISTICS)), "float32")
    }


def test_matrix_is_described(tmp_path, make, read):
    log = read(logged(tmp_path, (0, make.report(num_sites=9)), (1, make.report(num_sites=9))))
    facts = log.descriptions("initcheck")
    matrices = [matrix_tag(facts, prefix) for prefix in ("initcheck/init", "initcheck/probe")]
    assert facts[matrices[0]] == facts[matrices[1]]
    assert facts[matrices[1]]["statistics"] == list(STATISTICS)
    assert facts[matrices[1]]["sites"]["names"] == [
        f"{name}{index}" for index, name in enumerate(make.nasty_names)
    ]


def test_first_probe_has_tags_of_its_own(tmp_path, make, read):
    found = read(logged(tmp_path, (3, make.report()), (4, make.report()))).tensors(
        "initcheck", "initcheck"
    )
    first, probes = (matrix_tag(found, f"initcheck/{kind}") for kind in ("init", "probe"))
    steps = {tag: sorted(series) for tag, series in found.items()}
    assert steps == {
        first: [3],
        "initcheck/init_findings": [3],
        probes: [3, 4],
        "initcheck/probe_findings": [3, 4],
    }
    np.testing.assert_array_equal(found[first][3], found[probes][3])


def test_findings_are_json(tmp_path, make, read):
    findings = [make.finding(name, measured=math.inf) for name in make.nasty_names]
    log = read(logged(tmp_path, (0, make.report(findings=findings)), max_findings=2))
    severity, packed = log.tensors("initcheck", "initcheck")["initcheck/probe_findings"][0].tolist()
    document = json.loads(zlib.decompress(packed))
    assert severity == b"error"
    assert log.descriptions("initcheck")["initcheck/probe_findings"] == {
        "version": 2,
        "content": "findings",
        "encoding": "zlib",
    }
    assert (document["ok"], document["num_findings"]) == (False, 9)
    assert [each["site"] for each in document["findings"]] == ["plain", "[red]markup[/red]"]
    assert document["findings"][0]["measured"] == "Infinity"


def test_changed_sites_get_a_tag_of_their_own(tmp_path, make, read):
    reports = [make.report([make.site(index, "a") for index in range(count)]) for count in (1, 2)]
    found = read(logged(tmp_path, (0, reports[0]), (1, reports[1]))).tensors(
        "initcheck", "initcheck"
    )
    probes = [series for tag, series in found.items() if tag.startswith("initcheck/probe/")]
    assert sorted((step, len(matrix)) for series in probes for step, matrix in series.items()) == [
        (0, 1),
        (1, 2),
    ]


def test_curves_over_depth_have_the_depth_as_step(tmp_path, make, read):
    places = [Places(h=make.moments(10.0**number)) for number in (1, 2, 3)]
    sites = [
        make.site(index, f"s{index}", 0.01, activations=place, random_gradients=place)
        for index, place in enumerate(places)
    ]
    sites = [replace(site, backward_ratio=10.0) for site in sites]
    sites.append(replace(make.other(3, "flatten", "Flatten", "pass"), activations=Places()))
    curves = read(logged(tmp_path, (0, make.report(sites)), (1, make.report(sites)))).scalars(
        "initcheck/by_depth"
    )
    assert curves == {
        "initcheck_by_depth/log10_activation_second_moment": {0: 1.0, 1: 2.0, 2: 3.0},
        "initcheck_by_depth/log10_gradient_second_moment": {0: 1.0, 1: 2.0, 2: 3.0},
        "initcheck_by_depth/log10_predicted_activation_second_moment": dict.fromkeys(range(3), 0.0),
        "initcheck_by_depth/log10_forward_ratio": dict.fromkeys(range(3), -2.0),
        "initcheck_by_depth/log10_predicted_forward_ratio": dict.fromkeys(range(3), 0.0),
        "initcheck_by_depth/log10_backward_ratio": dict.fromkeys(range(3), 1.0),
        "initcheck_by_depth/log10_predicted_backward_ratio": dict.fromkeys(range(3), 0.0),
    }


def test_gradient_over_depth_is_the_loss_s_where_it_is_the_only_one(tmp_path, make, read):
    site = make.site(0, "a", random_gradients=None, loss_gradients=Places(h=make.moments(0.01)))
    curves = read(logged(tmp_path, (0, make.report([site])))).scalars("initcheck/by_depth")
    assert curves["initcheck_by_depth/log10_gradient_second_moment"] == {0: -2.0}


@pytest.mark.parametrize("step", [5, 4, 0], ids=["same", "lower", "zero"])
def test_step_that_does_not_rise_begins_a_new_run(tmp_path, make, read, step):
    log = read(
        logged(
            tmp_path,
            (0, make.report()),
            (5, make.report()),
            (step, make.report()),
            (6, make.report()),
        )
    )
    assert log.runs() == {"initcheck", "initcheck/by_depth", "initcheck_2", "initcheck_2/by_depth"}
    assert sorted(log.scalars("initcheck")["initcheck/findings"]) == [0, 5]
    assert sorted(log.scalars("initcheck_2")["initcheck/findings"]) == [step, 6]
    found = log.tensors("initcheck_2", "initcheck")
    assert list(found[matrix_tag(found, "initcheck/init")]) == [step]


def test_run_may_begin_at_any_step(tmp_path, make, read):
    log = read(logged(tmp_path, (-1, make.report()), (100, make.report())))
    assert sorted(log.scalars("initcheck")["initcheck/findings"]) == [-1, 100]


def test_directory_that_exists_is_left_alone(tmp_path, make):
    (tmp_path / "initcheck").mkdir()
    (tmp_path / "initcheck_2").write_text("a file")
    with EventLog(tmp_path) as log:
        assert log.directory is None
        log.write(make.report(), 0)
        assert log.directory == tmp_path / "initcheck_3"
    assert log.directory is None
    assert list((tmp_path / "initcheck").iterdir()) == []


def test_two_logs_in_one_directory_are_two_runs(tmp_path, make):
    with EventLog(tmp_path) as first, EventLog(tmp_path) as second:
        first.write(make.report(), 0)
        second.write(make.report(), 0)
        first.write(make.report(), 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["initcheck", "initcheck_2"]


def test_write_after_close_begins_a_new_run(tmp_path, make):
    log = EventLog(tmp_path)
    for step in range(2):
        log.write(make.report(), step)
        log.close()
        log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["initcheck", "initcheck_2"]


def test_curves_per_layer_are_written_on_request(tmp_path, make, read):
    report = make.report([make.site(0, "block/dense", 0.01), make.other(1, "add", "Add", "merge")])
    log = read(logged(tmp_path, (0, report), per_layer_scalars=True))
    curves = {
        tag: points
        for tag, points in log.scalars("initcheck").items()
        if tag.startswith("initcheck ")
    }
    assert curves["initcheck log10_forward_ratio/000_block/dense"] == {0: -2.0}
    assert "initcheck share_zero_h/001_add" in curves
    assert "initcheck log10_forward_ratio/001_add" not in curves


def test_curves_per_layer_are_left_out_by_default(tmp_path, make, read):
    assert not any(
        "dense" in tag
        for tag in read(logged(tmp_path, (0, make.report([make.site(0, "dense")])))).scalars(
            "initcheck"
        )
    )


def test_nasty_names_have_a_curve_each(tmp_path, make, read):
    curves = read(logged(tmp_path, (0, make.report(num_sites=9)), per_layer_scalars=True)).scalars(
        "initcheck"
    )
    tags = sorted(
        tag.partition("/")[2] for tag in curves if tag.startswith("initcheck log10_forward_ratio/")
    )
    assert len(tags) == 9
    assert tags[1] == "001_[red]markup[/red]1"
    assert tags[4] == "004_escape�[31m��line�break4"


def test_metadata_are_written_once_per_tag(tmp_path, make, values_of):
    logged(
        tmp_path,
        *((step, make.report(findings=[make.finding("plain0")])) for step in range(3)),
        per_layer_scalars=True,
    )
    values = values_of(tmp_path / "initcheck")
    tags = {value.tag for value in values}
    assert sorted(value.tag for value in values if value.HasField("metadata")) == sorted(tags)
    assert len(values) > 2 * len(tags)


def test_every_tag_has_a_data_class(tmp_path, make, values_of):
    histograms = (("weight/dense", Histogram(0.0, 2.0, (3.0, 4.0))),)
    logged(tmp_path, (0, make.report(histograms=histograms)), per_layer_scalars=True)
    first = [value for value in values_of(tmp_path) if value.HasField("metadata")]
    assert {value.metadata.plugin_data.plugin_name for value in first} == {
        "initcheck",
        "scalars",
        "text",
        "histograms",
    }
    assert all(value.metadata.data_class != UNKNOWN_DATA_CLASS for value in first)


def test_probe_of_a_hundred_sites_is_as_large_as_its_matrix(tmp_path, make):
    sites = [
        make.site(index, f"stage_{index // 10}/block_{index % 10}/dense") for index in range(100)
    ]
    with EventLog(tmp_path) as log:
        log.write(make.report(sites), 0)
        first = size_of(tmp_path)
        log.write(make.report(sites), 1)
        later = size_of(tmp_path) - first
    # 100 sites × 29 statistics × 4 bytes; tags, verdict and summary are a few hundred bytes, names
    # and metadata are not repeated.
    assert 11_200 < later < 11_200 + 1_000
    # The matrix twice, 2 × 10 KB of description, and 100 events over depth of 8 curves with 60
    # bytes each.
    assert first < 100_000


def test_hundred_findings_are_small(tmp_path, make):
    sites = [
        make.site(index, f"stage_{index // 10}/block_{index % 10}/dense") for index in range(100)
    ]
    report = make.report(sites, [make.finding(site.name) for site in sites])
    with EventLog(tmp_path) as log:
        log.write(report, 0)
        first = size_of(tmp_path)
        log.write(report, 1)
        later = size_of(tmp_path) - first
    assert later < 13_600


def test_report_without_sites_is_logged(tmp_path, read):
    log = read(logged(tmp_path, (0, Report(Profile.of("empty", ()))), per_layer_scalars=True))
    assert log.scalars("initcheck") == {"initcheck/findings": {0: 0.0}}
    found = log.tensors("initcheck", "initcheck")
    assert found[matrix_tag(found, "initcheck/probe")][0].shape == (0, len(STATISTICS))


def test_nan_and_infinities_are_logged(tmp_path, make, read):
    dead = make.site(0, "dead", 0.0, activations=Places(h=make.moments(0.0)), backward_ratio=1e300)
    broken = make.site(
        1, "broken", math.nan, activations=Places(h=make.moments(math.nan)), backward_ratio=math.inf
    )
    report = make.report([dead, broken], log10_forward_gain=math.nan, log10_backward_gain=-math.inf)
    log = read(logged(tmp_path, (0, report), per_layer_scalars=True))
    assert math.isnan(log.scalars("initcheck")["initcheck/log10_forward_gain"][0])
    assert log.scalars("initcheck")["initcheck/log10_backward_gain"] == {0: -math.inf}
    assert log.scalars("initcheck")["initcheck/worst_ratio"] == {0: math.inf}
    assert log.scalars("initcheck/by_depth")["initcheck_by_depth/log10_forward_ratio"] == {
        0: -math.inf
    }
    assert log.scalars("initcheck/by_depth")[
        "initcheck_by_depth/log10_activation_second_moment"
    ] == {0: -math.inf}
    assert log.scalars("initcheck/by_depth")["initcheck_by_depth/log10_backward_ratio"] == {
        0: 300.0,
        1: math.inf,
    }
    found = log.tensors("initcheck", "initcheck")
    row = found[matrix_tag(found, "initcheck/probe")][0][
        :, list(STATISTICS).index("log10_backward_ratio")
    ]
    assert row.tolist() == [300.0, math.inf]


def test_path_that_cannot_be_a_directory_is_named(tmp_path, make):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        OSError, match=r"Cannot write TensorBoard events: Not a directory\. Make room, .*file.logs"
    ) as caught:
        EventLog(tmp_path / "file" / "logs").write(make.report(), 0)
    assert caught.value.filename == os.fspath(tmp_path / "file" / "logs")


def test_full_disk_is_reported_with_the_run(tmp_path, make, files_of_at_most):
    with EventLog(tmp_path) as log:
        log.write(make.report(), 0)
        with (
            files_of_at_most(100),
            pytest.raises(
                OSError, match="Cannot write TensorBoard events: File too large"
            ) as caught,
        ):
            log.write(make.report(), 1)
    assert caught.value.filename == os.fspath(tmp_path / "initcheck")


@pytest.mark.parametrize("num_before", [0, 1], ids=["first probe", "later probe"])
def test_write_after_a_failed_one_begins_a_new_run(
    tmp_path, make, read, files_of_at_most, num_before
):
    with EventLog(tmp_path) as log:
        for step in range(num_before):
            log.write(make.report(), step)
        with files_of_at_most(100), pytest.raises(OSError, match="File too large"):
            log.write(make.report(), num_before)
        log.write(make.report(), 5)
    found = read(tmp_path).tensors("initcheck_2", "initcheck")
    assert [
        list(found[matrix_tag(found, prefix)]) for prefix in ("initcheck/init", "initcheck/probe")
    ] == [[5], [5]]
    assert (tmp_path / "initcheck_2" / "by_depth").is_dir()


@pytest.mark.parametrize("log_dir", ["gs://bucket/logs", "s3://bucket", "file:///logs"])
def test_address_is_refused(log_dir):
    with pytest.raises(
        ValueError,
        match=f"`log_dir` must be a local directory. Received: log_dir='{log_dir}'. Write locally",
    ):
        EventLog(log_dir)


def test_negative_number_of_findings_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"`max_findings` must be 0 or more\. Received: max_findings=-1"
    ):
        EventLog(tmp_path, max_findings=-1)


def test_logging_loads_no_framework(tmp_path):
    code = """
import sys
from keras_initcheck.outputs.events import EventLog
from keras_initcheck.records.statistics import Histogram
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.records.report import Report
histograms = (("weight", Histogram(0.0, 1.0, (1.0,))),)
with EventLog(sys.argv[1], per_layer_scalars=True) as log:
    site = SiteStats(0, "a", "a", "Dense", "weight", forward_ratio=1.0)
    log.write(Report(Profile.of("net", (site,), histograms=histograms)), 0)
print(sorted({"tensorflow", "jax", "torch", "keras"} & set(sys.modules)))
"""
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"
    assert (tmp_path / "initcheck").is_dir()


def test_histograms_need_a_run(tmp_path, make):
    with pytest.raises(RuntimeError, match="Histograms need a run to belong to"):
        EventLog(tmp_path).add_histograms(make.report())


def test_a_log_knows_that_its_file_was_removed(tmp_path, make):
    with EventLog(tmp_path / "logs") as log:
        assert not log.is_lost
        log.write(make.report(), 0)
        assert not log.is_lost
        shutil.rmtree(tmp_path / "logs")
        assert log.is_lost
        log.write(make.report(), 1)
        assert not log.is_lost
    assert (tmp_path / "logs" / "initcheck" / "by_depth").is_dir()
