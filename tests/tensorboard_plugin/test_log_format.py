"""Tags and packed findings of an event log, as writer and tab share them."""

import zlib

import pytest

from keras_initcheck.tensorboard_plugin import log_format


@pytest.mark.parametrize("kind", [log_format.FIRST, log_format.EACH])
def test_tag_of_a_matrix_is_read_back(kind):
    tag = log_format.matrix_tag(kind, "0123456789ab")
    assert log_format.parse_matrix_tag(tag) == (kind, "0123456789ab")


@pytest.mark.parametrize(
    "tag", ["initcheck/verdict", "initcheck/init/0123456789AB", "initcheck/probe/0123456789ab/x"]
)
def test_other_tags_are_none_of_a_matrix(tag):
    assert log_format.parse_matrix_tag(tag) is None


def test_packed_findings_are_split_again():
    severity, packed = log_format.split_findings(log_format.pack_findings("info", '{"ok":true}'))
    assert (severity, zlib.decompress(packed)) == ("info", b'{"ok":true}')


@pytest.mark.parametrize(
    ("strings", "expected"),
    [
        ([b"x"], (None, b"x")),
        ([], (None, b"")),
        ([1.0], (None, b"")),
        ([b"fatal", b"x"], (None, b"x")),
        ([2.0, b"x"], (None, b"x")),
        ([b"ok", b"ok", b"x"], (None, b"")),
    ],
    ids=["version 1", "empty", "a number", "no severity", "a number before", "three"],
)
def test_strings_of_another_version_have_no_severity(strings, expected):
    assert log_format.split_findings(strings) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"ok": True, "findings": []}, "ok"),
        ({"findings": [{"severity": "info"}, {"severity": "error"}], "ok": False}, "error"),
        ({"ok": True, "findings": [{"severity": "info", "message": '"severity":"error"'}]}, "info"),
        ({"ok": False, "findings": []}, "warning"),
        ({"ok": False, "findings": [{"severity": ["error"]}, 3]}, "warning"),
        ({"ok": True, "findings": "none"}, "ok"),
    ],
    ids=["healthy", "worst", "quoted in a message", "left out", "no words", "no list"],
)
def test_severity_of_a_document_does_not_depend_on_the_order_of_its_keys(document, expected):
    assert log_format.severity_of(document) == expected
