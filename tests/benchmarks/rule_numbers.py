"""Prints the numbers of rule pages that training decides: what a fault costs on digits.

    PYTHONPATH=. python tests/benchmarks/rule_numbers.py [--seeds 3] [--only PART,...]

The digits are scikit-learn's. The parts, each with its rule:

* chaos: path-gradient; layers sin(w z) and tanh whose weights are so large that the gradient grows
  while the signal keeps its size. The gain is the one that the rule judges by.
* frozen: frozen-normalization; a head on random ReLU features that are `divisor` times too weak.
* penalties: strong-regularization; L2 in three layers, as a multiple of the loss at the start.
* biases: drowning-biases; six dense layers, and six convolutions of 8 filters, by Glorot, whose
  biases start at a constant. The share is what they leave of the signal.
* softmax: hidden-softmax; in none, the second or both of two hidden layers.
* decay, norms: vanishing-weights; the share that weight decay takes off each weight in a step, and
  a largest norm of the columns of all kernels.
* dropout: heavy-dropout; behind each of three hidden layers, or behind the last alone.
* identical: identical-inputs; each image is replaced by the first.

Each cell is the test accuracy after 400 steps, and in parentheses the steps until the mean of 20
training losses was at most 0.5 ("-": never): medians over the seeds, each at its best rate.
"""

import argparse
import itertools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
from sklearn import datasets

from tests.benchmarks.gain_cost import patches, updated

NUM_STEPS, BATCH, NUM_TRAINED, WINDOW, BOUND = 400, 64, 1400, 20, 0.5
RATES = {"SGD": (0.003, 0.01, 0.03, 0.1), "Adam": (0.0003, 0.001, 0.003, 0.01)}
RATES_OF_HEADS = {"SGD": (0.01, 0.1, 1.0, 10.0), "Adam": (0.001, 0.01, 0.1, 1.0)}
NUM_CLASSES, WIDTH = 10, 64


def dense(weights, x, _key):
    """Hidden layers with ReLU, and a linear head."""
    for layer in weights[:-1]:
        x = jax.nn.relu(affine(layer, x))
    return affine(weights[-1], x)


@dataclass(frozen=True, eq=False)
class Case:
    """A network and what is done to it.

    Attributes:
        title: As it is printed.
        draw: Makes the weights from NumPy's generator.
        logits: Of weights, inputs and a key of random numbers; `None` for the key is a test.
        penalty: Factor on the sum of the kernels' squares that is added to the loss.
        decay: Share of each weight that a step takes away.
        largest_norm: Of a column of a kernel, after each step.
        rates: Learning rates by optimizer.
        data: Changes the inputs, given a seed.
    """

    title: str
    draw: Callable[[Any], Any]
    logits: Callable[[Any, Any, Any], Any] = dense
    penalty: float = 0.0
    decay: float = 0.0
    largest_norm: float = math.inf
    rates: Any = None
    data: Callable[[Any], Any] = lambda x: x


def drawn(random, fans, gain=2.0):
    """Layers N(0, gain / fan_in) and a head N(0, 1 / fan_in), without biases."""
    gains = [gain] * (len(fans) - 1) + [1.0]
    return [
        {
            "kernel": np.float32(random.standard_normal(fan) * math.sqrt(each / fan[0])),
            "bias": np.zeros(fan[1], np.float32),
        }
        for fan, each in zip(fans, gains, strict=True)
    ]


def fans_of(depth, width=WIDTH, inputs=WIDTH):
    """Inputs and outputs of so many hidden layers and a head."""
    widths = [inputs, *[width] * depth, NUM_CLASSES]
    return [*itertools.pairwise(widths)]


def affine(layer, x):
    """`x W + b`."""
    return x @ layer["kernel"] + layer["bias"]


def digits():
    """Images of mean 0 and deviation 1, and their classes."""
    x, y = datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    return np.float32((x - x.mean()) / x.std())[order], y[order]


def projected(weights, largest):
    """Kernels whose columns have at most that norm."""

    def cut(layer):
        norms = jnp.linalg.norm(layer["kernel"], axis=0)
        factor = jnp.minimum(1.0, largest / jnp.maximum(norms, 1e-30))
        return {**layer, "kernel": layer["kernel"] * factor}

    return [cut(layer) for layer in weights]


