"""Watch a custom loop with `jax.value_and_grad`, which passes its own values to each probe.

KERAS_BACKEND=jax python examples/loop_jax.py
tensorboard --logdir logs
"""

import jax
import keras
import numpy as np
from sklearn.datasets import load_digits

from keras_initcheck import InitCheck

keras.utils.set_random_seed(0)
images, labels = load_digits(return_X_y=True)
images = ((images - 4.9) / 6.0).astype(np.float32)

hidden = [keras.layers.Dense(64, "relu", kernel_initializer="he_normal") for _ in range(3)]
model = keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)])
optimizer = keras.optimizers.Adam(1e-3)
optimizer.build(model.trainable_variables)
loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def compute_loss(trainable, non_trainable, x, y):
    logits, non_trainable = model.stateless_call(trainable, non_trainable, x, training=True)
    return loss_of(y, logits), non_trainable


@jax.jit
def train(trainable, non_trainable, slots, x, y):
    (loss, non_trainable), gradients = jax.value_and_grad(compute_loss, has_aux=True)(
        trainable, non_trainable, x, y
    )
    trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
    return loss, trainable, non_trainable, slots


trainable, non_trainable, slots = (
    [v.value for v in part]
    for part in (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
)
batches = [
    (images[start : start + 64], labels[start : start + 64]) for start in range(0, 1728, 64)
] * 4
with InitCheck("logs") as watcher:
    for step, (x, y) in enumerate(batches):
        if step % 50 == 0:
            report = watcher.probe(model, x, y, step=step, state=(trainable, non_trainable))
            print(
                f"step {step}: {report.verdict} log10 of the forward gain:"
                f" {report.profile.log10_forward_gain:.2f}"
            )
        loss, trainable, non_trainable, slots = train(trainable, non_trainable, slots, x, y)
print(f"loss {float(loss):.2f}")
