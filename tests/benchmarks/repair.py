"""What a repair is worth: does a network train as it is built, and after each cure? Printed as a
table.

    python tests/benchmarks/repair.py [--seeds 3] [--nets NAME ...]

Every network is trained on scikit-learn's digits, 1437 for training and 360 for the test: SGD with
momentum 0.9, or Adam where the name of the row says so, batches of 64, 600 steps, at each of four
learning rates (He et al. 2015, figure 3, compare at one). A cell is the median over the seeds of
the test accuracy at the rate with the least last training loss, and of the fewest steps at any rate
until the training loss is below 0.5 ("-": never), as a straight line between the means of two
epochs has it. The steps have a rate of their own: among rates that all end near zero the last loss
decides by chance, and the number of steps is another at each. Convolutions are quickest with
`KERAS_BACKEND=torch`, all else with JAX, the default.
"""

import argparse
import os
import time

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

import keras_initcheck as ic

STEPS, BATCH = 600, 64
RATES = {"SGD": (0.1, 0.03, 0.01, 0.003), "Adam": (0.01, 0.003, 0.001, 0.0003)}
GOAL = 0.5


def normal(std):
    return lambda: keras.initializers.RandomNormal(stddev=std)


def stack(depth, width, activation, initializer):
    return [layers.Dense(width, activation, kernel_initializer=initializer()) for _ in range(depth)]


def mlp(depth, initializer, activation="relu", width=128):
    return keras.Sequential(
        [keras.Input((64,)), *stack(depth, width, activation, initializer), layers.Dense(10)]
    )


def residual(initializer=keras.initializers.HeNormal, blocks=48):
    signal = entered = keras.Input((64,))
    for _ in range(blocks):
        inner = layers.Dense(64, "relu", kernel_initializer=initializer())(signal)
        signal = layers.Add()([signal, layers.Dense(64, kernel_initializer=initializer())(inner)])
    return keras.Model(entered, layers.Dense(10)(signal))


def cnn(initializer):
    hidden = []
    for filters in (16, 32, 32, 32):
        hidden.append(
            layers.Conv2D(
                filters, 3, padding="same", activation="relu", kernel_initializer=initializer()
            )
        )
    dense = stack(2, 128, "relu", initializer)
    head = layers.Dense(10, kernel_initializer=initializer())
    return keras.Sequential(
        [
            keras.Input((64,)),
            layers.Reshape((8, 8, 1)),
            *hidden,
            layers.MaxPooling2D(),
            layers.Flatten(),
            *dense,
            head,
        ]
    )


def vgg16(initializer):
    """The thirteen convolutions of VGG16 at an eighth of their filters, with its two hidden dense
    layers; digits allow two poolings.
    """
    hidden = []
    for stage, (filters, number) in enumerate(((8, 2), (16, 2), (32, 3), (64, 3), (64, 3))):
        hidden += [
            layers.Conv2D(
                filters, 3, padding="same", activation="relu", kernel_initializer=initializer()
            )
            for _ in range(number)
        ]
        hidden += [layers.MaxPooling2D()] if stage in (1, 3) else []
    dense = stack(2, 128, "relu", initializer)
    return keras.Sequential(
        [
            keras.Input((64,)),
            layers.Reshape((8, 8, 1)),
            *hidden,
            layers.Flatten(),
            *dense,
            layers.Dense(10),
        ]
    )


def transformer(initializer):
    entered = keras.Input((64,))
    signal = layers.Dense(32, kernel_initializer=initializer())(layers.Reshape((8, 8))(entered))
    for _ in range(4):
        inner = layers.LayerNormalization()(signal)
        signal = layers.Add()(
            [
                signal,
                layers.MultiHeadAttention(4, 8, kernel_initializer=initializer())(inner, inner),
            ]
        )
        inner = layers.Dense(64, "gelu", kernel_initializer=initializer())(
            layers.LayerNormalization()(signal)
        )
        signal = layers.Add()([signal, layers.Dense(32, kernel_initializer=initializer())(inner)])
    return keras.Model(
        entered, layers.Dense(10)(layers.Flatten()(layers.LayerNormalization()(signal)))
    )


def gru(initializer):
    recurrent = layers.GRU(
        64, kernel_initializer=initializer(), recurrent_initializer=initializer()
    )
    return keras.Sequential(
        [keras.Input((64,)), layers.Reshape((8, 8)), recurrent, layers.Dense(10)]
    )


