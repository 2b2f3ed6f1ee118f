import pytest

from keras_initcheck.theory.fans import Fans
from keras_initcheck.theory.kernel_layout import KernelLayout


@pytest.mark.parametrize(
    ("options", "shape", "fans"),
    [
        ({}, (512, 64), Fans(512, 64)),
        ({}, (3, 3, 64, 128), Fans(576, 1152)),
        ({"strides": 2}, (3, 3, 64, 128), Fans(576, 288)),
        ({"strides": (2, 1)}, (3, 3, 64, 128), Fans(576, 576)),
        ({"groups": 4}, (3, 3, 16, 128), Fans(144, 288)),
        ({"is_depthwise": True, "strides": 2}, (5, 5, 64, 2), Fans(25, 12.5)),
        ({"is_transposed": True, "strides": 2}, (4, 4, 64, 128), Fans(512, 1024)),
        ({"num_gates": 3}, (28, 96), Fans(28, 32)),
        ({"num_gates": 4}, (3, 3, 8, 64), Fans(72, 144)),
        ({"equation": "abcd,cde->abe"}, (8, 64, 512), Fans(512, 512)),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_fans_follow_from_shape_and_geometry(options, shape, fans):
    assert KernelLayout(**options).fans(shape) == fans


@pytest.mark.parametrize(
    ("options", "shape", "matrices"),
    [
        ({}, (512, 64), (1, 512, 64)),
        ({"groups": 4}, (3, 3, 16, 128), (4, 144, 32)),
        ({"num_gates": 4}, (28, 128), (4, 28, 32)),
        ({"is_depthwise": True}, (5, 5, 64, 2), (64, 25, 2)),
        ({"is_depthwise": True}, (5, 64, 2), (64, 5, 2)),
        ({"is_depthwise": True}, (2, 3, 5, 64, 2), (64, 30, 2)),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_matrices_are_those_that_share_inputs(options, shape, matrices):
    found = KernelLayout(**options).matrices(shape)
    assert found == matrices
    assert all(isinstance(number, int) for number in found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strides": 0}, "`strides` must be an integer of 1 or more for each axis. Received: 0."),
        ({"strides": (2, 0)}, r"Received: \(2, 0\)."),
        ({"strides": ()}, r"Received: \(\)."),
        ({"strides": 2.5}, "Received: 2.5."),
        ({"groups": -1}, "`groups` must be an integer of 1 or more. Received: -1."),
        ({"num_gates": 0}, "`gates` must be an integer of 1 or more."),
        (
            {"is_depthwise": True, "is_transposed": True},
            "Received: depthwise and transposed. Give one.",
        ),
        ({"groups": 2, "num_gates": 3}, "Received: groups and gates."),
        ({"num_gates": 3, "strides": 2}, "`strides` must be 1 with `gates`. Received: strides=2."),
    ],
    ids=str,
)
def test_contradictions_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        KernelLayout(**options)


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({}, (64,), "must be that of a kernel, of two axes or more. Received: shape=\\(64,\\)"),
        ({"strides": 2}, (64, 32), "must be that of a convolution with these strides"),
        ({"is_depthwise": True}, (64, 32), "must be that of a convolution"),
        ({"strides": (2, 2)}, (3, 16, 32), "Received: shape=\\(3, 16, 32\\), strides=\\(2, 2\\)"),
        (
            {"num_gates": 3},
            (28, 100),
            "`gates` must divide the kernel's last axis. Received: gates=3",
        ),
        ({"groups": 3}, (3, 3, 8, 16), "`groups` must divide the kernel's last axis"),
        ({"equation": "ab,bc->ac"}, (3, 16, 32), "must have one size for each"),
    ],
    ids=str,
)
def test_shape_that_does_not_fit_is_refused(options, shape, message):
    with pytest.raises(ValueError, match=message):
        KernelLayout(**options).fans(shape)


def test_einsum_dense_has_no_matrices():
    with pytest.raises(ValueError, match='Received: it with "orthogonal"'):
        KernelLayout(equation="ab,bc->ac").matrices((4, 4))
