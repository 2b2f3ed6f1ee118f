"""Tries a MirroredStrategy of two logical CPUs, which a process can have from its start only.
Prints what came of it as JSON.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from common import (
    BATCH,
    are_equal,
    data,
    exploding_network,
    network,
    runs,
    statistics,
    warned,
    weights,
)

import keras_initcheck as ic

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
STRATEGY = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
X, Y = data()


class Picky(keras.layers.Layer):
    """Runs on replicas and nowhere else, so that every probe of it fails half way."""

    def call(self, inputs):
        if not tf.distribute.has_strategy():
            raise RuntimeError("no replica here")
        return inputs


def replicas(model):
    """For each replica, all variables' values on it. Metrics are left out: each replica has a part
    of their sums.
    """
    copies = [
        STRATEGY.experimental_local_results(variable.value)
        for variable in [*model.variables, *model.optimizer.variables]
    ]
    return [
        [tf.convert_to_tensor(copy).numpy() for copy in of_replica]
        for of_replica in zip(*copies, strict=True)
    ]


def fitted(
    callbacks,
    samples=32,
    epochs=1,
    make=network,
    middle=(keras.layers.BatchNormalization,),
    strategy=STRATEGY,
    **options,
):
    """A network after a fit, and the warnings that it gave."""
    x, y = data(samples)
    with strategy.scope():
        model = make([each() for each in middle], **options) if make is network else make(**options)
    said = warned(
        lambda: model.fit(
            x, y, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks
        )
    )
    return model, said


def compare_fits(check, **options):
    """Whether every replica has the values that it has after a fit without the callback, and what
    was said.
    """
    plain, _ = fitted([], **options)
    probed, said = fitted([check], **options)
    return (
        all(are_equal(*pair) for pair in zip(replicas(plain), replicas(probed), strict=True)),
        said,
    )


def compiled_fit(log_dir):
    check = ic.InitCheck(log_dir, update_freq=2, histogram_freq=1)
    is_same, said = compare_fits(check, epochs=2)
    return {
        "is_same": is_same,
        "said": said,
        "statistics": statistics(check.first_report),
        "runs": runs(log_dir),
    }


def uneven_fit():
    """The last batch gives one replica three samples and the other two, and the iterator ends
    before the execution of three steps does.
    """
    check = ic.InitCheck(None)
    is_same, said = compare_fits(check, samples=BATCH + 5, run_eagerly=True, steps_per_execution=3)
    return {"is_same": is_same, "said": said, "batch_size": check.first_report.profile.batch_size}


def failing_probe():
    is_same, said = compare_fits(ic.InitCheck(None), middle=[Picky], run_eagerly=True)
    return {"is_same": is_same, "said": said}


def repaired_fit():
    check = ic.InitCheck(None, on_drift="repair")
    model, _ = fitted([check], make=exploding_network, run_eagerly=True)
    alone = exploding_network()
    ic.repair(alone, X[:BATCH], Y[:BATCH])
    return {
        "are_alike": are_equal(*replicas(model)),
        "is_kept": check.repairs[0].applied,
        "is_as_on_one_device": all(
            np.allclose(a, b, rtol=1e-4)
            for a, b in zip(weights(alone), replicas(model)[1], strict=False)
        ),
    }


def in_scope():
    found = {"outside": statistics(ic.check(network([keras.layers.PReLU()]), X[:BATCH], Y[:BATCH]))}
    with STRATEGY.scope():
        model = network([keras.layers.PReLU()])
        before = replicas(model)
        found["inside"] = statistics(ic.check(model, X[:BATCH], Y[:BATCH]))
        found["without data"] = ic.check(model).profile.batch_size
        found["is_in_scope_again"] = tf.distribute.get_strategy() is STRATEGY
        found["spectrum"] = ic.check(
            model, X[:BATCH], jacobian_spectrum=True
        ).profile.spectrum.largest
    found["is_same"] = all(are_equal(*pair) for pair in zip(before, replicas(model), strict=True))
    return found


def repair_in_scope():
    with STRATEGY.scope():
        model = exploding_network()
        before = replicas(model)
        done = ic.repair(model, X[:32], Y[:32])
        after = replicas(model)
        done.undo()
    undone = all(are_equal(*pair) for pair in zip(before, replicas(model), strict=True))
    return {
        "is_kept": not are_equal(before[0], after[0]),
        "are_alike": are_equal(*after),
        "is_undone": undone,
    }


def other_models():
    """A model that `check` builds has to fit under its strategy afterwards; one that was made
    outside of it is checked inside.
    """
    with STRATEGY.scope():
        unbuilt = keras.Sequential([keras.layers.Dense(4, "softmax")])
        unbuilt.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    ic.check(unbuilt, X[:BATCH], Y[:BATCH])
    unbuilt.fit(X, Y, batch_size=32, verbose=0)
    made_outside, alone = network(), statistics(ic.check(network(), X[:BATCH], Y[:BATCH]))
    with STRATEGY.scope():
        same = statistics(ic.check(made_outside, X[:BATCH], Y[:BATCH])) == alone
    one_device, check = tf.distribute.OneDeviceStrategy("CPU:1"), ic.InitCheck(None)
    fitted([check], strategy=one_device, run_eagerly=True)
    return {
        "steps": int(unbuilt.optimizer.iterations.numpy()),
        "made_outside": same,
        "one_device": statistics(check.first_report),
    }


def distributed_data():
    """A distributed data set, one of its batches, a probe in a loop, and a fit."""
    dataset = STRATEGY.experimental_distribute_dataset(
        tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH)
    )
    x, y = next(iter(dataset))
    check = ic.InitCheck(None)
    with STRATEGY.scope():
        model = network([keras.layers.BatchNormalization()], run_eagerly=True)
    found = {
        "data set": statistics(ic.check(model, dataset)),
        "batch": statistics(ic.check(model, x, y)),
    }
    with STRATEGY.scope():
        found["loop"] = statistics(ic.InitCheck(None).probe(model, x, y, step=0))
    model.fit(dataset, shuffle=False, verbose=0, callbacks=[check])
    return {**found, "fit": statistics(check.first_report)}


print(
    json.dumps(
        {
            "alone": statistics(
                ic.check(network([keras.layers.BatchNormalization()]), X[:BATCH], Y[:BATCH])
            ),
            "compiled_fit": compiled_fit(Path(sys.argv[1])),
            "uneven_fit": uneven_fit(),
            "failing_probe": failing_probe(),
            "repaired_fit": repaired_fit(),
            "in_scope": in_scope(),
            "repair_in_scope": repair_in_scope(),
            "other_models": other_models(),
            "distributed_data": distributed_data(),
        }
    )
)