def unsquashed(initializer):
    """Whose state nothing bounds: it explodes over the eight steps."""
    recurrent = layers.SimpleRNN(64, "relu", recurrent_initializer=initializer())
    return keras.Sequential(
        [keras.Input((64,)), layers.Reshape((8, 8)), recurrent, layers.Dense(10)]
    )


def half(initializer):
    """All layers, the head too, in float16."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float16")
    try:
        hidden = stack(6, 128, "relu", initializer)
        head = layers.Dense(10, kernel_initializer=initializer())
        return keras.Sequential([keras.Input((64,)), *hidden, head])
    finally:
        keras.config.set_dtype_policy(policy)


class Product(layers.Layer):
    """A dense layer with ReLU, as a user writes it."""

    def __init__(self, width, initializer):
        super().__init__()
        self.width, self.initializer = width, initializer

    def build(self, shape):
        shape = (shape[-1], self.width)
        self.w = self.add_weight(shape=shape, initializer=self.initializer, name="w")

    def call(self, x):
        return keras.ops.relu(keras.ops.matmul(x, self.w))


def own(initializer):
    hidden = [Product(128, initializer()) for _ in range(6)]
    return keras.Sequential([keras.Input((64,)), *hidden, layers.Dense(10)])


NETS = {
    "MLP 22x128 Glorot": lambda: mlp(22, keras.initializers.GlorotNormal),
    "MLP 30x128 Glorot": lambda: mlp(30, keras.initializers.GlorotNormal),
    "MLP 8x128 N(0,0.01²)": lambda: mlp(8, normal(0.01)),
    "CNN N(0,1)": lambda: cnn(normal(1.0)),
    "VGG16 / 8, Keras defaults": lambda: vgg16(keras.initializers.GlorotUniform),
    "sigmoid 4x128 N(0,1)": lambda: mlp(4, normal(1.0), "sigmoid"),
    "tanh 6x128 N(0,1)": lambda: mlp(6, normal(1.0), "tanh"),
    "residual MLP 48, no norm": residual,
    "transformer N(0,1)": lambda: transformer(normal(1.0)),
    "GRU N(0,2²)": lambda: gru(normal(2.0)),
    "MLP 4x128 constant": lambda: mlp(4, lambda: keras.initializers.Constant(0.1)),
    "MLP 34x64 N(0,0.01²)": lambda: mlp(34, normal(0.01), width=64),
    "float16 6x128 N(0,1)": lambda: half(normal(1.0)),
    "SimpleRNN relu, N(0,1)": lambda: unsquashed(normal(1.0)),
    "transformer N(0,1), Adam": lambda: transformer(normal(1.0)),
    "MLP 4x128 one seed": lambda: mlp(4, lambda: keras.initializers.HeNormal(seed=1)),
    "own layers 6x128 N(0,0.01²)": lambda: own(normal(0.01)),
}


def data():
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.data))
    x = ((digits.data - digits.data.mean()) / digits.data.std()).astype("float32")[order]
    y = digits.target[order].astype("int32")
    return (x[:1437], y[:1437]), (x[1437:], y[1437:])


def as_built(model, batch, seed):
    """No cure."""


def by(method):
    def cure(model, batch, seed):
        ic.repair(model, *batch, method=method, seed=seed)

    return cure


def keras_defaults(model, batch, seed):
    """Every kernel drawn anew with Keras' own default."""
    for layer in model._flatten_layers():
        for variable in layer.weights if not list(layer._layers) else []:
            if variable.name.endswith("kernel"):
                variable.assign(keras.initializers.GlorotUniform()(variable.shape))


def published_lsuv(model, batch, seed):
    """Mishkin & Matas 2016, algorithm 1: orthonormal kernels, then layer by layer a pass of the
    whole network for each correction.
    """
    found = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, (layers.Dense, layers.EinsumDense, layers.Conv2D))
    ]
    for layer in found:
        layer.kernel.assign(keras.initializers.Orthogonal()(layer.kernel.shape))
    published_settling(model, found, batch[0])


def published_settling(model, found, x):
    """The second half of algorithm 1: a pass of the whole network for each correction of each
    layer.
    """
    for layer in found:
        for _ in range(10):
            spread = deviation(model, layer, x)
            if abs(spread - 1.0) < 0.1 or not 0.0 < spread < np.inf:
                break
            layer.kernel.assign(layer.kernel.value / spread)


