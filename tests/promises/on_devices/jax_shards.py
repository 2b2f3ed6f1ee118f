"""Tries Keras' distributions on four host devices, which a process can have from its start only.
Prints what came of it as JSON.
"""

import json
import os
import sys
from pathlib import Path

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import keras
import numpy as np
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

ONCE = 1000
"""An `update_freq` that leaves it at the first probe: XLA compiles a later one for many seconds."""
X, Y = data()


def data_parallel():
    return keras.distribution.DataParallel(devices=keras.distribution.list_devices())


def model_parallel():
    mesh = keras.distribution.DeviceMesh(
        (2, 2), ("batch", "model"), keras.distribution.list_devices()
    )
    layouts = keras.distribution.LayoutMap(mesh)
    layouts[".*wide/kernel"] = (None, "model")
    layouts[".*wide/bias"] = ("model",)
    layouts[".*head/kernel"] = ("model", None)
    return keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")


def fitted(callbacks, make=network):
    """A network after a fit, and the warnings that it gave."""
    model = make()
    said = warned(
        lambda: model.fit(X, Y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=callbacks)
    )
    return model, said


def shardings(model):
    return [variable.value.sharding for variable in model.variables]


def watched_fit(log_dir, update_freq):
    """`holders` counts the devices that hold a part of a kernel, `is_split` tells whether the parts
    differ.
    """
    plain, _ = fitted([])
    check = ic.InitCheck(log_dir, update_freq=update_freq)
    probed, said = fitted([check])
    kernel = probed.get_layer("wide").kernel.value
    return {
        "is_same": (
            are_equal(weights(plain), weights(probed)) and shardings(plain) == shardings(probed)
        ),
        "said": said,
        "statistics": statistics(check.first_report),
        "runs": runs(log_dir),
        "is_split": not kernel.sharding.is_fully_replicated,
        "holders": len(kernel.devices()),
    }


def failing_probe():
    plain, _ = fitted([])
    aside, said = fitted([ic.InitCheck(None, data=(X[:, :3], Y))])
    return {"is_same": are_equal(weights(plain), weights(aside)), "said": said}


def repaired_fit():
    check = ic.InitCheck(None, on_drift="repair", update_freq=ONCE)
    model, _ = fitted([check], make=exploding_network)
    copies = [
        [np.asarray(shard.data) for shard in variable.value.addressable_shards]
        for variable in model.variables
    ]
    before = exploding_network()
    return {
        "is_kept": check.repairs[0].applied,
        "are_alike": all(
            are_equal([copy], [of_variable[0]]) for of_variable in copies for copy in of_variable
        ),
        "is_changed": not are_equal(weights(before), weights(model)),
        "copies": len(copies[0]),
    }


found = {"alone": statistics(ic.check(network(), X[:BATCH], Y[:BATCH]))}
keras.distribution.set_distribution(model_parallel())
found["model_parallel"] = watched_fit(Path(sys.argv[1], "model_parallel"), update_freq=1)
keras.distribution.set_distribution(data_parallel())
found["data_parallel"] = watched_fit(Path(sys.argv[1], "data_parallel"), update_freq=ONCE)
found["failing_probe"] = failing_probe()
found["repaired_fit"] = repaired_fit()
print(json.dumps(found))
