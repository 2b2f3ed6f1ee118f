"""From a description to a Keras model: the same seed gives the same weights."""

import contextlib

import keras
from keras import layers as L  # noqa: N812

from tests.random_models.data import inputs_of
from tests.random_models.description import (
    BATCH,
    CLASSES,
    SHAPES,
    is_stateful,
    keeps_state,
    names_of,
    packed,
    stream_kinds,
)
from tests.random_models.kinds import KINDS, NESTED


def build_model(case):
    """The model of a case, built, compiled, and changed as `extra` says; a "subclassed_unbuilt" one
    is only compiled.
    """
    keras.utils.set_random_seed(case.seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(case.dtype)
    try:
        with keras.RematScope(mode="full") if case.extra == "remat" else contextlib.nullcontext():
            model = STYLES[case.style](case)
    finally:
        keras.config.set_dtype_policy(before)
    change(model, case)
    if case.training.is_compiled:
        compile_model(model, case)
    return model


def layers_of(node):
    """The layers that a node owns."""
    if node.kind in NESTED:
        return [NESTS[node.kind](node)]
    return KINDS[node.kind].make(**node.options)


def nested_functional(node):
    inputs = keras.Input(
        SHAPES[node.options["stream"]], batch_size=BATCH if keeps_state(node.inner) else None
    )
    return keras.Model(inputs, run_inside(node, [layers_of(each) for each in node.inner], inputs))


def nested_sequential(node):
    return keras.Sequential([layer for each in node.inner for layer in layers_of(each)])


def run_inside(node, rows, x):
    for each, layers in zip(node.inner, rows, strict=True):
        x = KINDS[each.kind].apply(layers, x)
    return x


class NestedLayer(L.Layer):
    """Steps in a layer of its own, in a list of lists."""

    def __init__(self, node, **kwargs):
        super().__init__(**kwargs)
        self.node = node
        self.rows = [layers_of(each) for each in node.inner]

    def call(self, x):
        return run_inside(self.node, self.rows, x)


class NestedModel(keras.Model):
    """Steps in a model of its own, in a dictionary."""

    def __init__(self, node, **kwargs):
        super().__init__(**kwargs)
        self.node = node
        self.rows = {f"row_{index}": layers_of(each) for index, each in enumerate(node.inner)}

    def call(self, x):
        return run_inside(self.node, list(self.rows.values()), x)


NESTS = {
    "nested_functional": nested_functional,
    "nested_sequential": nested_sequential,
    "nested_layer": NestedLayer,
    "nested_model": NestedModel,
}


class Parts:
    """The layers of a case, and how a batch goes through them."""

    def __init__(self, case):
        self.case = case
        self.rows = [[] if node.shares is not None else layers_of(node) for node in case.nodes]
        self.heads = [head(case, index, output) for index, output in enumerate(case.outputs)]

    def run(self, inputs):
        """The outputs, in a list."""
        return walk(self.case, self.rows, self.heads, inputs)


def walk(case, rows, heads, inputs):
    streams = list(inputs)
    for node, own in zip(case.nodes, rows, strict=True):
        layers = own if node.shares is None else rows[node.shares]
        streams.append(KINDS[node.kind].apply(layers, *[streams[index] for index in node.inputs]))
    return [
        run_head(layers, streams[output.stream])
        for layers, output in zip(heads, case.outputs, strict=True)
    ]


def run_head(layers, x):
    for layer in layers:
        x = layer(x)
    return x


def head(case, index, output):
    """Layers from a stream to an output; in float32, as mixed precision wants it."""
    pool = {"sequence": [L.GlobalAveragePooling1D], "image": [L.GlobalAveragePooling2D]}.get(
        stream_kinds(case)[output.stream], []
    )
    dtype = case.dtype if case.dtype == "float64" else "float32"
    return [
        *[make() for make in pool],
        L.Dense(CLASSES, output.activation, dtype=dtype, name=f"output_{index}"),
    ]


def input_tensors(case):
    """Symbolic inputs; of a fixed batch size where a layer keeps its state from batch to batch."""
    size = BATCH if is_stateful(case) else None
    return [
        keras.Input(
            SHAPES[kind],
            batch_size=size,
            dtype="int32" if kind == "ids" else None,
            name=f"input_{index}",
        )
        for index, kind in enumerate(case.inputs)
    ]


def functional(case):
    inputs, parts = input_tensors(case), Parts(case)
    names = names_of(case)
    return keras.Model(packed(case, inputs, names[0]), packed(case, parts.run(inputs), names[1]))


def sequential(case):
    parts = Parts(case)
    return keras.Sequential(
        [*input_tensors(case), *[layer for row in [*parts.rows, *parts.heads] for layer in row]]
    )


class Endpoint(L.Layer):
    """Adds a loss and passes the rest on."""

    def call(self, x):
        self.add_loss(keras.ops.mean(keras.ops.square(keras.ops.cast(x, "float32"))))
        return x


def endpoint(case):
    """A Functional model with an end that brings its own loss."""
    inputs, parts = input_tensors(case), Parts(case)
    names = names_of(case)
    outputs = [
        Endpoint(name=f"end_{index}", dtype="float32")(output)
        for index, output in enumerate(parts.run(inputs))
    ]
    return keras.Model(packed(case, inputs, names[0]), packed(case, outputs, names[1]))


class Subclassed(keras.Model):
    """Holds its layers in lists, and calls them itself."""

    def __init__(self, case, **kwargs):
        super().__init__(**kwargs)
        self.case = case
        parts = Parts(case)
        self.rows, self.heads = parts.rows, parts.heads

    def call(self, inputs):
        given = (
            list(inputs.values())
            if isinstance(inputs, dict)
            else inputs
            if isinstance(inputs, (list, tuple))
            else [inputs]
        )
        outputs = walk(self.case, self.rows, self.heads, given)
        return packed(self.case, outputs, names_of(self.case)[1])


class SubclassedWithDicts(Subclassed):
    """Holds them in dictionaries, and gives tuples."""

    def __init__(self, case, **kwargs):
        keras.Model.__init__(self, **kwargs)
        self.case = case
        parts = Parts(case)
        self.by_name = {
            "rows": {str(i): row for i, row in enumerate(parts.rows)},
            "heads": parts.heads,
        }
        self.number_of_calls = 0

    @property
    def rows(self):
        return list(self.by_name["rows"].values())

    @property
    def heads(self):
        return self.by_name["heads"]

    def call(self, inputs):
        self.number_of_calls += 1
        outputs = super().call(inputs)
        return tuple(outputs) if isinstance(outputs, list) else outputs


def run_once(model, case):
    """Builds a subclassed model as users do, by calling it."""
    model(packed(case, inputs_of(case, BATCH), names_of(case)[0]))
    return model


def has_torch_module(case):
    """Keras builds no layer behind one in a Sequential before it is called."""
    return any(node.kind == "torch_module" for node in case.nodes)


STYLES = {
    "functional": functional,
    "sequential": lambda case: (
        run_once(sequential(case), case) if has_torch_module(case) else sequential(case)
    ),
    "endpoint": endpoint,
    "subclassed": lambda case: run_once(Subclassed(case), case),
    "subclassed_dict": lambda case: run_once(SubclassedWithDicts(case), case),
    "subclassed_unbuilt": Subclassed,
}


def change(model, case):
    """What users do to a model that is built."""
    if case.extra == "int8" and model.built:
        model.quantize("int8")
    if case.extra == "lora":
        for layer in [
            each
            for each in model._flatten_layers()
            if type(each) in (L.Dense, L.EinsumDense, L.Conv2D) and each.built
        ]:
            layer.enable_lora(2)
    if case.extra == "frozen":
        for layer in model._flatten_layers(include_self=False, recursive=False):
            layer.trainable = layer.name.startswith("output")


def metrics_for(loss):
    return ["accuracy"] if "crossentropy" in loss else ["mae", keras.metrics.MeanSquaredError()]


def compile_model(model, case):
    training = case.training
    names = names_of(case)[1]
    losses = [output.loss for output in case.outputs]
    as_dict = case.packing == "dict" and case.style != "sequential"

    def per_output(parts):
        return dict(zip(names, parts, strict=True)) if as_dict else parts

    model.compile(
        keras.optimizers.get(
            {
                "class_name": training.optimizer,
                "config": {"learning_rate": 0.01, **training.optimizer_options},
            }
        ),
        per_output(losses) if len(losses) > 1 or as_dict else losses[0],
        loss_weights=per_output(list(training.loss_weights)) if training.loss_weights else None,
        metrics=(
            per_output([metrics_for(loss) for loss in losses]) if training.has_metrics else None
        ),
        run_eagerly=training.run_eagerly and keras.backend.backend() == "tensorflow",
        steps_per_execution=training.steps_per_execution,
        jit_compile=False if keras.backend.backend() != "jax" else "auto",
    )
