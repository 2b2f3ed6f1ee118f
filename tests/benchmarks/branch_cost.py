"""Prints what a small residual branch costs: steps of training to a small loss, relative to those
of the same network whose branches begin with zeros in their last layer.

    PYTHONPATH=. python tests/benchmarks/branch_cost.py [--seeds 3] [--steps 1000] [--only NAME,...]

Each branch has two layers, and multiplies the second moment of what enters it by `e^gain`. The
settings:

* teacher-...: classes that a random network with `|x|` as its activation gives to 2,000 standard
  normal inputs, from a linear stem, so many branches `x + W relu(V x)` of width 32, and a linear
  head, to half of the loss of guessing. The classes do not depend on the sign of an input, so that
  the network without branches, which is linear, learns nothing.
* digits-attention: scikit-learn's digits as 16 tokens of 2 x 2 pixels, and branches of attention
  and of a ReLU layer in turn, in front of a mean over the tokens, to the same. Without branches the
  network sees the mean of the tokens alone. The gain is that of values and projection; queries and
  keys stay as they are.
* -norm: a layer normalization in front of each branch and of the head; -plain: none, so that many
  branches of gain 1 make the signal explode.
* -last, -first: the last or first layer of each branch alone is small, and otherwise both alike.

Each cell is the median over the seeds at the best learning rate for each. The column "none" has no
branches at all: what is not slower than it does not show that the branches learn. "-": not within
the steps at any rate. The last lines are ranges over the settings without "-last" and "-first".
"""

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

from tests.benchmarks.gain_cost import WINDOW, asked_for, extent, line, shown, updated

ZERO, NONE = "zero", "none"
GAINS = (ZERO, 0, -4, -8, -12, -16, -20, -24, NONE)
RATES = {"SGD": (0.01, 0.03, 0.1, 0.3), "Adam": (0.001, 0.003, 0.01)}
BATCH = 32
WIDTH = 32
NUM_CLASSES = 10
NUM_INPUTS = 8
NUM_SAMPLES = 2000
BOUND = 0.5 * math.log(NUM_CLASSES)
NORMALIZATION_EPSILON = 1e-6


@dataclass(frozen=True)
class Setting:
    """A residual network, and which layers of its branches see the gain."""

    num_branches: int
    is_normalized: bool = True
    has_attention: bool = False
    small: str = "both"

    @property
    def name(self):
        """As it is printed and asked for."""
        kind = "digits-attention" if self.has_attention else "teacher"
        norm = "norm" if self.is_normalized else "plain"
        return "-".join(
            [kind, norm, str(self.num_branches), *([] if self.small == "both" else [self.small])]
        )

    @property
    def gains(self):
        """The gains to try: without normalization, many branches of gain 1 explode."""
        return tuple(gain for gain in GAINS if self.is_normalized or gain != 0)

    def factors(self, gain):
        """What the first and the last kernel of each branch are multiplied with."""
        if gain == ZERO:
            return 1.0, 0.0
        factor = 1.0 if gain == NONE else math.exp(gain / 2)
        share = {"both": 0.5, "first": 1.0, "last": 0.0}[self.small]
        return factor**share, factor ** (1.0 - share)


SETTINGS = (
    Setting(6),
    Setting(24),
    Setting(6, is_normalized=False),
    Setting(24, is_normalized=False),
    Setting(6, has_attention=True),
    Setting(6, small="first"),
    Setting(6, small="last"),
)


def load(setting):
    """Inputs `(samples, tokens, features)` and labels."""
    if setting.has_attention:
        x, y = datasets.load_digits(return_X_y=True)
        tokens = ((x - x.mean()) / x.std()).reshape(-1, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4)
        places = np.tile(np.eye(16)[None], (len(x), 1, 1))
        return np.float32(np.concatenate([tokens.reshape(-1, 16, 4), places], axis=-1)), y
    random = np.random.default_rng(0)
    x = random.standard_normal((NUM_SAMPLES, 1, NUM_INPUTS))
    features = np.abs(x[:, 0] @ random.standard_normal((NUM_INPUTS, WIDTH)))
    scores = features @ random.standard_normal((WIDTH, NUM_CLASSES))
    return np.float32(x), (scores - scores.mean(axis=0)).argmax(axis=1)


def draw(setting, num_inputs, seed, gain):
    """Kernels and biases: of the stem, of each branch, and of the head."""
    random = np.random.default_rng(seed)

    def dense(fan_in, fan_out, scale=1.0):
        kernel = scale * random.standard_normal((fan_in, fan_out)) / math.sqrt(fan_in)
        return {"kernel": kernel, "bias": np.zeros(fan_out)}

    first, last = setting.factors(gain)
    branches = []
    for number in range(setting.num_branches):
        is_attention = setting.has_attention and number % 2 == 0
        rectified = 1.0 if is_attention else math.sqrt(2.0)
        names = ("query", "key") if is_attention else ()
        branches.append(
            {
                **{name: dense(WIDTH, WIDTH) for name in names},
                "first": dense(WIDTH, WIDTH, rectified * first),
                "last": dense(WIDTH, WIDTH, last),
            }
        )
    weights = {
        "stem": dense(num_inputs, WIDTH),
        "branches": [] if gain == NONE else branches,
        "head": dense(WIDTH, NUM_CLASSES),
    }
    return jax.tree.map(np.float32, weights)


def normalized(x):
    """Each token with mean 0 and variance 1."""
    spread = x.var(axis=-1, keepdims=True) + NORMALIZATION_EPSILON
    return (x - x.mean(axis=-1, keepdims=True)) / jnp.sqrt(spread)


