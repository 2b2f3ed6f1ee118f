"""Batches with labels: scikit-learn's data sets, as they come or standardised, and a few that are drawn."""

import numpy as np
from sklearn import datasets

BATCH = 32


def _drawn(seed, x, y):
    rows = np.random.default_rng(seed).permutation(len(x))[:BATCH]
    return x[rows].astype("float32"), y[rows]


def _standardised(values):
    return ((values - values.mean(axis=0)) / values.std(axis=0)).astype("float32")


def digits(seed):
    """Images of 64 pixels with mean 0 and deviation 1, and their digits."""
    x, y = datasets.load_digits(return_X_y=True)
    return _drawn(seed, (x - x.mean()) / x.std(), y)


def multi_hot(seed):
    """The same with two classes set in each row of labels."""
    x, y = digits(seed)
    return x, (np.eye(10)[y] + np.eye(10)[(y + 1) % 10]).astype("float32")


def diabetes(seed):
    """Standardised columns and labels."""
    x, y = datasets.load_diabetes(return_X_y=True)
    return _drawn(seed, _standardised(x), _standardised(y))


def raw_diabetes(seed):
    """Standardised columns; labels around 152."""
    x, y = datasets.load_diabetes(return_X_y=True)
    return _drawn(seed, _standardised(x), y.astype("float32"))


def missing(seed):
    """Standardised columns and labels, one of which is missing."""
    x, y = diabetes(seed)
    y[3] = np.nan
    return x, y


def breast_cancer(seed):
    """Standardised columns and a binary decision."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return _drawn(seed, _standardised(x), y.astype("float32"))


def iris(seed):
    """Four lengths in centimetres."""
    return _drawn(seed, *datasets.load_iris(return_X_y=True))


def wine(seed):
    """Thirteen columns, the last around 750 and most others around 2."""
    return _drawn(seed, *datasets.load_wine(return_X_y=True))


def one_hot(seed):
    """Indicators, counts that are mostly zero, and four dense columns of unit scale."""
    generator = np.random.default_rng(seed)
    codes = np.eye(30)[generator.integers(0, 30, BATCH)]
    counts = generator.poisson(0.3, (BATCH, 6)) * 5.0
    return np.hstack([generator.standard_normal((BATCH, 4)), codes, counts]).astype("float32"), generator.integers(0, 3, BATCH)


def masks(seed):
    """Random images with a decision for each pixel."""
    generator = np.random.default_rng(seed)
    return generator.standard_normal((8, 16, 16, 3)).astype("float32"), generator.integers(0, 2, (8, 16, 16, 1)).astype("float32")
