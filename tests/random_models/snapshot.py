"""All that a model is made of, at any depth: variables, arrays, attributes, containers, plain
objects; and the global random states.
"""

import random
import types

import keras
import numpy as np

LEAVES = (type(None), bool, int, float, complex, str, bytes)
OPAQUE = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    np.dtype,
)
DEEPEST = 12


def snapshot(model):
    """Paths with what stands there, to compare with `changes`; holds every object, so that no
    identity is used again.
    """
    found = {}
    roots = {
        "model": model,
        "optimizer": getattr(model, "optimizer", None),
        "losses": len(model.losses),
    }
    for name, value in {**roots, **global_states()}.items():
        walk(value, name, found, set(), 0)
    return found


def changes(before, after):
    """Paths at which two snapshots of one model differ."""
    paths = [*before, *[path for path in after if path not in before]]
    return [
        path
        for path in paths
        if path not in before or path not in after or not is_same(before[path], after[path])
    ]


def is_same(a, b):
    (value_a, print_a), (value_b, print_b) = a, b
    return print_a == print_b and (print_a is not None or value_a is value_b)


def walk(value, path, found, seen, depth):
    """Adds what is below `path`: identity of objects, contents of containers, bytes of arrays and
    variables.
    """
    if isinstance(value, LEAVES):
        found[path] = (None, repr(value))
    elif (numbers := numbers_of(value)) is not None:
        found[path] = (value, numbers)
    else:
        found[path] = (value, None)
        if id(value) in seen or isinstance(value, OPAQUE) or depth > DEEPEST:
            return
        seen.add(id(value))
        for name, part in parts_of(value):
            walk(part, f"{path}{name}", found, seen, depth + 1)


def numbers_of(value):
    """Type, shape and bytes of an array, tensor or variable; `None` for anything else."""
    if isinstance(value, np.ndarray):
        return (
            str(value.dtype),
            value.shape,
            value.tobytes() if value.dtype != object else repr(value),
        )
    if isinstance(value, keras.Variable):
        return (
            None
            if value._value is None
            else (value.dtype, tuple(value.shape), bytes_of(value.value), gradient_of(value.value))
        )
    if is_tensor(value):
        return (str(value.dtype), tuple(value.shape), bytes_of(value), gradient_of(value))
    return None


def is_tensor(value):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return isinstance(value, tf.Variable) or (tf.is_tensor(value) and hasattr(value, "numpy"))
    return keras.ops.is_tensor(value)


def bytes_of(tensor):
    try:
        return np.asarray(keras.ops.convert_to_numpy(tensor)).tobytes()
    except (
        Exception
    ) as error:  # a symbolic or meta tensor, a tracer: told apart by identity in `walk`'s record
        return f"no values: {type(error).__name__}"


def gradient_of(tensor):
    gradient = (
        getattr(tensor, "grad", None)
        if keras.backend.backend() == "torch" and getattr(tensor, "is_leaf", False)
        else None
    )
    return (
        bool(getattr(tensor, "requires_grad", False)),
        None if gradient is None else bytes_of(gradient),
    )


def parts_of(value):
    """What is inside of a container or an object."""
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", part) for key, part in list(value.items()))
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
    elif isinstance(value, (set, frozenset)):
        yield from ((f"{{{id(part)}}}", part) for part in value)
    if hasattr(value, "__dict__"):
        yield from ((f".{name}", part) for name, part in list(vars(value).items()))


def global_states():
    """Random states of Python, NumPy and the framework, and what Keras keeps for the process."""
    from keras.src.backend.common import global_state  # no public way to what Keras keeps

    found = {
        "python": repr(random.getstate()),
        "numpy": repr(np.random.get_state()),
        "policy": keras.config.dtype_policy().name,
    }
    kept = vars(global_state.GLOBAL_STATE_TRACKER)
    found["seed of Keras"] = repr(kept.get("global_seed_generator"))
    found["names"] = repr(
        sorted(
            (name, number)
            for name, number in names_given(kept).items()
            if not hasattr(keras.ops, name)
        )
    )
    found["framework"] = repr(FRAMEWORK_STATES.get(keras.backend.backend(), str)())
    return found


def names_given(kept):
    """How often Keras gave each name by itself. A pass through `keras.ops` counts, too, as it does
    in a fit.
    """
    return dict(kept.get("object_name_uids", {}))


def torch_state():
    import torch

    return (
        torch.random.get_rng_state().tolist(),
        torch.is_grad_enabled(),
        str(torch.get_default_dtype()),
    )


def tensorflow_state():
    from tensorflow.python.eager import context  # the eager generator has no public name

    return repr(context.context()._rng.getstate())


FRAMEWORK_STATES = {"torch": torch_state, "tensorflow": tensorflow_state}


def values(model):
    """Paths and bytes of every variable of a model, its optimizer and its metrics."""
    optimizer = getattr(model, "optimizer", None)
    variables = [*model.variables, *(optimizer.variables if optimizer else [])]
    return [
        (str(number), variable.dtype, bytes_of(variable.value))
        for number, variable in enumerate(variables)
    ]
