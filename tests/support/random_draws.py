"""Random networks, healthy and faulty, and what `check` says of each."""

import math

import keras
import numpy as np
from keras import initializers, layers

import keras_initcheck as ic
from keras_initcheck.rules.measured import excess_over_band

WIDTHS = (16, 64, 256)
DEPTHS = (5, 20, 50)
SHALLOW = (5, 20)
BATCHES = (16, 256)
SHARED = 0.9
"""Share of the second moment of correlated inputs that all samples have in common."""
GAINS = {
    "IC104": "layer",
    "IC102": "gain",
    "IC103": "gain",
    "IC203": "measured",
    "IC303": "measured",
    "IC210": "leaves",
}
ALWAYS_INFORMATION = ("IC104", "IC210")

MLPS = {
    "relu, he_normal": ("relu", initializers.HeNormal, DEPTHS),
    "relu, he_uniform": ("relu", initializers.HeUniform, DEPTHS),
    "relu, orthogonal · √2": (
        "relu",
        lambda seed: initializers.Orthogonal(math.sqrt(2.0), seed=seed),
        DEPTHS,
    ),
    "tanh, glorot_normal": ("tanh", initializers.GlorotNormal, DEPTHS),
    "tanh, orthogonal": ("tanh", lambda seed: initializers.Orthogonal(seed=seed), DEPTHS),
    "selu, lecun_normal": ("selu", initializers.LecunNormal, SHALLOW),
    "gelu, n Var w = 2.35": (
        "gelu",
        lambda seed: initializers.VarianceScaling(2.3517, seed=seed),
        SHALLOW,
    ),
}
"""Activation, initializer and depths by title. With GELU 1 / E f² = 2.3517 keeps a second moment of
1, from which it departs by itself, and with SELU the gradient gains 1.07 and more in every layer:
fifty of them do reach the budget of a gain."""

CNNS = {
    "CNN, relu, he_normal": initializers.HeNormal,
    "CNN, relu, he_uniform": initializers.HeUniform,
}

FAULTS = {
    "glorot_uniform": (initializers.GlorotUniform, None),
    "N(0, 0.01²)": (lambda seed: initializers.RandomNormal(stddev=0.01, seed=seed), None),
    "N(0, 0.05²)": (lambda seed: initializers.RandomNormal(stddev=0.05, seed=seed), None),
    "N(0, 1)": (lambda seed: initializers.RandomNormal(stddev=1.0, seed=seed), None),
    "He, one layer × 3": (initializers.HeNormal, 3.0),
    "He, one layer / 3": (initializers.HeNormal, 1 / 3),
    "He, one layer × 1.5": (initializers.HeNormal, 1.5),
    "He, all × 1.2": (lambda seed: initializers.VarianceScaling(2.0 * 1.2**2, seed=seed), None),
    "He, all × 0.9": (lambda seed: initializers.VarianceScaling(2.0 * 0.9**2, seed=seed), None),
    "He, all × 1.05": (lambda seed: initializers.VarianceScaling(2.0 * 1.05**2, seed=seed), None),
}
"""Initializer, and by how much one layer in the middle is multiplied after it, by title. Of He's
weights, factors of the deviation.
"""


def mlp(width, depth, activation, initializer, seed):
    """`depth` hidden layers and a head, on `width` inputs."""
    keras.backend.clear_session()
    hidden = [
        layers.Dense(
            width,
            activation,
            kernel_initializer=initializer(seed=1000 * seed + number),
            name=f"hidden_{number}",
        )
        for number in range(depth)
    ]
    return keras.Sequential(
        [
            keras.Input((width,)),
            *hidden,
            layers.Dense(10, kernel_initializer=initializers.LecunNormal(seed=seed)),
        ]
    )


def inputs(shape, seed, is_correlated):
    """Standard normal numbers `shape`, of which samples share nine tenths where they are
    correlated, and images are smooth.
    """
    generator = np.random.default_rng(seed)
    x = generator.standard_normal(shape)
    if is_correlated:
        x = (
            math.sqrt(SHARED) * generator.standard_normal((1, *shape[1:]))
            + math.sqrt(1.0 - SHARED) * x
        )
        for axis in range(1, len(shape) - 1):
            x = (
                sum(np.roll(x, shift, axis) for shift in range(4)) / 2.0
            )  # four alike numbers of variance 1, halved
    return x.astype("float32")


def said(report):
    """The kinds of alarm in a report, by `GAINS`."""
    return {GAINS[each.code] for each in report.findings if each.code in GAINS and _counts(each)}


def alarms(model, x):
    """The kinds of alarm that `check` raises, and `"band"`."""
    report = ic.check(model, x, batch_size=len(x))
    return said(report) | ({"band"} if _leaves_band(report.profile) else set())


def mlp_alarms(kind, width, depth, seed):
    """The alarms of one draw of the weights on each kind and size of batch."""
    activation, initializer, _ = MLPS[kind]
    model = mlp(width, depth, activation, initializer, seed)
    return [
        alarms(model, inputs((batch, width), seed, is_correlated))
        for batch in BATCHES
        for is_correlated in (False, True)
    ]


def cnn_alarms(kind, seed, sizes=((4, 16), (10, 32)), batches=(4, 16)):
    """The same of convolutional networks; `sizes` are depths and numbers of filters."""
    found = []
    for depth, filters in sizes:
        keras.backend.clear_session()
        options = {"padding": "same", "activation": "relu"}
        hidden = [
            layers.Conv2D(
                filters, 3, kernel_initializer=CNNS[kind](seed=1000 * seed + number), **options
            )
            for number in range(depth)
        ]
        model = keras.Sequential(
            [keras.Input((16, 16, 3)), *hidden, layers.GlobalAveragePooling2D(), layers.Dense(10)]
        )
        found += [
            alarms(model, inputs((batch, 16, 16, 3), seed, is_correlated))
            for batch in batches
            for is_correlated in (False, True)
        ]
    return found


def fault_alarms(fault, width, depth, seed):
    """The alarms of one draw of a faulty network on 64 white samples. Of a single faulty layer,
    `"layer"` counts only if it is named.
    """
    initializer, factor = FAULTS[fault]
    model = mlp(width, depth, "relu", initializer, seed)
    if factor is not None:
        kernel = model.get_layer(f"hidden_{depth // 2}").kernel
        kernel.assign(kernel * factor)
    report = ic.check(model, inputs((64, width), seed, False), batch_size=64)
    is_named = factor is None or any(
        each.code == "IC104" and f"hidden_{depth // 2}" in each.culprits for each in report.findings
    )
    return said(report) & {"gain", "layer" if is_named else ""}


def _counts(finding):
    return finding.severity != "info" or finding.code in ALWAYS_INFORMATION


def _leaves_band(profile):
    """Whether the measured gain from the second hidden layer to the last leaves the band by more
    than a factor of two.
    """
    hidden = [site for site in profile.weight_sites if not site.is_head][1:]
    departure = math.fsum(
        math.log(site.forward_ratio / site.predicted_forward_ratio) for site in hidden
    )
    variances = [site.log_ratio_variance for site in hidden]
    return excess_over_band(departure, variances) > math.log(2.0)