def dense(layer, x):
    """A linear layer."""
    return x @ layer["kernel"] + layer["bias"]


def branch_of(branch, x):
    """What is added to the stream."""
    h = dense(branch["first"], x)
    if "query" not in branch:
        return dense(branch["last"], jax.nn.relu(h))
    query, key = dense(branch["query"], x), dense(branch["key"], x)
    attention = jax.nn.softmax(jnp.einsum("btf,bsf->bts", query, key) / math.sqrt(WIDTH))
    return dense(branch["last"], jnp.einsum("bts,bsf->btf", attention, h))


def logits_of(weights, x, setting):
    """The network's output `(batch, classes)`."""
    norm = normalized if setting.is_normalized else lambda h: h
    h = dense(weights["stem"], x)
    for branch in weights["branches"]:
        h = h + branch_of(branch, norm(h))
    return dense(weights["head"], norm(h).mean(axis=1))


@partial(jax.jit, static_argnames=("setting", "optimizer"))
def steps_to_learn(setting, optimizer, x, y, weights, rates, batches):
    """Steps to the bound, `(rates, seeds)`; one more than there are batches where another rate was
    faster or none reached it.

    Args:
        setting: The network.
        optimizer: "SGD" or "Adam".
        x: All inputs.
        y: All labels.
        weights: First weights, with a leading axis `(seeds,)`.
        rates: Learning rates, `(rates,)`.
        batches: Rows of `x`, `(steps, seeds, batch)`.
    """
    num_steps, num_seeds, _ = batches.shape
    num_rates = len(rates)

    def loss_of(weights, rows):
        logarithms = jax.nn.log_softmax(logits_of(weights, x[rows], setting))
        return -jnp.take_along_axis(logarithms, y[rows, None], axis=1).mean()

    def train(weights, slots, rows, rate, step):
        loss, gradients = jax.value_and_grad(loss_of)(weights, rows)
        return loss, *updated(optimizer, weights, slots, gradients, rate, step)

    def is_going(state):
        step, counts = state[0], state[-1]
        fastest = counts.reshape(num_rates, num_seeds).min(axis=0)
        return (step < num_steps) & (fastest > num_steps).any()

    def advance(state):
        step, weights, slots, losses, counts = state
        rows = jnp.tile(batches[step], (num_rates, 1))
        loss, weights, slots = jax.vmap(train, (0, 0, 0, 0, None))(
            weights, slots, rows, jnp.repeat(rates, num_seeds), step
        )
        losses = losses.at[:, step % WINDOW].set(loss)
        is_reached = (losses.mean(axis=1) <= BOUND) & (counts > num_steps)
        return step + 1, weights, slots, losses, jnp.where(is_reached, step + 1, counts)

    weights = jax.tree.map(lambda w: jnp.tile(w, (num_rates,) + (1,) * (w.ndim - 1)), weights)
    zeros = jax.tree.map(jnp.zeros_like, weights)
    num_runs = num_rates * num_seeds
    losses = jnp.full((num_runs, WINDOW), jnp.inf)
    counts = jnp.full(num_runs, num_steps + 1)
    state = (0, weights, (zeros, zeros), losses, counts)
    return jax.lax.while_loop(is_going, advance, state)[-1].reshape(num_rates, num_seeds)


def measure(setting, optimizer, gain, num_seeds, num_steps):
    """Median steps, infinite where the bound is not reached, and the rate that most seeds are
    fastest with.
    """
    x, y = load(setting)
    drawn = [draw(setting, x.shape[-1], seed, gain) for seed in range(num_seeds)]
    weights = jax.tree.map(lambda *each: np.stack(each), *drawn)
    batches = np.random.default_rng(num_seeds).integers(len(x), size=(num_steps, num_seeds, BATCH))
    rates = RATES[optimizer]
    counts = np.asarray(
        steps_to_learn(setting, optimizer, x, y, weights, np.float32(rates), batches), float
    )
    counts[counts > num_steps] = math.inf
    fastest = statistics.mode(counts.argmin(axis=0).tolist())
    return float(np.median(counts.min(axis=0))), rates[fastest]


def row(setting, optimizer, num_seeds, num_steps):
    """Prints the cells of a setting, and returns steps over those of zeros, by gain."""
    cells = {g: measure(setting, optimizer, g, num_seeds, num_steps) for g in setting.gains}
    ratios = {gain: steps / cells[ZERO][0] for gain, (steps, _) in cells.items()}
    title = f"{setting.name} {optimizer} ({cells[ZERO][0]:g})"
    line(title, [shown(ratios.get(gain)) for gain in GAINS])
    rates = {gain: f"{rate:g}" for gain, (steps, rate) in cells.items() if math.isfinite(steps)}
    line("  best learning rate", [rates.get(gain, "") for gain in GAINS])
    return ratios


def summary(optimizer, found):
    """Prints the range over the settings."""
    columns = [[ratios[gain] for ratios in found if gain in ratios] for gain in GAINS]
    extent(f"{optimizer}, {{}} of {len(found)} settings", columns)


def main():
    """Prints the table of the settings that were asked for."""
    arguments, chosen = asked_for(__doc__, SETTINGS, num_steps=1000)
    found = {optimizer: [] for optimizer in RATES}
    line("steps, relative to zeros; ln gain", GAINS)
    for setting in chosen:
        for optimizer, ranges in found.items():
            ratios = row(setting, optimizer, arguments.seeds, arguments.steps)
            if setting.small == "both":
                ranges.append(ratios)
    for optimizer, ranges in found.items():
        if ranges:
            summary(optimizer, ranges)


if __name__ == "__main__":
    main()