def training(case, optimizer, x, y):
    """A compiled function of first weights, rate, rows `(steps, batch)` and a key: accuracy and
    losses.
    """

    def loss_of(weights, rows, key):
        logarithms = jax.nn.log_softmax(case.logits(weights, x[rows], key))
        loss = -jnp.take_along_axis(logarithms, y[rows, None], axis=1).mean()
        squares = sum(jnp.square(layer["kernel"]).sum() for layer in weights)
        return loss + case.penalty * squares, loss

    def train(weights, rate, batches, key):
        def advance(state, now):
            (weights, slots), (step, rows, key) = state, now
            (_, loss), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights, rows, key)
            kept = jax.tree.map(lambda w: (1.0 - case.decay) * w, weights)
            weights, slots = updated(optimizer, kept, slots, gradients, rate, step)
            if case.largest_norm < math.inf:
                weights = projected(weights, case.largest_norm)
            return (weights, slots), loss

        zeros = jax.tree.map(jnp.zeros_like, weights)
        steps = (jnp.arange(NUM_STEPS), batches, jax.random.split(key, NUM_STEPS))
        (weights, _), losses = jax.lax.scan(advance, (weights, (zeros, zeros)), steps)
        guesses = case.logits(weights, x[NUM_TRAINED:], None).argmax(axis=1)
        return (guesses == y[NUM_TRAINED:]).mean(), losses

    of_seeds = jax.vmap(train, (0, None, 0, 0))
    return jax.jit(jax.vmap(of_seeds, (None, 0, None, None)))


def measure(case, optimizer, num_seeds):
    """Median accuracy and steps over the seeds, each at its best rate."""
    x, y = digits()
    weights = [case.draw(np.random.default_rng(seed)) for seed in range(num_seeds)]
    stacked = jax.tree.map(lambda *each: np.stack(each), *weights)
    rates = np.float32((case.rates or RATES)[optimizer])
    rows = np.random.default_rng(0).integers(NUM_TRAINED, size=(num_seeds, NUM_STEPS, BATCH))
    keys = jax.random.split(jax.random.key(0), num_seeds)
    train = training(case, optimizer, jnp.asarray(case.data(x)), jnp.asarray(y))
    accuracy, losses = map(np.asarray, train(stacked, rates, rows, keys))
    means = np.lib.stride_tricks.sliding_window_view(losses, WINDOW, axis=-1).mean(axis=-1)
    is_there = means <= BOUND
    steps = np.where(is_there.any(axis=-1), is_there.argmax(axis=-1) + WINDOW, np.inf)
    return float(np.median(accuracy.max(axis=0))), float(np.median(steps.min(axis=0)))


def row(case, num_seeds):
    """Prints what each optimizer reaches."""
    cells = []
    for optimizer in RATES:
        accuracy, steps = measure(case, optimizer, num_seeds)
        shown = "-" if math.isinf(steps) else f"{steps:g}"
        cells.append(f"{optimizer} {accuracy:.2f} ({shown})")
    print(f"{case.title:44} {cells[0]:18} {cells[1]}", flush=True)


def chaos():
    """Sines and tanhs that the weights before them make chaotic."""
    for name, function, depth, factors in (
        ("sin(w z)", jnp.sin, 4, (1.0, 2.0, 2.5, 3.2, 4.0, 5.5, 8.0)),
        ("tanh(w z)", jnp.tanh, 6, (1.0, 2.0, 3.0, 4.5, 7.0, 10.0)),
    ):
        for factor in factors:

            def hidden(weights, h, function=function):
                for layer in weights:
                    h = function(affine(layer, h))
                return h

            def logits(weights, x, _key, hidden=hidden):
                return affine(weights[-1], hidden(weights[:-1], x))

            def draw(random, depth=depth, factor=factor):
                return drawn(random, fans_of(depth), factor**2)

            gain = sensitivity(hidden, draw(np.random.default_rng(0)))
            title = f"{depth} x {name}, w N(0, {factor:g}²/n), gain e^{gain:.1f}"
            yield Case(title, draw, logits, rates={**RATES, "Adam": (1e-4, 3e-4, 1e-3, 3e-3)})


def sensitivity(hidden, weights):
    """`ln` of the gain of the gradient times the gain of the signal, behind the first layer."""
    first = hidden(weights[:1], digits()[0][:32])
    last, backward = jax.vjp(lambda h: hidden(weights[1:-1], h), first)
    upstream = jax.random.normal(jax.random.key(0), last.shape)
    (downstream,) = backward(upstream)
    sizes = [
        float(jnp.log(jnp.square(each).mean())) for each in (downstream, first, upstream, last)
    ]
    return sizes[0] + sizes[1] - sizes[2] - sizes[3]


def frozen():
    """A head on features that are too weak."""
    kernel = np.random.default_rng(1).standard_normal((WIDTH, 256)) * math.sqrt(2.0 / WIDTH)
    for divisor in (1, 20, 100, 400):

        def features(x, divisor=divisor):
            return np.float32(np.maximum(x @ kernel, 0.0) / divisor)

        yield Case(
            f"features / {divisor}",
            lambda random: drawn(random, fans_of(0, inputs=256)),
            rates=RATES_OF_HEADS,
            data=features,
        )


def penalties():
    """L2 as a multiple of the loss of guessing."""
    # He's weights have squares of 2 for each of 64 units in two layers, the head's of 1 for 10.
    squares = 2 * 2.0 * WIDTH + NUM_CLASSES
    for multiple in (0, 1, 10, 30, 100):
        yield Case(
            f"L2 of {multiple} times the loss",
            lambda random: drawn(random, fans_of(2)),
            penalty=multiple * math.log(NUM_CLASSES) / squares,
        )


