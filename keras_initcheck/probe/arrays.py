"""Values of tensors on the host."""

from typing import Any

import keras
import numpy as np

from keras_initcheck.probe import engine


def to_numpy(value: Any) -> np.ndarray:
    """A copy of a tensor, or of a variable's value, as an array.

    `keras.ops.convert_to_numpy` gives the same, but asks the tensors of torch and TensorFlow in a way of which NumPy 2 warns, and
    warnings may be errors.
    """
    value = value.value if isinstance(value, keras.Variable) else value
    return np.array(engine.load().to_numpy(value))
