"""Prints what a gain costs: steps of training to a small loss, relative to those of the same
network with gain 1.

    python tests/benchmarks/gain_cost.py [--seeds 3] [--steps 600] [--only digits-relu-64x6,...]

The kernels of all hidden layers but the first are multiplied alike, so that the product of their n
Var[w] E[f²]/E[z²], by which the rules forward-gain and backward-gain judge, is `e^gain` times what
it should be (with tanh: that of n Var[w]). The first layer stays as it should be, and so does the
head.

Each cell is the median over the seeds of the steps until the mean of the last 10 losses of a batch
is at or below a bound, at the best learning rate for each seed, over the same at gain 0. "-": not
within the steps at any rate, or not tried because a smaller gain already was not. The settings:

* DATA-ACTIVATION-WIDTHxDEPTH: so many hidden Dense layers on scikit-learn's digits (to a loss of
  0.5) or breast cancer (to 0.2).
* -conv: four convolutions 3x3 on digits, the first with stride 2, and a mean over positions.
* -forward, -backward: only the signal or only the gradient sees the gain. Behind each layer the
  other one is multiplied back to the size that it has at gain 0. That multiplies each layer's true
  gradient with a positive number, so that it still goes downhill.
* -norm: batch normalization in front of each hidden activation.

At the end stands, for each optimizer and gain, what the rules say and the range over the settings
that the budgets are for: all but those of the last two kinds.
"""

import argparse
import itertools
import math
import os
import statistics
from dataclasses import dataclass
from functools import partial

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
from sklearn import datasets

from keras_initcheck.rules import budgets

GAINS = (-20, -16, -12, -9, -6, -3, 0, 3, 6, 9, 12, 16, 20)
BATCH = 32
WINDOW = 10
SHRINKING_RATES = {"SGD": (0.003, 0.01, 0.03, 0.1), "Adam": (0.001, 0.003, 0.01, 0.03)}
GROWING_RATES = {
    "SGD": (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03),
    "Adam": (0.001, 0.003, 0.01, 0.03),
}
"""Learning rates to choose from up to gain 0, and above."""
MOMENTUM = 0.9
ADAM = (0.9, 0.999, 1e-7)
NORMALISATION_EPSILON = 1e-3
FILTERS = 16
BOUNDS = {"digits": 0.5, "cancer": 0.2}
ACTIVATIONS = {"relu": (jax.nn.relu, 2.0), "tanh": (jnp.tanh, 1.0)}
"""Function, and n Var[w] that keeps the signal."""


@dataclass(frozen=True)
class Setting:
    """A network on a data set, and which of signal and gradient see the gain."""

    data: str
    activation: str
    width: int
    depth: int
    sees: str = "both"
    is_normalized: bool = False
    is_convolutional: bool = False

    @property
    def name(self):
        """As it is printed and asked for."""
        size = "conv" if self.is_convolutional else f"{self.width}x{self.depth}"
        parts = [
            self.data,
            self.activation,
            size,
            "" if self.sees == "both" else self.sees,
            "norm" if self.is_normalized else "",
        ]
        return "-".join(part for part in parts if part)

    @property
    def has_budget(self):
        """Whether signal and gradient bear the gain, and nothing takes it out."""
        return self.sees == "both" and not self.is_normalized

    @property
    def gains(self):
        """The gains that its kernels can make; a tanh saturates instead of growing."""
        return tuple(gain for gain in GAINS if gain <= 0 or self.activation != "tanh")

    def fans(self, num_inputs):
        """Inputs and outputs of each hidden layer's kernel."""
        window = 9 if self.is_convolutional else 1
        widths = [1 if self.is_convolutional else num_inputs] + [self.width] * self.depth
        return [(window * before, after) for before, after in itertools.pairwise(widths)]


SETTINGS = (
    *(
        Setting("digits", activation, 64, depth)
        for activation in ("relu", "tanh")
        for depth in (6, 12)
    ),
    *(
        Setting("cancer", activation, 64, depth)
        for activation in ("relu", "tanh")
        for depth in (6, 12)
    ),
    Setting("digits", "relu", FILTERS, 4, is_convolutional=True),
    *(Setting("digits", "relu", 64, 6, sees) for sees in ("forward", "backward")),
    Setting("digits", "relu", 64, 6, is_normalized=True),
    Setting("digits", "relu", 256, 6),
)


def load(name):
    """Standardized inputs `(samples, features)`, labels and the number of classes."""
    x, y = (datasets.load_digits if name == "digits" else datasets.load_breast_cancer)(
        return_X_y=True
    )
    axis = None if name == "digits" else 0
    x = (x - x.mean(axis=axis)) / x.std(axis=axis)
    return jnp.asarray(x, jnp.float32), jnp.asarray(y), int(y.max()) + 1


