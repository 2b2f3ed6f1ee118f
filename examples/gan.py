"""Watch both networks of a GAN, whose model has a `train_step` but no `call`, on real digits.

KERAS_BACKEND=torch python examples/gan.py
tensorboard --logdir logs
"""

import keras
import numpy as np
import torch
from sklearn.datasets import load_digits

from keras_initcheck import InitCheck

NOISE = 32


class GAN(keras.Model):
    """Two networks that compete, each with its own optimizer."""

    def __init__(self, generator, discriminator):
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.built = True

    def compile(self, generator_optimizer, discriminator_optimizer):
        """Keras' own optimizer is not used."""
        super().compile()
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        self.loss_of = keras.losses.BinaryCrossentropy(from_logits=True)

    def train_step(self, images):
        """Update the discriminator on real and generated images, then the generator."""
        noise = keras.random.normal((len(images), NOISE))
        real = self.discriminator(images)
        fake = self.discriminator(self.generator(noise).detach())
        discriminator_loss = self.loss_of(keras.ops.ones_like(real), real) + self.loss_of(
            keras.ops.zeros_like(fake), fake
        )
        self.update(self.discriminator, self.discriminator_optimizer, discriminator_loss)
        fake = self.discriminator(self.generator(noise))
        generator_loss = self.loss_of(keras.ops.ones_like(fake), fake)
        self.update(self.generator, self.generator_optimizer, generator_loss)
        return {"generator_loss": generator_loss, "discriminator_loss": discriminator_loss}

    def update(self, network, optimizer, loss):
        """Update one network; the other network's gradients are dropped."""
        self.zero_grad()
        loss.backward()
        with torch.no_grad():
            optimizer.apply(
                [variable.value.grad for variable in network.trainable_variables],
                network.trainable_variables,
            )


def network(name, width, out, activation=None):
    hidden = [
        keras.layers.Dense(64, "leaky_relu", kernel_initializer="he_normal") for _ in range(2)
    ]
    return keras.Sequential(
        [keras.Input((width,)), *hidden, keras.layers.Dense(out, activation)], name=name
    )


keras.utils.set_random_seed(0)
images = (load_digits().data / 8.0 - 1.0).astype(np.float32)
noise = np.random.default_rng(0).standard_normal((64, NOISE)).astype(np.float32)
generator, discriminator = network("generator", NOISE, 64, "tanh"), network("discriminator", 64, 1)
gan = GAN(generator, discriminator)
gan.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3))
check = InitCheck(
    "logs", parts={"generator": (generator, noise), "discriminator": (discriminator, images[:64])}
)
history = gan.fit(images, batch_size=64, epochs=3, verbose=0, callbacks=[check])
for report in check.reports.values():
    print(f"after {report.profile.step} steps: {report.verdict}")
print(
    "findings in the discriminator by epoch:", history.history["initcheck_discriminator_findings"]
)
