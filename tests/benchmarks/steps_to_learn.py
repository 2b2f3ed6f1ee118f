"""Prints what faults beside a gain cost: steps of training to a small loss, on real data.

    KERAS_BACKEND=jax python tests/benchmarks/steps_to_learn.py [--seeds 2] [--only
    head,probabilities,labels,columns,first,draws,tied]

* head: digits; an MLP whose head is drawn `factor` times as large as He's, and a loss that takes
  logits.
* probabilities: the same with a softmax before a loss that takes, and clips, probabilities.
* labels: diabetes; standardized targets that are multiplied with a scale and shifted.
* columns: breast cancer; standardized columns, one of them multiplied with a factor, and all
  together scaled back to 1.
* first: digits; the first of six hidden layers multiplied with a factor, trained and frozen.
* draws: digits; 10 to 30 hidden layers, each with a draw of its own by He, or all with the same.
* tied: sequences of a Markov chain over 85 symbols; a transformer block whose table of symbols
  N(0, std²) is its head as well, to half way between guessing and the chain's entropy.

Each case is trained at several learning rates. The best one counts, and the rate that most begin
with stands beside it; "-" where the loss was not reached in 600 steps at any rate. These are the
measurements behind rules on head, labels, columns, frozen layers and equal draws.
"""

import argparse
import os
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn import datasets

NUM_STEPS = 600
BATCH = 64
RATES = {"sgd": (0.001, 0.01, 0.1), "adam": (0.0003, 0.001, 0.003, 0.01)}
USUAL = {"sgd": 0.01, "adam": 0.001}
HEADS = (1, 4, 8, 16, 32, 64)
COLUMNS = (1, 3, 10, 30, 100, 300)
FIRST = (1, 0.1, 0.01, 0.001)
DEPTHS = (10, 20, 30)
TABLES = (0.02, 0.125, 0.25, 0.5, 1, 2)
NUM_SYMBOLS, NUM_STATES, TABLE_WIDTH = 85, 8, 64
BINARY = "binary_crossentropy"
LABELS = (
    (1, 0),
    (1, 3),
    (1, 5),
    (1, 10),
    (1, 30),
    (5, 0),
    (10, 0),
    (20, 0),
    (30, 0),
    (50, 0),
    (100, 0),
    (3, 10),
    (7, 24),
    (15, 50),
    (30, 100),
    (77, 152),
    (0.3, 0),
    (0.1, 0),
    (0.03, 0),
    (0.001, 0),
)


class StepsTo(keras.callbacks.Callback):
    """Counts steps until the mean of the last 20 losses of a batch is at or below a bound, and
    stops there.
    """

    def __init__(self, bound):
        super().__init__()
        self.bound, self.losses, self.count = bound, [], NUM_STEPS + 1

    def on_train_batch_begin(self, batch, logs=None):
        """Keras' loss is a running mean: it begins anew with each batch."""
        self.model.reset_metrics()

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])
        if len(self.losses) >= 20 and statistics.fmean(self.losses[-20:]) <= self.bound:
            self.count = len(self.losses)
        self.model.stop_training = (
            self.count <= NUM_STEPS
            or not np.isfinite(logs["loss"])
            or len(self.losses) >= NUM_STEPS
        )


def dense(initializer="he_normal"):
    """A hidden layer."""
    return keras.layers.Dense(128, "relu", kernel_initializer=initializer)


def train(x, y, layers, loss, optimizer, rate, seed, bound):
    """Loss before training, and steps until it is below `bound`."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input(x.shape[1:]), *layers(seed)])
    chosen = (
        keras.optimizers.SGD(rate, momentum=0.9)
        if optimizer == "sgd"
        else keras.optimizers.Adam(rate)
    )
    model.compile(chosen, loss)
    before = float(model.evaluate(x, y, verbose=0))
    counter = StepsTo(bound)
    model.fit(
        x,
        y,
        batch_size=BATCH,
        epochs=1 + NUM_STEPS // (len(x) // BATCH),
        verbose=0,
        callbacks=[counter],
    )
    return before, counter.count


def row(title, x, y, layers, loss, bound, seeds):
    """Prints the loss at the start and, for each optimizer, the median steps at the best rate and
    at the usual one.
    """
    cells, before = [], []
    for optimizer, rates in RATES.items():
        counts = {}
        for rate in rates:
            runs = [
                train(x, y, layers, loss, optimizer, rate, seed, bound) for seed in range(seeds)
            ]
            before += [start for start, _ in runs]
            counts[rate] = statistics.median([count for _, count in runs])
        best = min(counts, key=counts.get)
        cells.append(
            f"{optimizer} {shown(counts[best]):>5} at {best:<6g}"
            f" {shown(counts[USUAL[optimizer]]):>5} at {USUAL[optimizer]:<6g}"
        )
    print(f"{title:25} loss {statistics.fmean(before):10.4g}   {'   '.join(cells)}", flush=True)


def shown(count):
    """A count of steps, or a dash."""
    return "-" if count > NUM_STEPS else f"{count:g}"


def standardized(columns):
    """Columns with mean 0 and deviation 1."""
    return ((columns - columns.mean(axis=0)) / columns.std(axis=0)).astype("float32")


def digits():
    """Images of unit scale, and their classes."""
    x, y = datasets.load_digits(return_X_y=True)
    return ((x - x.mean()) / x.std()).astype("float32"), y


def heads(seeds, activation):
    """Heads of several sizes on digits."""
    x, y = digits()
    print(f"digits, to a loss of 0.1; a uniform guess has {np.log(10):.3g}")
    for factor in HEADS:

        def layers(seed, factor=factor):
            initializer = keras.initializers.VarianceScaling(
                factor**2, "fan_in", "untruncated_normal"
            )
            return [
                dense(),
                dense(),
                keras.layers.Dense(10, activation, kernel_initializer=initializer),
            ]

        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=activation is None)
        row(f"head x {factor}", x, y, layers, loss, 0.1, seeds)


def labels(seeds):
    """Targets of several scales."""
    x, y = (standardized(values) for values in datasets.load_diabetes(return_X_y=True))
    print("diabetes, to half of the labels' variance")
    for scale, shift in LABELS:
        targets, bound = scale * y + shift, 0.5 * scale**2
        row(
            f"deviation {scale:g}, mean {shift:g}",
            x,
            targets,
            lambda _: [dense(), dense(), keras.layers.Dense(1)],
            "mse",
            bound,
            seeds,
        )


def columns(seeds):
    """Tables with one large column."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    print("breast cancer, to a loss of 0.1")
    for factor in COLUMNS:
        table = standardized(x)
        table[:, 9] *= factor  # of little use alone
        table /= np.sqrt(np.square(table).mean())
        row(
            f"one column x {factor}",
            table,
            y,
            lambda _: [dense(), dense(), keras.layers.Dense(1, "sigmoid")],
            BINARY,
            0.1,
            seeds,
        )


