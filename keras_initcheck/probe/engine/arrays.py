"""Values of tensors on the host."""

from typing import Any

import numpy as np

from keras_initcheck.probe import engine


def to_numpy(value: Any) -> np.ndarray:
    """A copy of a tensor, or of a variable's value, as an array.

    `keras.ops.convert_to_numpy` gives the same, but asks the tensors of torch and TensorFlow in a
    way of which NumPy 2 warns, and warnings may be errors.
    """
    # A Keras variable has its tensor there, and a `tf.Variable` a method.
    inner = getattr(value, "value", None)
    return np.array(engine.load().to_numpy(value if inner is None or callable(inner) else inner))
