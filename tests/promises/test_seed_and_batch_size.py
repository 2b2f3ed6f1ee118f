"""A wrong seed or batch size is the caller's mistake; NumPy's integers are as good as Python's."""

import keras
import numpy as np
import pytest

import keras_initcheck as ic

X = np.ones((6, 4), "float32")


def model():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


@pytest.mark.parametrize("seed", [-1, 1.5, "a", None, True, 2**63], ids=repr)
@pytest.mark.parametrize(
    "use",
    [
        lambda seed: ic.check(model(), X, seed=seed),
        lambda seed: ic.check(model(), seed=seed),
        lambda seed: ic.repair(model(), X, seed=seed),
        lambda seed: ic.InitCheck(None, seed=seed),
    ],
    ids=["check", "check without data", "repair", "callback"],
)
def test_wrong_seed_is_answered(use, seed):
    with pytest.raises(ValueError, match=r"`seed` must be a whole number from 0 .*Received: seed="):
        use(seed)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, "a", True], ids=repr)
@pytest.mark.parametrize("x", [X, None], ids=["data", "no data"])
def test_wrong_batch_size_is_answered(x, batch_size):
    with pytest.raises(
        ValueError, match=r"`batch_size` must be a positive integer\. Received: batch_size="
    ):
        ic.check(model(), x, batch_size=batch_size)


@pytest.mark.parametrize("x", [X, None], ids=["data", "no data"])
def test_numpy_integers_are_whole_numbers(x):
    report = ic.check(model(), x, seed=np.int64(3), batch_size=np.int32(2))
    assert (report.profile.seed, report.profile.batch_size) == (3, 2)
    assert ic.Report.from_json(report.to_json()) == report