def first(seeds):
    """A first layer that is too small, trained and frozen."""
    print("digits, to a loss of 0.5")
    for is_trainable in (True, False):
        for factor in FIRST:

            def layers(seed, factor=factor, is_trainable=is_trainable):
                start = dense(
                    keras.initializers.VarianceScaling(
                        2.0 * factor**2, "fan_in", "untruncated_normal"
                    )
                )
                start.trainable = is_trainable
                return [start, *(dense() for _ in range(5)), keras.layers.Dense(10, "softmax")]

            kind = "trained" if is_trainable else "frozen"
            row(
                f"first x {factor:g}, {kind}",
                *digits(),
                layers,
                "sparse_categorical_crossentropy",
                0.5,
                seeds,
            )


def draws(seeds):
    """Layers with a draw of their own, and all with the same."""
    print("digits, to a loss of 0.5")
    for depth in DEPTHS:
        for is_same in (False, True):

            def layers(seed, depth=depth, is_same=is_same):
                hidden = [
                    dense(keras.initializers.HeNormal(seed=seed if is_same else None))
                    for _ in range(depth)
                ]
                return [*hidden, keras.layers.Dense(10, "softmax")]

            kind = "the same draw" if is_same else "own draws"
            row(
                f"{depth} layers, {kind}",
                *digits(),
                layers,
                "sparse_categorical_crossentropy",
                0.5,
                seeds,
            )


class TiedTransformer(keras.layers.Layer):
    """A causal transformer block between a table of symbols and the same table as a head."""

    def __init__(self, deviation):
        super().__init__()
        self.norms = [keras.layers.LayerNormalization() for _ in range(3)]
        self.attention = keras.layers.MultiHeadAttention(4, TABLE_WIDTH // 4)
        self.up = keras.layers.Dense(4 * TABLE_WIDTH, "gelu")
        self.down = keras.layers.Dense(TABLE_WIDTH)
        self.drawn = keras.initializers.RandomNormal(stddev=deviation)

    def build(self, shape):
        shape = (*shape, TABLE_WIDTH)
        for layer in (*self.norms, self.up):
            layer.build(shape)
        self.down.build((*shape[:-1], 4 * TABLE_WIDTH))
        self.attention.build(shape, shape)
        self.table = self.add_weight(shape=(NUM_SYMBOLS, TABLE_WIDTH), initializer=self.drawn)

    def call(self, symbols):
        x = keras.ops.take(self.table, keras.ops.cast(symbols, "int32"), axis=0)
        h = self.norms[0](x)
        x = x + self.attention(h, h, use_causal_mask=True)
        x = self.norms[2](x + self.down(self.up(self.norms[1](x))))
        return keras.ops.matmul(x, keras.ops.transpose(self.table))


def tied(seeds):
    """Tables of several sizes that are input and head at once."""
    random = np.random.default_rng(0)
    chances = random.dirichlet(np.full(NUM_SYMBOLS, 0.05), NUM_SYMBOLS)
    states = [random.integers(NUM_SYMBOLS, size=2000)]
    for _ in range(NUM_STATES):
        drawn = random.random((2000, 1))
        states.append((chances[states[-1]].cumsum(axis=1) < drawn).sum(axis=1) % NUM_SYMBOLS)
    symbols = np.stack(states, axis=1)
    entropy = -(chances * np.log(np.maximum(chances, 1e-300))).sum(axis=1).mean()
    bound = (np.log(NUM_SYMBOLS) + entropy) / 2
    print(f"sequences, to a loss of {bound:.3g}; a uniform guess has {np.log(NUM_SYMBOLS):.3g}")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for deviation in TABLES:
        row(
            f"table N(0, {deviation:g}²)",
            symbols[:, :-1].astype("float32"),
            symbols[:, 1:],
            lambda _, deviation=deviation: [TiedTransformer(deviation)],
            loss,
            bound,
            seeds,
        )


def main():
    """Prints the parts that were asked for."""
    parts = {
        "head": lambda seeds: heads(seeds, None),
        "probabilities": lambda seeds: heads(seeds, "softmax"),
        "labels": labels,
        "columns": columns,
        "first": first,
        "draws": draws,
        "tied": tied,
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", default=",".join(parts))
    arguments = parser.parse_args()
    for name in arguments.only.split(","):
        parts[name](arguments.seeds)


if __name__ == "__main__":
    main()
