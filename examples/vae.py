"""Watch the encoder and the decoder of a variational autoencoder with a custom `train_step`.

KERAS_BACKEND=tensorflow python examples/vae.py
tensorboard --logdir logs
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from sklearn.datasets import load_digits

from keras_initcheck import InitCheck

LATENT = 8


class VAE(keras.Model):
    """Encodes to a mean and a log variance, and decodes samples drawn from them."""

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.seeds = keras.random.SeedGenerator(0)
        self.built = True

    def train_step(self, images):
        """Update both networks on the reconstruction error and the divergence of the codes."""
        with tf.GradientTape() as tape:
            mean, log_variance = ops.split(self.encoder(images), 2, axis=-1)
            sample = mean + ops.exp(0.5 * log_variance) * keras.random.normal(
                ops.shape(mean), seed=self.seeds
            )
            error = ops.mean(ops.sum(ops.square(images - self.decoder(sample)), axis=-1))
            divergence = -0.5 * ops.mean(
                ops.sum(1 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=-1)
            )
            loss = error + divergence
        self.optimizer.apply(
            tape.gradient(loss, self.trainable_variables), self.trainable_variables
        )
        return {"error": error, "divergence": divergence}


def network(name, width, out):
    hidden = [keras.layers.Dense(64, "relu", kernel_initializer="he_normal") for _ in range(2)]
    return keras.Sequential([keras.Input((width,)), *hidden, keras.layers.Dense(out)], name=name)


keras.utils.set_random_seed(0)
images = (load_digits().data / 8.0 - 1.0).astype(np.float32)
codes = np.random.default_rng(0).standard_normal((64, LATENT)).astype(np.float32)
encoder, decoder = network("encoder", 64, 2 * LATENT), network("decoder", LATENT, 64)
vae = VAE(encoder, decoder)
vae.compile(keras.optimizers.Adam(1e-3))
check = InitCheck("logs", parts={"encoder": (encoder, images[:64]), "decoder": (decoder, codes)})
history = vae.fit(images, batch_size=64, epochs=3, verbose=0, callbacks=[check])
for report in check.reports.values():
    print(f"after {report.profile.step} steps: {report.verdict}")
print(
    "log10 of the decoder's forward gain by epoch:",
    history.history["initcheck_decoder_log10_forward_gain"],
)