def draw(setting, num_inputs, num_classes, seed, factor):
    """Kernels and biases of all layers; those of the hidden layers behind the first are `factor`
    times as large.
    """
    random = np.random.default_rng(seed)
    fans, variance = setting.fans(num_inputs), ACTIVATIONS[setting.activation][1]
    weights = []
    for index, (fan_in, fan_out) in enumerate(fans):
        scale = math.sqrt(variance / fan_in) * (factor if index > 0 else 1.0)
        kernel = scale * random.standard_normal((fan_in, fan_out))
        weights.append({"kernel": kernel, "bias": np.zeros(fan_out), "gamma": np.ones(fan_out)})
    head = random.standard_normal((setting.width, num_classes)) / math.sqrt(setting.width)
    return jax.tree.map(np.float32, [*weights, {"kernel": head, "bias": np.zeros(num_classes)}])


def patches(x, stride):
    """The 3x3 surroundings of each position, `(batch, rows, columns, 9 channels)`, with zeros
    beyond the borders.
    """
    rows, columns = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [
        padded[:, i : i + rows : stride, j : j + columns : stride]
        for i in range(3)
        for j in range(3)
    ]
    return jnp.concatenate(shifted, axis=-1)


def logits_of(weights, x, setting, factor):
    """The network's output `(batch, classes)`."""
    function = ACTIVATIONS[setting.activation][0]
    forward = 1.0 / factor if setting.sees == "backward" else 1.0
    backward = 1.0 / factor if setting.sees == "forward" else 1.0
    h = x.reshape(-1, 8, 8, 1) if setting.is_convolutional else x
    for index, layer in enumerate(weights[:-1]):
        if setting.is_convolutional:
            h = patches(h, 2 if index == 0 else 1)
        z = h @ layer["kernel"]
        if index > 0 and setting.sees != "both":
            z = forward * jax.lax.stop_gradient(z) + backward * (z - jax.lax.stop_gradient(z))
        if setting.is_normalized:
            z = (
                layer["gamma"]
                * (z - z.mean(axis=0))
                / jnp.sqrt(z.var(axis=0) + NORMALISATION_EPSILON)
            )
        h = function(z + layer["bias"])
    h = h.mean(axis=(1, 2)) if setting.is_convolutional else h
    return h @ weights[-1]["kernel"] + weights[-1]["bias"]


def updated(optimizer, weights, slots, gradients, rate, step):
    """Weights and the optimizer's two slots after a step."""
    first, second = slots
    if optimizer == "SGD":
        first = jax.tree.map(lambda m, g: MOMENTUM * m - rate * g, first, gradients)
        return jax.tree.map(jnp.add, weights, first), (first, second)
    decay, square_decay, epsilon = ADAM
    first = jax.tree.map(lambda m, g: decay * m + (1 - decay) * g, first, gradients)
    second = jax.tree.map(
        lambda v, g: square_decay * v + (1 - square_decay) * g * g, second, gradients
    )
    alpha = rate * jnp.sqrt(1 - square_decay ** (step + 1)) / (1 - decay ** (step + 1))
    return jax.tree.map(
        lambda w, m, v: w - alpha * m / (jnp.sqrt(v) + epsilon), weights, first, second
    ), (first, second)


@partial(jax.jit, static_argnames=("setting", "optimizer"))
def steps_to_learn(setting, optimizer, x, y, factor, weights, rates, batches):
    """Steps to the bound, `(rates, seeds)`; one more than there are batches where another rate was
    faster or none reached it.

    Args:
        setting: The network.
        optimizer: "SGD" or "Adam".
        x: All inputs.
        y: All labels.
        factor: What the kernels were multiplied with.
        weights: First weights, with a leading axis `(seeds,)`.
        rates: Learning rates, `(rates,)`.
        batches: Rows of `x`, `(steps, seeds, batch)`.
    """
    num_steps, num_seeds, _ = batches.shape
    num_rates = len(rates)

    def loss_of(weights, rows):
        logarithms = jax.nn.log_softmax(logits_of(weights, x[rows], setting, factor))
        return -jnp.take_along_axis(logarithms, y[rows, None], axis=1).mean()

    def train(weights, slots, rows, rate, step):
        loss, gradients = jax.value_and_grad(loss_of)(weights, rows)
        return loss, *updated(optimizer, weights, slots, gradients, rate, step)

    def is_going(state):
        step, counts = state[0], state[-1]
        return (step < num_steps) & (
            counts.reshape(num_rates, num_seeds).min(axis=0) > num_steps
        ).any()

    def advance(state):
        step, weights, slots, losses, counts = state
        rows = jnp.tile(batches[step], (num_rates, 1))
        loss, weights, slots = jax.vmap(train, (0, 0, 0, 0, None))(
            weights, slots, rows, jnp.repeat(rates, num_seeds), step
        )
        losses = losses.at[:, step % WINDOW].set(loss)
        is_reached = (losses.mean(axis=1) <= BOUNDS[setting.data]) & (counts > num_steps)
        return step + 1, weights, slots, losses, jnp.where(is_reached, step + 1, counts)

    weights = jax.tree.map(lambda w: jnp.tile(w, (num_rates,) + (1,) * (w.ndim - 1)), weights)
    zeros = jax.tree.map(jnp.zeros_like, weights)
    num_runs = num_rates * num_seeds
    state = (
        0,
        weights,
        (zeros, zeros),
        jnp.full((num_runs, WINDOW), jnp.inf),
        jnp.full(num_runs, num_steps + 1),
    )
    return jax.lax.while_loop(is_going, advance, state)[-1].reshape(num_rates, num_seeds)


