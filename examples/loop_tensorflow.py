"""Watch a custom loop with `tf.GradientTape`.

KERAS_BACKEND=tensorflow python examples/loop_tensorflow.py
tensorboard --logdir logs
"""

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

from keras_initcheck import InitCheck

keras.utils.set_random_seed(0)
images, labels = load_digits(return_X_y=True)
images = ((images - 4.9) / 6.0).astype(np.float32)

hidden = [keras.layers.Dense(64, "relu", kernel_initializer="he_normal") for _ in range(3)]
model = keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)])
optimizer = keras.optimizers.Adam(1e-3)
loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(64).repeat(4)


@tf.function
def train(x, y):
    with tf.GradientTape() as tape:
        loss = loss_of(y, model(x, training=True))
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return loss


with InitCheck("logs") as watcher:
    for step, (x, y) in enumerate(batches):
        if step % 50 == 0:
            report = watcher.probe(model, x, y, step=step)
            print(
                f"step {step}: {report.verdict} log10 of the forward gain:"
                f" {report.profile.log10_forward_gain:.2f}"
            )
        loss = train(x, y)
print(f"loss {float(loss):.2f}")
