"""A bare forward and backward pass of a model, compiled as a repeated probe is."""

import keras


def bare_pass(model, batch):
    """A function that computes the loss and every weight's gradient, and nothing else."""
    make = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[keras.backend.backend()]
    return make(model, batch)


def loss_of(model, x, y, mapping=None):
    """The training loss at a batch; assignments to variables are dropped."""
    with keras.StatelessScope(mapping, collect_losses=True):
        return model.compute_loss(x=x, y=y, y_pred=model(x, training=True), training=True)


def _tensorflow(model, batch):
    import tensorflow as tf

    variables = model.trainable_variables

    @tf.function(autograph=False)
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(model, x, y)
        return loss, [
            tf.convert_to_tensor(g) for g in tape.gradient(loss, [v.value for v in variables])
        ]

    return lambda: step(batch.x, batch.y)[0].numpy()


def _jax(model, batch):
    import jax

    trained, others = model.trainable_variables, model.non_trainable_variables

    @jax.jit
    def step(values, state, x, y):
        def loss(values):
            pairs = [*zip(trained, values, strict=True), *zip(others, state, strict=True)]
            return loss_of(model, x, y, pairs)

        return jax.value_and_grad(loss)(values)

    return lambda: jax.block_until_ready(
        step([v.value for v in trained], [v.value for v in others], batch.x, batch.y)
    )


def _torch(model, batch):
    import torch

    variables = model.trainable_variables
    return lambda: torch.autograd.grad(
        loss_of(model, batch.x, batch.y), [v.value for v in variables]
    )