def measure(setting, optimizer, gain, num_seeds, num_steps):
    """Median steps, infinite where the bound is not reached, and the rate that most seeds are
    fastest with.
    """
    x, y, num_classes = load(setting.data)
    factor = math.exp(gain / 2 / (setting.depth - 1))
    drawn = [draw(setting, x.shape[1], num_classes, seed, factor) for seed in range(num_seeds)]
    weights = jax.tree.map(lambda *each: np.stack(each), *drawn)
    batches = np.random.default_rng(num_seeds).integers(len(x), size=(num_steps, num_seeds, BATCH))
    rates = (GROWING_RATES if gain > 0 else SHRINKING_RATES)[optimizer]
    counts = np.asarray(
        steps_to_learn(setting, optimizer, x, y, factor, weights, np.float32(rates), batches), float
    )
    counts[counts > num_steps] = math.inf
    return (
        float(np.median(counts.min(axis=0))),
        rates[statistics.mode(counts.argmin(axis=0).tolist())],
    )


def row(setting, optimizer, num_seeds, num_steps):
    """By gain, what `measure` gives; in each direction up to the first gain that is not learned
    with.
    """
    cells = {}
    for direction in (
        sorted((gain for gain in setting.gains if gain <= 0), reverse=True),
        [gain for gain in setting.gains if gain > 0],
    ):
        for gain in direction:
            cells[gain] = measure(setting, optimizer, gain, num_seeds, num_steps)
            if math.isinf(cells[gain][0]):
                break
    return cells


def relative(setting, cells):
    """Steps over those at gain 0, by gain; infinite where there are none."""
    return {gain: cells.get(gain, (math.inf, None))[0] / cells[0][0] for gain in setting.gains}


def shown(ratio):
    """A ratio, a dash, or nothing where there is none."""
    if ratio is None:
        return ""
    return "-" if math.isinf(ratio) else f"{ratio:.1f}"


def line(title, values):
    """Prints a row of the table."""
    print(f"{title:36}" + "".join(f"{value:>8}" for value in values), flush=True)


def summary(optimizer, found):
    """Prints what the rules say for each gain, and the range over the settings."""
    columns = [[ratios[gain] for ratios in found if gain in ratios] for gain in GAINS]
    line(
        f"{optimizer}: beyond it, the rules say",
        [budgets.severity(gain * 1.001, optimizer) or "" for gain in GAINS],
    )
    extent(f"  {{}} of {len(found)} settings", columns)


def extent(title, columns):
    """Prints the least, the median and the most of each column; `title` has a place for these."""
    for name, choose in (("least", min), ("median", statistics.median_low), ("most", max)):
        line(title.format(name), [shown(choose(column)) if column else "" for column in columns])


def asked_for(description, settings, num_steps):
    """The arguments of the command line, and the settings that they name: all unless told."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=num_steps)
    parser.add_argument("--only", default=",".join(setting.name for setting in settings))
    arguments = parser.parse_args()
    return arguments, [each for each in settings if each.name in arguments.only.split(",")]


def main():
    """Prints the table of the settings that were asked for."""
    arguments, chosen = asked_for(__doc__, SETTINGS, num_steps=600)
    found = {optimizer: [] for optimizer in SHRINKING_RATES}
    line("steps, relative to gain 0; ln gain", GAINS)
    for setting in chosen:
        for optimizer, judged in found.items():
            cells = row(setting, optimizer, arguments.seeds, arguments.steps)
            ratios = relative(setting, cells)
            line(
                f"{setting.name} {optimizer} ({cells[0][0]:g})",
                [shown(ratios.get(gain)) for gain in GAINS],
            )
            line(
                "  best learning rate",
                [
                    f"{cells[gain][1]:g}" if math.isfinite(ratios.get(gain, math.inf)) else ""
                    for gain in GAINS
                ],
            )
            if setting.has_budget:
                judged.append(ratios)
    for optimizer, judged in found.items():
        if judged:
            summary(optimizer, judged)


if __name__ == "__main__":
    main()
