"""Watch a training with the callback, which stops it before the first update if the model drifts.

python examples/callback.py
tensorboard --logdir logs
"""

import keras
import numpy as np
from sklearn.datasets import load_digits

from keras_initcheck import InitCheck

x, y = load_digits(return_X_y=True)
x = (x.reshape(-1, 8, 8, 1).astype(np.float32) - 4.9) / 6.0

model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(32, 3, activation="relu", padding="same"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(64, 3, activation="relu", padding="same"),
        keras.layers.Flatten(),
        keras.layers.Dense(10, "softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(
    x, y, epochs=3, validation_split=0.2, callbacks=[InitCheck("logs", on_drift="raise")]
)
print("log10 of the forward gain by epoch:", history.history["initcheck_log10_forward_gain"])