def deviation(model, layer, x):
    """Standard deviation of what the layer makes before its activation."""
    seen = []
    original, activation = layer.call, layer.activation

    def call(*arguments, **options):
        layer.activation = keras.activations.linear
        seen.append(
            float(keras.ops.convert_to_numpy(keras.ops.std(original(*arguments, **options))))
        )
        layer.activation = activation
        return original(*arguments, **options)

    layer.call = call
    try:
        model(x)
    finally:
        layer.call = original
    return seen[0] if seen else 1.0


CURES = {
    "as built": as_built,
    "repair": by("auto"),
    "he": by("he"),
    "lsuv": by("lsuv"),
    "published LSUV": published_lsuv,
    "Keras' defaults": keras_defaults,
}


def trained(model, initial, rate, training, test):
    """`(loss of each epoch, test accuracy)` from the given initial values of all variables, the
    optimizer's too.
    """
    for variable, value in zip(_variables(model), initial, strict=True):
        variable.assign(value)
    model.optimizer.learning_rate.assign(rate)
    epochs = -(-STEPS // (len(training[0]) // BATCH + 1))
    history = model.fit(
        *training,
        batch_size=BATCH,
        epochs=epochs,
        verbose=0,
        callbacks=[keras.callbacks.TerminateOnNaN()],
    )
    return history.history["loss"], float(
        np.mean(np.argmax(model.predict(test[0], verbose=0), axis=1) == test[1])
    )


def _variables(model):
    return [*model.variables, *model.optimizer.variables]


def compiled(name):
    """The network of that row, and the learning rates to try."""
    model = NETS[name]()
    family = "Adam" if name.endswith("Adam") else "SGD"
    optimizer = (
        keras.optimizers.Adam() if family == "Adam" else keras.optimizers.SGD(0.1, momentum=0.9)
    )
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model, RATES[family]


def steps_to_goal(losses, steps_of_epoch):
    """Steps until the loss is below the goal; infinite where it never is.

    The mean of an epoch stands for its middle.
    """
    reached = next((epoch for epoch, loss in enumerate(losses) if loss < GOAL), None)
    if reached is None:
        return np.inf
    if reached == 0:
        return steps_of_epoch / 2
    before, after = losses[reached - 1], losses[reached]
    return (reached - 0.5 + (before - GOAL) / (before - after)) * steps_of_epoch


def cell(name, cure, seed, training, test):
    """The test accuracy at the best learning rate, and the fewest steps to the goal at any."""
    keras.utils.set_random_seed(seed)
    model, rates = compiled(name)
    cure(model, (training[0][:BATCH], training[1][:BATCH]), seed)
    model.optimizer.build(model.trainable_variables)
    initial = [
        np.array(keras.ops.convert_to_numpy(variable.value)) for variable in _variables(model)
    ]
    runs = [trained(model, initial, rate, training, test) for rate in rates]
    finite = [run for run in runs if np.isfinite(run[0][-1])]
    _, accuracy = min(finite or runs, key=lambda run: run[0][-1])
    steps_of_epoch = len(training[0]) // BATCH + 1
    return accuracy, min(steps_to_goal(losses, steps_of_epoch) for losses, _ in finite or runs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--cures", nargs="+", default=list(CURES), choices=list(CURES), metavar="NAME"
    )
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS), metavar="NAME")
    arguments = parser.parse_args()
    training, test = data()
    print(
        f"{keras.backend.backend()}, {arguments.seeds} seeds: test accuracy after {STEPS} steps /"
        f" steps to a loss of {GOAL}"
    )
    print(f"| {'network':27} | " + " | ".join(f"{name:>15}" for name in arguments.cures) + " |")
    print("|" + "-" * 29 + "|" + ("-" * 16 + ":|") * len(arguments.cures))
    start = time.perf_counter()
    for name in arguments.nets:
        shown = []
        for cure in (CURES[each] for each in arguments.cures):
            cells = [cell(name, cure, seed, training, test) for seed in range(arguments.seeds)]
            steps = sorted(each for _, each in cells)[len(cells) // 2]
            shown.append(
                f"{np.median([accuracy for accuracy, _ in cells]):.3f} /"
                f" {'-' if steps == np.inf else round(steps):>4}"
            )
        print(f"| {name:27} | " + " | ".join(f"{each:>15}" for each in shown) + " |", flush=True)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
