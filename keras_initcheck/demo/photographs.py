"""Crops of the two photographs that scikit-learn contains: a Chinese temple and a flower."""

import numpy as np

from keras_initcheck.demo.alexnet import IMAGE_SHAPE
from keras_initcheck.demo.sklearn_data import datasets


def photographs(num_crops: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Cuts crops at random places out of both photographs in turn, and standardizes them together.

    Args:
        num_crops: Number of crops.
        seed: Seed of the random places.

    Returns:
        Crops, `(num_crops, 227, 227, 3)`, float32 of mean 0 and standard deviation 1 over all
        crops, and the number of each crop's photograph, `(num_crops,)`.

    Raises:
        InitCheckError: scikit-learn is not installed.
    """
    images = datasets().load_sample_images().images
    generator = np.random.default_rng(seed)
    labels = np.arange(num_crops) % len(images)
    crops = np.stack([_crop(images[label], generator) for label in labels]).astype("float32")
    return (crops - crops.mean()) / crops.std(), labels


def _crop(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    height, width, _ = IMAGE_SHAPE
    top, left = (
        generator.integers(0, image.shape[0] - height + 1),
        generator.integers(0, image.shape[1] - width + 1),
    )
    return image[top : top + height, left : left + width]
