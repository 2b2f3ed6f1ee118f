"""A batch for any of the networks, and the report on it."""

import keras
import numpy as np

import keras_initcheck as ic
from tests.truth.builders import VOCABULARY

BATCH = 32


def batch(model, seed=0):
    """Standard normal inputs, or token ids; labels that the model's loss takes."""
    generator = np.random.default_rng(seed)

    def drawn(tensor):
        shape = (BATCH, *tensor.shape[1:])
        return (
            generator.integers(0, VOCABULARY, shape)
            if "int" in str(tensor.dtype)
            else generator.standard_normal(shape).astype("float32")
        )

    inputs = getattr(model, "inputs", None)
    x = (
        [drawn(tensor) for tensor in inputs]
        if inputs
        else [generator.standard_normal((BATCH, 64)).astype("float32")]
    )
    y = (
        generator.integers(0, 10, BATCH)
        if is_classifier(model)
        else generator.standard_normal((BATCH, *model.output_shape[1:]))
    )
    return x[0] if len(x) == 1 else x, y


def is_classifier(model):
    """Whether the output are ten class probabilities."""
    return not getattr(model, "inputs", None) or tuple(model.output_shape[1:]) == (10,)


def is_regression(net, model):
    """Whether a squared error is right for random labels; the data sets that are compiled with
    nothing of their own have classes.
    """
    return net.data is None and not is_classifier(model)


def _optimizer(net):
    named = isinstance(net.optimizer, str)
    optimizer = keras.optimizers.get(net.optimizer) if named else net.optimizer()
    if net.rate is not None:
        optimizer.learning_rate = net.rate
    return optimizer


def judged(net, seed):
    """The report on a fresh draw of the network."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    model = net.build()
    model.compile(
        _optimizer(net),
        net.loss or ("mse" if is_regression(net, model) else "sparse_categorical_crossentropy"),
    )
    return ic.check(model, *(net.data(seed) if net.data else batch(model, seed)))


def wrong(net, report):
    """What the report says wrongly of the network, in words; empty where it is right."""
    said = [finding for finding in report.findings if finding.severity != "info"]
    if not net.codes:
        return "; ".join(f"{finding.code} {finding.message}" for finding in said)
    right = [finding for finding in said if finding.code in net.codes]
    if not right:
        return f"expected one of {net.codes}, said {[finding.code for finding in said]}"
    if net.severity == "error" and not any(finding.severity == "error" for finding in right):
        return f"expected an error, said {[(each.code, each.severity) for each in right]}"
    culprits = {layer for finding in right for layer in (finding.layer, *finding.culprits)}
    return (
        ""
        if net.culprit is None or net.culprit in culprits
        else f"expected culprit {net.culprit}, named {sorted(map(str, culprits))}"
    )
