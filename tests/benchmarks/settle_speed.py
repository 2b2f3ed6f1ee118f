"""One pass against one pass a layer: settling 100 layers while the signal goes through, and the
published LSUV, in one run.

python tests/benchmarks/settle_speed.py
"""

import time

import keras
import numpy as np
from keras import layers
from repair import deviation, published_settling

from keras_initcheck.probe.data.batch import take_batch
from keras_initcheck.repairs.settling import Settler

DEPTH, WIDTH, BATCH = 100, 128, 32


def make_model(depth=DEPTH):
    keras.utils.set_random_seed(0)
    hidden = [
        layers.Dense(WIDTH, "tanh", kernel_initializer=keras.initializers.RandomNormal(stddev=0.02))
        for _ in range(depth)
    ]
    return keras.Sequential([keras.Input((64,)), *hidden, layers.Dense(10)])


def weight_layers(model):
    return [layer for layer in model.layers if isinstance(layer, layers.Dense)]


def in_one_pass(model, x):
    Settler(model, {id(layer): [layer.kernel] for layer in weight_layers(model)}).run(take_batch(x))


def layer_by_layer(model, x):
    published_settling(model, weight_layers(model), x)


def main():
    x = np.random.default_rng(0).standard_normal((BATCH, 64)).astype("float32")
    seconds, found = {}, {}
    for settle in (in_one_pass, layer_by_layer):
        settle(
            make_model(depth=2), x
        )  # what a backend compiles for these shapes is not what is compared
        model = make_model()
        start = time.perf_counter()
        settle(model, x)
        seconds[settle] = time.perf_counter() - start
        found[settle] = [
            deviation(model, layer, x) for layer in weight_layers(model)[:: DEPTH // 4]
        ]
    print(f"{keras.backend.backend()}: {DEPTH} layers of {WIDTH} units")
    for settle, name in ((in_one_pass, "one pass"), (layer_by_layer, "a pass a layer")):
        print(
            f"{name:>15}: {seconds[settle]:6.2f} s, deviations"
            f" {', '.join(f'{each:.3f}' for each in found[settle])}"
        )
    print(f"{'ratio':>15}: {seconds[layer_by_layer] / seconds[in_one_pass]:.0f}")


if __name__ == "__main__":
    main()
