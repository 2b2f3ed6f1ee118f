"""Draws descriptions of random models. `choose(options)` gives one of a sequence: hypothesis
chooses, and shrinks, or `random.Random`.
"""

import keras
from hypothesis import strategies as st

from tests.random_models.description import SHAPES, Case, Node, Output, Training
from tests.random_models.kind import in_a_row
from tests.random_models.kinds import KINDS, NESTED, ONLY_SUBCLASSED, fitting

OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop", "lion", "adafactor", "adagrad", "nadam")
OPTIMIZER_OPTIONS = (
    {},
    {},
    {},
    {"clipnorm": 0.5},
    {"global_clipnorm": 1.0},
    {"clipvalue": 0.1},
    {"use_ema": True, "ema_overwrite_frequency": 2},
    {"weight_decay": 0.01},
    {"gradient_accumulation_steps": 2},
)
LOSSES = (
    "mse",
    "mae",
    "huber",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "binary_crossentropy",
)
PROBABILITIES = {
    "categorical_crossentropy": "softmax",
    "sparse_categorical_crossentropy": "softmax",
    "binary_crossentropy": "sigmoid",
}
STYLES = (
    "functional",
    "functional",
    "subclassed",
    "subclassed_dict",
    "subclassed_unbuilt",
    "sequential",
    "endpoint",
)
DTYPES = ("float32", "float32", "float32", "float32", "mixed_bfloat16", "mixed_float16", "float64")
EXTRAS = (None, None, None, None, "trained", "frozen", "lora", "int8", "remat")
SOURCES = ("arrays", "arrays", "tf.data", "PyDataset", "generator")
SLOW_TO_COMPILE = (
    *(
        "lstm",
        "gru",
        "simple_rnn",
        "bidirectional",
        "bidirectional_sum",
        "rnn_cells",
        "last_lstm",
        "last_gru",
        "conv_lstm",
        "spectral_norm",
    ),
    *(
        "random_flip",
        "random_translation",
        "random_crop",
        "image",
        "to_image",
        "adafactor",
        "remat",
        "grouped_attention",
    ),
)
"""What JAX takes seconds to compile for each model."""
FUNCTIONAL = ("functional", "sequential", "endpoint")


@st.composite
def cases(draw, **limits):
    """A hypothesis strategy of descriptions."""
    return draw_case(lambda options: draw(st.sampled_from(options)), **limits)


def draw_case(choose, without=(), most_nodes=6, is_exact=False, may_trace=False):
    """A description.

    Args:
        choose: Gives one of a sequence.
        without: Names of kinds, styles, policies, extras, sources and options of optimizers to
            leave out.
        most_nodes: Most steps on the top level.
        is_exact: Whether only to draw what a plain forward pass gives the same numbers for.
        may_trace: Whether some models are compiled to graphs, which takes TensorFlow and JAX
            seconds for each.
    """

    def some(options):
        left = [each for each in options if not isinstance(each, str) or each not in without]
        return choose(left)

    style = "functional" if is_exact else some(STYLES)
    graph = Graph(choose, style, without, is_exact)
    graph.grow(choose(range(1, most_nodes + 1)))
    if style == "subclassed_unbuilt" and any(map(needs_a_built_model, graph.nodes)):
        style = "subclassed"
    outputs = tuple(draw_output(choose, stream) for stream in graph.ends())
    training = draw_training(choose, some, len(outputs), without, may_trace)
    packing = choose(("list", "dict"))
    is_jax = (
        keras.backend.backend() == "jax"
    )  # which makes float32 of float64 unless it is told otherwise
    extra, dtype = (
        some(EXTRAS),
        some([name for name in DTYPES if not (is_jax and name == "float64")]),
    )
    if extra == "int8" and dtype == "mixed_float16":  # Keras refuses the two together
        extra = None
    if (
        extra == "remat"
        and keras.backend.backend() == "tensorflow"
        and any(node.kind == "unused_layer" for node in graph.nodes)
    ):
        # Never built, so that each probe builds it as a graph, in which TensorFlow recomputes
        # nothing: refused.
        extra = None
    return Case(
        tuple(graph.inputs),
        tuple(graph.nodes),
        outputs,
        style,
        packing,
        dtype,
        extra,
        training,
        choose(range(100)),
    )


def needs_a_built_model(node):
    """An exception that is known: TensorFlow's `fit` builds a model by running it, and a probe
    without running it.

    What draws from NumPy in `call` then draws once more or less, and a stateful layer cannot be
    built.
    """
    return (
        node.kind == "numpy_random"
        or node.options.get("stateful", False)
        or any(map(needs_a_built_model, node.inner))
    )


