"""A short, real training on scikit-learn's 1797 handwritten digits, watched by `InitCheck`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_initcheck.callback import InitCheck
from keras_initcheck.demo.sklearn_data import datasets
from keras_initcheck.records.report import Report

NUM_TRAINING = 1437
"""Four fifths of the images; the others are for testing."""
FILTERS = (16, 16, 32, 32)
LEARNING_RATE = 0.01
SEED = 0


@dataclass(frozen=True)
class Training:
    """Result of a training.

    Attributes:
        accuracy: Fraction of the test images that are classified correctly, 0..1.
        loss: Mean loss over the last epoch.
        report: The report of `InitCheck` before the first step; `None` if it made none.
    """

    accuracy: float
    loss: float
    report: Report | None


def train(kernel_initializer: Any, log_dir: str | Path, num_epochs: int = 5) -> Training:
    """Trains and tests a network, with SGD and momentum.

    Args:
        kernel_initializer: Returns the initializer of a layer, given the layer's number.
        log_dir: Directory for TensorBoard.
        num_epochs: Number of epochs, about a second each on two cores.

    Raises:
        InitCheckError: scikit-learn is not installed.
    """
    x, y = _images()
    model = network(kernel_initializer)
    check = InitCheck(log_dir, on_drift="ignore")
    history = model.fit(
        x[:NUM_TRAINING],
        y[:NUM_TRAINING],
        epochs=num_epochs,
        batch_size=32,
        shuffle=False,
        verbose=0,
        callbacks=[check],
    )
    _, accuracy = model.evaluate(x[NUM_TRAINING:], y[NUM_TRAINING:], verbose=0)
    return Training(float(accuracy), float(history.history["loss"][-1]), check.first_report)


def network(kernel_initializer: Any) -> keras.Model:
    """Builds and compiles a network of four 3×3 convolutions and two dense layers with ReLU.

    Args:
        kernel_initializer: As in `train`; the layers are numbered from 1.
    """
    layers: list[Any] = [keras.Input((8, 8, 1))]
    for number, filters in enumerate(FILTERS, 1):
        options = {
            "activation": "relu",
            "padding": "same",
            "strides": 2 if number == 3 else 1,
            "name": f"conv{number}",
        }
        layers.append(
            keras.layers.Conv2D(
                filters, 3, kernel_initializer=kernel_initializer(number), **options
            )
        )
    layers += [
        keras.layers.Flatten(name="flatten"),
        keras.layers.Dense(
            64, activation="relu", kernel_initializer=kernel_initializer(5), name="fc5"
        ),
        keras.layers.Dense(
            10, activation="softmax", kernel_initializer=kernel_initializer(6), name="fc6"
        ),
    ]
    model = keras.Sequential(layers, name="digits_cnn")
    model.compile(
        keras.optimizers.SGD(LEARNING_RATE, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def normal(number: int) -> Any:
    """Initializer of N(0,1) weights for the layer of that number."""
    return keras.initializers.RandomNormal(stddev=1.0, seed=SEED + number)


def he(number: int) -> Any:
    """Initializer by He et al. (2015) for the layer of that number."""
    return keras.initializers.HeNormal(seed=SEED + number)


def _images() -> tuple[np.ndarray, np.ndarray]:
    """Shuffled images `(1797, 8, 8, 1)`, of mean 0 and variance 1, and their digits `(1797,)`."""
    loaded = datasets().load_digits()
    order = np.random.default_rng(SEED).permutation(len(loaded.target))
    images = loaded.images[order, :, :, None].astype("float32")
    return (images - images.mean()) / images.std(), loaded.target[order]
