"""The checksum of record files, against RFC 3720 and TensorBoard's own."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import crc32c as of_tensorboard
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from keras_initcheck.outputs.crc32c import FEW, crc32c, frame, masked


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"", 0),
    ],
    ids=["zeros", "ones", "rising", "falling", "empty"],
)
def test_checksums_of_the_standard(content, expected):
    assert crc32c(content) == expected


@pytest.mark.parametrize("length", [FEW, FEW + 1, 80, 81, 82, 1000, 65_537])
def test_checksum_is_tensorboard_s_at_every_length(length):
    content = bytes(index * 37 % 251 for index in range(length))
    assert crc32c(content) == of_tensorboard(content)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=600))
def test_checksum_of_any_bytes_is_tensorboard_s(content):
    assert crc32c(content) == of_tensorboard(content)
    assert masked(content) == struct.pack("<I", masked_crc32c(content))


def test_record_is_length_and_content_each_with_its_checksum():
    length = struct.pack("<Q", 3)
    assert frame(b"abc") == length + masked(length) + b"abc" + masked(b"abc")