class Graph:
    """A graph that grows step by step; `streams` are the kinds of what can be taken."""

    def __init__(self, choose, style, without, is_exact):
        self.choose, self.style, self.without, self.is_exact = choose, style, without, is_exact
        number = 1 if style == "sequential" else choose((1, 1, 2))
        self.inputs = [
            choose([kind for kind in SHAPES if kind not in without]) for _ in range(number)
        ]
        self.streams = list(self.inputs)
        self.nodes = []

    def grow(self, number):
        for index in range(len(self.inputs)):  # ids become a sequence first
            if self.inputs[index] == "ids":
                self.add(self.a_kind("ids"), (index,))
        for _ in range(number):
            self.step()

    def step(self):
        stream = self.a_stream()
        partners = (
            []
            if self.style == "sequential"
            else [
                each
                for each in self.numbered()
                if self.streams[each] == self.streams[stream] and each != stream
            ]
        )
        if partners and self.choose((False, False, True)):
            self.add(self.a_kind(self.streams[stream], 2), (stream, self.choose(partners)))
        elif (
            self.style != "sequential"
            and self.sharable(stream)
            and self.choose((False,) * 5 + (True,))
        ):
            node = self.nodes[self.choose(self.sharable(stream))]
            self.add(node.kind, (stream,), node.options, self.nodes.index(node))
        else:
            self.add(self.a_kind(self.streams[stream]), (stream,))

    def numbered(self):
        return [index for index, kind in enumerate(self.streams) if kind != "ids"]

    def a_stream(self):
        """Mostly the latest, so that graphs are deep; sometimes an earlier one, which makes a
        branch.
        """
        found = self.numbered()
        return (
            found[-1]
            if self.style == "sequential" or self.choose((True, True, False))
            else self.choose(found)
        )

    def sharable(self, stream):
        """Nodes with layers of their own that took such a stream."""
        kind = self.streams[stream]
        return [
            index
            for index, node in enumerate(self.nodes)
            if node.shares is None
            and not node.inner
            and len(node.inputs) == 1
            and self.streams[node.inputs[0]] == kind
        ]

    def a_kind(self, stream, number=1):
        return self.choose([name for name in fitting(stream, number) if self.is_allowed(name)])

    def is_allowed(self, name):
        if name in self.without or (self.is_exact and not KINDS[name].is_exact):
            return False
        if self.style == "sequential" and KINDS[name].apply is not in_a_row:  # it takes layers only
            return False
        return self.style not in FUNCTIONAL or name not in ONLY_SUBCLASSED

    def add(self, kind, inputs, options=None, shares=None):
        inner = self.inside(self.streams[inputs[0]]) if kind in NESTED else ()
        if options is None:
            options = (
                {"stream": self.streams[inputs[0]]}
                if kind in NESTED
                else draw_options(self.choose, kind)
            )
        self.nodes.append(Node(kind, inputs, options, shares, inner))
        gives = KINDS[kind].gives
        self.streams.append(self.streams[inputs[0]] if gives == "same" else gives)

    def inside(self, stream):
        """Steps of a nested model, which keep the kind of stream."""
        kinds = [
            name
            for name in fitting(stream)
            if KINDS[name].gives == "same" and name not in {*NESTED, *ONLY_SUBCLASSED, "raising"}
        ]
        kinds = [name for name in kinds if KINDS[name].apply is in_a_row and self.is_allowed(name)]
        return tuple(
            Node(kind, (), draw_options(self.choose, kind))
            for kind in [self.choose(kinds) for _ in range(self.choose((1, 2)))]
        )

    def ends(self):
        """Where the outputs start: the latest stream, and sometimes another."""
        last = self.numbered()[-1]
        if self.style in ("sequential", "endpoint") or self.choose((True, True, False)):
            return [last]
        return [last, self.choose(self.numbered())]


def draw_options(choose, kind):
    """Options of a step, without those that are as usual."""
    chosen = {name: choose(options) for name, options in KINDS[kind].options.items()}
    return {name: value for name, value in chosen.items() if value != KINDS[kind].options[name][0]}


def draw_output(choose, stream):
    loss = choose(LOSSES)
    return Output(stream, PROBABILITIES.get(loss, choose((None, None, "tanh"))), loss)


def draw_training(choose, some, num_outputs, without, may_trace):
    options = choose([each for each in OPTIMIZER_OPTIONS if not set(each) & set(without)])
    sources = (
        SOURCES
        if keras.backend.backend() == "tensorflow"
        else tuple(each for each in SOURCES if each != "tf.data")
    )
    return Training(
        is_compiled=choose((True, True, True, True, False)),
        optimizer=some(OPTIMIZERS),
        optimizer_options=options,
        has_metrics=choose((False, True)),
        loss_weights=choose(((), (0.5,) * num_outputs)),
        run_eagerly=not may_trace or choose((True, False)),
        steps_per_execution=1 if keras.backend.backend() == "torch" else choose((1, 1, 1, 2)),
        source=some(sources),
        is_weighted=choose((False, False, True)),
        samples=choose((16, 20)),
    )
