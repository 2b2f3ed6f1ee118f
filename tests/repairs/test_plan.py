"""What is drawn, and how a plan reads."""

import numpy as np
import pytest

from keras_initcheck.repairs import kernel_draws
from keras_initcheck.repairs.plan import REDRAW, RESCALE, Plan, Step


def test_kernels_have_their_size_exactly():
    for shape in ((64, 32), (3, 3, 8, 16), (16, 96)):
        kernel = kernel_draws.kernel(shape, 0.25, np.random.default_rng(0))
        assert kernel.shape == shape
        assert np.sqrt(np.mean(kernel**2)) == pytest.approx(0.25, rel=1e-12)  # scaled in float64


@pytest.mark.parametrize(("shape", "num_gates"), [((64, 32), 1), ((32, 64), 1), ((16, 48), 3)])
def test_orthogonal_kernels_have_equal_singular_values_in_each_gate(shape, num_gates):
    kernel = kernel_draws.kernel(
        shape, 1.0, np.random.default_rng(0), num_gates=num_gates, is_orthogonal=True
    )
    for gate in np.split(kernel, num_gates, axis=1):
        singular = np.linalg.svd(gate, compute_uv=False)
        np.testing.assert_allclose(singular, singular[0], rtol=1e-12)  # QR in float64


def test_plan_reads_as_instructions():
    steps = (
        Step("a", RESCALE, ("a/kernel",), "IC102 forward-gain", factor=0.5),
        Step("b", REDRAW, ("b/kernel",), "IC105 constant-kernel", stds=(0.1,)),
    )
    assert str(Plan(steps)).splitlines() == [
        "1. multiply a/kernel by 0.5: IC102 forward-gain",
        "2. redraw b/kernel with a root mean square of 0.1: IC105 constant-kernel",
    ]
    assert str(Plan()) == "Nothing to change."
