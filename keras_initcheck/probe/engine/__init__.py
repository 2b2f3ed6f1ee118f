"""Framework code, one small module per backend with the same names. Nothing else in this package
imports a framework.

* `row_dtype()`: dtype in which rows reach the host, the widest that the device has.
* `fast_signal_row(tensor)`, `fast_gradient_row(tensor)`: the short rows of `rows.py`, in few passes
  and few operations.
* `compile_row(row)`: `row`, compiled where that pays within one pass.
* `stop_gradient(tensor)`.
* `tap(tensor, slot, row, is_copy)`: `tensor` unchanged; the "gradient" that `slot` receives is
  `row(gradient of tensor)`. Where tensors can be written to, `is_copy` makes that harmless.
* `trace_state()`: a token that differs inside a traced loop of the framework.
* `compile_pass(forward, model, gradient_row, is_repeated)`: see the TensorFlow module.
* `replay(batches, iterator, model)`: an iterator that yields `batches`, in place of the one that
  they were taken from.
* `sparse_head(value, size)`: the first samples of sparse data, of the framework's kind or SciPy's,
  as `fit` hands them to the model.
* `gathered(value)`: a value of which each replica holds a part, put together in the replicas'
  order; any other value as it is.
* `without_strategy()`: a context outside of the scope of a strategy that runs a model on replicas.
* `building_scope(model)`: a context in which a model gets its variables where its training expects
  them.
* `is_first_process(model)`: whether this process is the one that writes, of those that train a
  model together.
* `linearised(function, tensors, model)`: `function` of a list of tensors, which calls `model`, as a
  linear map at `tensors`: the number of its outputs, `pull(u)`, which gives `Jᵀ u` as a list of
  tensors, and `push(tensors)`, which gives `J v`. `u` and `J v` are vectors on the host. `push`
  raises whatever the framework does where an operation cannot be differentiated that way.
* `to_numpy(tensor)`: its values on the host, perhaps in the same memory.
* `kept_randomness()`: what puts the framework's global random state back as it is now.
* `isolated_randomness()`: a context in which draws do not depend on that state; it leaves the state
  as it was.
* `MODULES`, `TENSORS`: classes of objects with a state of their own that Keras does not know, which
  a layer may hold and change. Where there are any: `own_tensors(module)`; `num_bytes(tensor)`, what
  a copy takes; `kept_tensor(tensor)`, what puts its values back.
"""

import importlib
from types import ModuleType

import keras

from keras_initcheck.records.errors import ProbeError

BACKENDS = ("tensorflow", "jax", "torch")


def load() -> ModuleType:
    """The module of the running Keras backend.

    Raises:
        ProbeError: The backend is none of `BACKENDS`.
    """
    name = keras.backend.backend()
    if name not in BACKENDS:
        raise ProbeError(
            f"The Keras backend must be one of {BACKENDS}, which can compute gradients. Received:"
            f" {name!r}. Set the environment variable KERAS_BACKEND before keras is imported."
        )
    return importlib.import_module(f"{__name__}.{name}")
