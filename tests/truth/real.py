"""Labelled samples, a batch or more: scikit-learn's data sets, as they come or standardized, and a
few that are drawn.

Each function takes a seed and the number of samples; a data set has no more than it has.
"""

import numpy as np
from sklearn import datasets

BATCH = 32


def _drawn(seed, number, x, y):
    rows = np.random.default_rng(seed).permutation(len(x))[:number]
    return x[rows].astype("float32"), y[rows]


def _standardized(values):
    return ((values - values.mean(axis=0)) / values.std(axis=0)).astype("float32")


def digits(seed, number=BATCH):
    """Images of 64 pixels with mean 0 and deviation 1, and their digits."""
    x, y = datasets.load_digits(return_X_y=True)
    return _drawn(seed, number, (x - x.mean()) / x.std(), y)


def multi_hot(seed, number=BATCH):
    """The same with two classes set in each row of labels."""
    x, y = digits(seed, number)
    return x, (np.eye(10)[y] + np.eye(10)[(y + 1) % 10]).astype("float32")


def diabetes(seed, number=BATCH):
    """Standardized columns and labels."""
    x, y = datasets.load_diabetes(return_X_y=True)
    return _drawn(seed, number, _standardized(x), _standardized(y))


def raw_diabetes(seed, number=BATCH):
    """Standardized columns; labels around 152."""
    x, y = datasets.load_diabetes(return_X_y=True)
    return _drawn(seed, number, _standardized(x), y.astype("float32"))


def missing(seed, number=BATCH):
    """Standardized columns and labels, one of which is missing."""
    x, y = diabetes(seed, number)
    y[3] = np.nan
    return x, y


def breast_cancer(seed, number=BATCH):
    """Standardized columns and a binary decision."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return _drawn(seed, number, _standardized(x), y.astype("float32"))


def iris(seed, number=BATCH):
    """Four lengths in centimetres."""
    return _drawn(seed, number, *datasets.load_iris(return_X_y=True))


def wine(seed, number=BATCH):
    """Thirteen columns, the last around 750 and most others around 2."""
    return _drawn(seed, number, *datasets.load_wine(return_X_y=True))


def one_hot(seed, number=BATCH):
    """Indicators, counts that are mostly zero, and four dense columns of unit scale."""
    generator = np.random.default_rng(seed)
    kinds = generator.integers(0, 30, number)
    counts = generator.poisson(0.3, (number, 6)) * 5.0
    return (
        np.hstack([generator.standard_normal((number, 4)), np.eye(30)[kinds], counts]).astype(
            "float32"
        ),
        kinds % 3,
    )


def masks(seed, number=BATCH):
    """Random images, and for each pixel whether it is bright."""
    x = np.random.default_rng(seed).standard_normal((number, 16, 16, 3)).astype("float32")
    return x, (x.mean(axis=-1, keepdims=True) > 0).astype("float32")
