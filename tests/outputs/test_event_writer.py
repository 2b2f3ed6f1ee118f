"""Single values and the file they are appended to, read back by TensorBoard."""

import contextlib
import gc
import math
import warnings

import numpy as np
import pytest

from keras_initcheck.outputs.event_writer import EventWriter, histogram, plugin_data, scalar, text
from keras_initcheck.records.statistics import Histogram

FLOAT32_LARGEST = 3.4028234663852886e38


def written(directory, *values, step=0):
    """A log directory with those values in one event of the run `run`."""
    run = directory / "run"
    run.mkdir()
    with contextlib.closing(EventWriter(run)) as writer:
        writer.write(values, step)
    return directory


@pytest.mark.parametrize(
    "value", [0.0, -1.5, math.inf, -math.inf, math.nan, FLOAT32_LARGEST], ids=repr
)
def test_scalar_is_read_back(tmp_path, read, value):
    points = read(written(tmp_path, scalar("a/b", value), step=7)).scalars("run")
    assert points == {"a/b": {7: pytest.approx(value, nan_ok=True)}}


@pytest.mark.parametrize(
    ("value", "expected"), [(1e300, math.inf), (-1e300, -math.inf), (1e-300, 0.0)], ids=repr
)
def test_scalar_beyond_float32_is_infinite_or_zero(tmp_path, read, value, expected):
    assert read(written(tmp_path, scalar("a", value))).scalars("run")["a"][0] == expected


def test_scalar_has_a_description(tmp_path, read):
    log = read(written(tmp_path, scalar("a", 1.0, "What it is.")))
    (series,) = log.provider.list_scalars(**log.query, plugin_name="scalars")["run"].values()
    assert series.description == "What it is."


def test_text_is_read_back(tmp_path, read):
    found = read(written(tmp_path, text("a", "**größe** 層"))).tensors("run", "text")
    assert found["a"][0].item().decode() == "**größe** 層"


def test_text_that_cannot_be_encoded_is_written_all_the_same(tmp_path, read):
    assert (
        read(written(tmp_path, text("a", "x\ud800y"))).tensors("run", "text")["a"][0].item()
        == b"x?y"
    )


def test_histogram_has_edges_and_counts(tmp_path, read):
    found = read(
        written(tmp_path, histogram("a", Histogram(-1.0, 1.0, (1.0, 0.0, 3.0, 4.0))))
    ).tensors("run", "histograms")
    assert found["a"][0].tolist() == [
        [-1.0, -0.5, 1.0],
        [-0.5, 0.0, 0.0],
        [0.0, 0.5, 3.0],
        [0.5, 1.0, 4.0],
    ]


def test_matrix_is_read_back_bitwise(tmp_path, read):
    matrix = np.array([[0.1, math.nan, 1e300], [-math.inf, 5e-324, -0.0]])
    log = read(written(tmp_path, plugin_data("a", matrix, "initcheck", '{"rows":2}'), step=3))
    found = log.tensors("run", "initcheck")["a"][3]
    assert found.dtype == np.float64
    assert found.shape == (2, 3)
    assert found.tobytes() == matrix.tobytes()
    assert log.descriptions("run") == {"a": {"rows": 2}}


def test_bytes_are_read_back_whatever_they_end_in(tmp_path, read):
    found = read(written(tmp_path, plugin_data("a", b"\xff\x00\x00", "initcheck", "{}"))).tensors(
        "run", "initcheck"
    )
    assert found["a"][0].item() == b"\xff\x00\x00"


def test_matrix_without_rows_keeps_its_shape(tmp_path, read):
    found = read(written(tmp_path, plugin_data("a", np.empty((0, 21)), "initcheck", "{}"))).tensors(
        "run", "initcheck"
    )
    assert found["a"][0].shape == (0, 21)


def test_metadata_stand_in_a_tag_s_first_event_only(tmp_path, events_of):
    with contextlib.closing(EventWriter(tmp_path)) as writer:
        for step in range(3):
            values = [scalar("old", 1.0)] + [scalar("new", 2.0)] * (step > 0)
            writer.write(values, step)
    (path,) = tmp_path.iterdir()
    found = [
        {value.tag: value.HasField("metadata") for value in event.summary.value}
        for event in events_of(path)
    ]
    assert found == [{}, {"old": True}, {"old": False, "new": True}, {"old": False, "new": False}]


def test_every_kind_of_value_says_its_data_class():
    values = [
        scalar("a", 1.0),
        text("b", "x"),
        histogram("c", Histogram(0.0, 1.0, (1.0,))),
        plugin_data("d", b"", "initcheck", ""),
    ]
    assert [value.metadata.data_class for value in values] == [
        1,
        2,
        2,
        2,
    ]  # SCALAR and TENSOR; 0 is dropped by the data server


def test_event_is_in_the_file_when_the_call_returns(tmp_path, events_of):
    with contextlib.closing(EventWriter(tmp_path)) as writer:
        (path,) = tmp_path.iterdir()
        writer.write([scalar("a", 1.0)], 5)
        assert [event.step for event in events_of(path)] == [0, 5]


def test_file_begins_with_its_version_and_is_named_as_tensorboard_looks_for_it(tmp_path, events_of):
    EventWriter(tmp_path).close()
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("events.out.tfevents.")
    assert [event.file_version for event in events_of(path)] == ["brain.Event:2"]


def test_two_writers_do_not_share_a_file(tmp_path):
    for _ in range(2):
        EventWriter(tmp_path).close()
    assert len(list(tmp_path.iterdir())) == 2


def test_failed_write_leaves_the_file_as_it_was(tmp_path, files_of_at_most):
    with contextlib.closing(EventWriter(tmp_path)) as writer:
        (path,) = tmp_path.iterdir()
        writer.write([scalar("a", 1.0)], 0)
        before = path.read_bytes()
        with files_of_at_most(len(before) + 10), pytest.raises(OSError, match="too large"):
            writer.write([scalar("b", 2.0)], 1)
        assert path.read_bytes() == before


def test_write_after_a_failed_one_is_complete(tmp_path, read, files_of_at_most):
    run = tmp_path / "run"
    run.mkdir()
    with contextlib.closing(EventWriter(run)) as writer:
        with files_of_at_most(60), pytest.raises(OSError, match="too large"):
            writer.write([scalar("a", 1.0)], 0)
        writer.write([scalar("a", 2.0)], 1)
    assert read(tmp_path).scalars("run") == {"a": {1: 2.0}}


def test_writer_that_cannot_begin_its_file_closes_it(tmp_path, files_of_at_most):
    # A file left open is a ResourceWarning, which is an error here.
    with files_of_at_most(10), pytest.raises(OSError, match="too large"):
        EventWriter(tmp_path)


def test_a_writer_that_nobody_closed_closes_its_file(tmp_path):
    with warnings.catch_warnings():
        # An unclosed file is a ResourceWarning, which pytest also sees in the garbage collector.
        warnings.simplefilter("error")
        EventWriter(tmp_path).write([scalar("a", 1.0)], 0)
        gc.collect()
