"""Exact rows on PyTorch, against the rows that serve any device and any numbers."""

import itertools

import keras
import numpy as np
import pytest

from keras_initcheck.probe.engine import statistics_rows
from keras_initcheck.probe.engine.statistics_rows import COLUMNS

pytestmark = pytest.mark.backend("torch")

SHAPES = [(), (1,), (9_001,), (16, 8), (8, 5, 6), (4, 9, 9, 12), (2, 3, 4, 5, 6), (128, 100)]
NUMBERS = {
    "normal": lambda x: x,
    "rectified": lambda x: np.maximum(x, 0),
    "huge": lambda x: 1e30 * x,
    "tiny": lambda x: 1e-30 * x,
    "subnormal": lambda x: 1e-40 * x,
    "constant": lambda x: np.full_like(x, 3.7),
    "constant plus noise": lambda x: 100 + 1e-3 * x,
    "zero": lambda x: 0 * x,
    "one in a thousand": lambda x: x * (np.abs(x) > 3.3),
    "equal samples": lambda x: np.broadcast_to(x[:1], x.shape) if x.ndim else x,
    "samples that barely differ": lambda x: (
        (x[:1] if x.ndim else x) + 1e-3 * np.random.default_rng(1).normal(size=x.shape)
    ),
    "dead units": lambda x: x * (np.arange(x.shape[-1] if x.ndim else 1) % 3 > 0),
    "units of mean zero": lambda x: np.where(np.arange(x.size).reshape(x.shape) % 2, 2.0, -2.0),
    "one outlier": lambda x: x + 1e8 * (np.arange(x.size).reshape(x.shape) == x.size // 2),
    "nan": lambda x: np.where(np.abs(x) > 2, np.nan, x),
    "infinite": lambda x: np.where(np.abs(x) > 2, np.inf, x),
    "nothing finite": lambda x: np.full_like(x, np.nan),
}


@pytest.fixture
def rows():
    """`rows(tensor, is_weight)`: the row of a tensor, and the one that serves any."""
    import torch

    from keras_initcheck.probe.engine import torch_rows

    def made(tensor, is_weight=False):
        more = (statistics_rows.signs_for(tensor),) if is_weight else ()
        name = "exact_weight_row" if is_weight else "exact_row"
        found = (getattr(module, name)(tensor, *more) for module in (torch_rows, statistics_rows))
        return [row.to(torch.float64).numpy() for row in found]

    return made


def tensor_of(numbers, shape, dtype):
    import torch

    values = NUMBERS[numbers](np.random.default_rng(0).normal(size=shape))
    return torch.as_tensor(np.array(values)).to(getattr(torch, dtype))


def by_column(row):
    """The columns, unscaled."""
    found = dict(zip(COLUMNS, row, strict=True))
    for name, power in dict.fromkeys(("mean", "largest", "fingerprint"), 1).items():
        found[name] *= found["scale"] ** power
    for name in ("variance", "batch_variance"):
        found[name] *= found["scale"] ** 2
    return found


def assert_same(found, expected):
    """Compares two rows.

    The mean is compared in units of the largest element, as are the roots of variances: below 1e-6
    of it the other row holds what rounding in float32 leaves of equal elements.
    """
    found, expected = by_column(found), by_column(expected)
    for name in ("share_zero", "share_nonfinite", "share_dead", "connected"):
        assert found[name] == pytest.approx(expected[name], abs=1e-6), name
    size = 1e-6 * expected["largest"]
    for name in ("mean", "largest", "fingerprint"):
        assert found[name] == pytest.approx(expected[name], abs=2 * size), name
    for name in ("variance", "batch_variance"):
        near = {"rel": 1e-5, "abs": size}
        assert found[name] ** 0.5 == pytest.approx(expected[name] ** 0.5, **near), name


@pytest.mark.parametrize("numbers", NUMBERS)
def test_row_is_that_of_any_numbers(rows, numbers):
    for shape, dtype in itertools.product(SHAPES, ("float32", "float64", "float16", "bfloat16")):
        tensor = tensor_of(numbers, shape, dtype)
        assert_same(*rows(tensor))
        assert_same(*rows(tensor, is_weight=True))


@pytest.mark.parametrize("numbers", NUMBERS)
def test_row_does_not_depend_on_the_order_in_memory(rows, numbers):
    tensor = tensor_of(numbers, (4, 9, 10, 12), "float32")
    permuted = tensor.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    assert not permuted.is_contiguous()
    assert_same(rows(permuted)[0], rows(tensor)[1])
    repeated = tensor.expand(3, 4, 9, 10, 12)
    assert_same(rows(repeated)[0], rows(repeated.contiguous())[1])


def test_units_of_channels_first_are_on_the_second_axis(rows, monkeypatch):
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    tensor = tensor_of("normal", (4, 5, 6, 7), "float32")
    tensor[:, 2] = 0
    found, expected = rows(tensor)
    assert by_column(found)["share_dead"] == pytest.approx(0.2)
    assert_same(found, expected)


def test_moments_of_millions_of_numbers_are_those_of_float64(rows):
    tensor = tensor_of("rectified", (16, 300, 500), "float32") + 1.0
    found, exact = by_column(rows(tensor)[0]), tensor.double()
    assert found["mean"] == pytest.approx(exact.mean().item(), rel=1e-7)
    assert found["variance"] == pytest.approx(exact.var(correction=0).item(), rel=1e-6)
    expected = exact.var(dim=0, correction=0).mean().item()
    assert found["batch_variance"] == pytest.approx(expected, rel=1e-6)
    assert found["share_zero"] == 0.0


@pytest.mark.parametrize("numbers", NUMBERS)
def test_row_of_an_update_is_that_of_any_numbers(numbers):
    import torch

    from keras_initcheck.probe.engine import torch_rows, update_rows

    shapes, epsilons = ((), (40, 30), (300, 1000)), (0.0, 1e-7, 0.3, float("nan"))
    for shape, epsilon in itertools.product(shapes, epsilons):
        before = np.random.default_rng(1).normal(size=shape)
        before, gradient = torch.as_tensor(before).float(), tensor_of(numbers, shape, "float32")
        tensors = (before, before - 1e-3 * gradient, gradient, torch.tensor(epsilon))
        found, expected = (module.update_row(*tensors) for module in (torch_rows, update_rows))
        assert len(found) == update_rows.NUM_COLUMNS
        # Means of up to 300,000 products in float32, of either sign.
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6, equal_nan=True)