def biases():
    """Constant biases behind convolutions and dense layers."""
    for is_convolution in (False, True):
        for size in (0.0, 0.1, 1.0):

            def draw(random, is_convolution=is_convolution, size=size):
                fans = fans_of(6)
                if is_convolution:
                    fans = [(9, 8), *[(9 * 8, 8)] * 5, (8, NUM_CLASSES)]
                weights = drawn(random, fans, 1.0)
                if is_convolution:  # Glorot's: 9 inputs and 9 * 8 outputs
                    weights[0]["kernel"] *= math.sqrt(2 * 9 / (9 + 9 * 8))
                for layer in weights[:-1]:
                    layer["bias"] += size
                return weights

            logits, name = (convolutions, "convolutions") if is_convolution else (dense, "layers")
            left = share_beside_biases(draw(np.random.default_rng(0)), is_convolution)
            title = f"6 {name}, biases of {size:g}, leave {left:.2g}"
            yield Case(title, draw, logits, rates={"SGD": (0.01, 0.1), "Adam": (0.001, 0.01)})


def convolutions(weights, x, _key):
    """3x3 convolutions with ReLU, the mean over positions, and a linear head."""
    h = x.reshape(-1, 8, 8, 1)
    for layer in weights[:-1]:
        h = jax.nn.relu(affine(layer, patches(h, 1)))
    return affine(weights[-1], h.mean(axis=(1, 2)))


def share_beside_biases(weights, is_convolution):
    """The product over the layers of what biases leave of the pre-activation's second moment."""
    h, left = digits()[0][:32], 1.0
    h = h.reshape(-1, 8, 8, 1) if is_convolution else h
    for layer in weights[:-1]:
        z = affine(layer, patches(h, 1) if is_convolution else h)
        left *= 1.0 - min(float(np.square(layer["bias"]).mean() / jnp.square(z).mean()), 1.0)
        h = jax.nn.relu(z)
    return left


def softmax():
    """A softmax in hidden layers."""
    for names in (("ReLU", "ReLU"), ("ReLU", "softmax"), ("softmax", "softmax")):

        def logits(weights, x, _key, names=names):
            for layer, name in zip(weights, names, strict=False):
                z = affine(layer, x)
                x = jax.nn.relu(z) if name == "ReLU" else jax.nn.softmax(z)
            return affine(weights[-1], x)

        rates = {"SGD": (0.01, 0.03, 0.1, 0.3), "Adam": RATES["Adam"]}
        yield Case(
            ", ".join(names), lambda random: drawn(random, fans_of(2), 1.0), logits, rates=rates
        )


def classifier(random):
    """Three hidden layers in order."""
    return drawn(random, fans_of(3))


def decay():
    """Weight decay, by the share of a weight that a step takes away."""
    for share in (0.0, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 2.0):
        yield Case(f"decay of {share:g} a step", classifier, decay=share)


def norms():
    """Columns of a bounded norm; He's have 1.4."""
    for largest in (2.0, 1.0, 0.3, 0.1, 1e-6):
        yield Case(f"norms of at most {largest:g}", classifier, largest_norm=largest)


def dropout():
    """Dropout behind each of three hidden layers, or behind the last."""
    for width, rate, is_each in (
        (64, 0.5, True),
        (64, 0.8, True),
        (256, 0.8, True),
        (64, 0.9, True),
        (64, 0.8, False),
        (64, 0.9, False),
        *((width, rate, False) for rate in (0.98, 0.99) for width in (64, 256)),
    ):

        def logits(weights, x, key, rate=rate, is_each=is_each):
            for number, layer in enumerate(weights[:-1]):
                x = jax.nn.relu(affine(layer, x))
                if key is not None and (is_each or number == len(weights) - 2):
                    is_kept = jax.random.bernoulli(
                        jax.random.fold_in(key, number), 1 - rate, x.shape
                    )
                    x = jnp.where(is_kept, x / (1.0 - rate), 0.0)
            return affine(weights[-1], x)

        def draw(random, width=width):
            return drawn(random, fans_of(3, width))

        left = (1.0 - rate) ** (3 if is_each else 1)
        place = "each layer" if is_each else "the last"
        yield Case(f"{width} units, {rate:g} behind {place}, leaves {left:.3g}", draw, logits)


def identical():
    """One image for all labels."""
    yield Case("the first image for all", classifier, data=lambda x: np.repeat(x[:1], len(x), 0))


PARTS = {
    each.__name__: each
    for each in (chaos, frozen, penalties, biases, softmax, decay, norms, dropout, identical)
}


def main():
    """Prints the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default=",".join(PARTS))
    arguments = parser.parse_args()
    for name in arguments.only.split(","):
        print(f"{name}: {PARTS[name].__doc__}", flush=True)
        for case in PARTS[name]():
            row(case, arguments.seeds)
        print(flush=True)


if __name__ == "__main__":
    main()
