"""Something to learn for each network of the truth table: its own data set, or else scikit-learn's
digits in the shape that it takes.
"""

import numpy as np

from tests.truth import real
from tests.truth.judging import is_classifier, is_regression

MOST_SAMPLES = 2000
SEED = 0


def task(net, model):
    """All inputs, and the labels that the network's loss takes."""
    if net.data:
        return net.data(SEED, MOST_SAMPLES)
    pixels, digit = real.digits(SEED, MOST_SAMPLES)
    images = pixels.reshape(-1, 8, 8)
    if not getattr(model, "inputs", None):
        return pixels, digit
    halves = np.split(images, len(model.inputs), axis=1)
    x = [_shaped(half, tensor) for half, tensor in zip(halves, model.inputs, strict=True)]
    return x[0] if len(x) == 1 else x, digit if is_classifier(model) else pixels


def _shaped(images, tensor):
    """Images as pixels in a row, as tokens, or with each pixel repeated, the channels each shifted
    by a pixel more.
    """
    shape = tensor.shape[1:]
    if "int" in str(tensor.dtype):
        return _tokens(images)
    if len(shape) == 1:
        return images.reshape(len(images), *shape)
    rows, columns = (np.arange(size) * 8 // size for size in shape[:2])
    repeated = images[:, rows][:, :, columns]
    return (
        repeated
        if len(shape) == 2
        else np.stack([np.roll(repeated, channel, axis=2) for channel in range(shape[2])], axis=-1)
    )


def _tokens(images):
    """16 tokens that tell place and brightness of a square of 2 x 2 pixels: the networks know no
    positions.
    """
    bright = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)
    return (3 * np.arange(16) + np.digitize(bright, np.quantile(bright, (1 / 3, 2 / 3)))).astype(
        "int32"
    )


def trivial_loss(net, model, y):
    """The loss of the best constant prediction."""
    return net.loss_scale * _unscaled_loss(net, model, y)


def _unscaled_loss(net, model, y):
    if net.loss == "mse" or is_regression(net, model):
        return float(np.nanvar(y, axis=0).mean())
    if net.loss == "binary_crossentropy":
        share = y.mean()
        return float(-share * np.log(share) - (1 - share) * np.log(1 - share))
    shares = np.bincount(y.ravel()) / y.size if y.dtype.kind == "i" else y.mean(axis=0)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares / shares.sum())).sum())
