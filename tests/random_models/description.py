"""What a random model is, in words: plain records that print as a few lines, from which anyone
builds the same model again.
"""

from dataclasses import dataclass, field, fields

WIDTH = 6
"""Units of a vector, features of a step and channels of an image; two heads and three groups divide
it.
"""

LENGTH = 6
"""Steps of a sequence, rows and columns of an image: a row of an image can become a step."""

CLASSES = 3
"""Units of an output."""

VOCABULARY = 9
"""Number of ids, 0 included."""

BATCH = 8
"""Samples of a batch."""

SHAPES = {
    "vector": (WIDTH,),
    "sequence": (LENGTH, WIDTH),
    "image": (LENGTH, LENGTH, WIDTH),
    "ids": (LENGTH,),
}
"""The four kinds of stream. A step keeps them, so that any two of one kind can be merged."""


class Terse:
    """Prints the fields that differ from their defaults."""

    def __repr__(self):
        shown = [
            f"{each.name}={value!r}"
            for each in fields(self)
            if (value := getattr(self, each.name)) != default_of(each)
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


def default_of(each):
    return each.default_factory() if callable(each.default_factory) else each.default


@dataclass(frozen=True, repr=False)
class Node(Terse):
    """One step of a graph.

    `kind` is a key of `kinds.KINDS`, `inputs` are numbers of streams (the model's inputs first,
    then the outputs of the nodes), `shares` is the number of an earlier node whose layers are
    called again, and `inner` are the steps of a nested model, one after another.
    """

    kind: str
    inputs: tuple[int, ...] = (0,)
    options: dict = field(default_factory=dict)
    shares: int | None = None
    inner: tuple["Node", ...] = ()


@dataclass(frozen=True, repr=False)
class Output(Terse):
    """One output: the stream that it starts from, the activation of its units, and the loss that it
    is held against.
    """

    stream: int
    activation: str | None = None
    loss: str = "mse"


@dataclass(frozen=True, repr=False)
class Training(Terse):
    """How it is compiled and fed."""

    is_compiled: bool = True
    optimizer: str = "sgd"
    optimizer_options: dict = field(default_factory=dict)
    has_metrics: bool = False
    loss_weights: tuple[float, ...] = ()
    run_eagerly: bool = True
    steps_per_execution: int = 1
    source: str = "arrays"
    is_weighted: bool = False
    samples: int = 16


@dataclass(frozen=True, repr=False)
class Case(Terse):
    """A model, its training and its data.

    `style` is how the graph becomes a model, `packing` how inputs and outputs are handed over,
    `dtype` the policy, and `extra` what is done to the built model: "lora", "int8", "remat",
    "trained", "frozen".
    """

    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]
    style: str = "functional"
    packing: str = "list"
    dtype: str = "float32"
    extra: str | None = None
    training: Training = Training()
    seed: int = 0

    @property
    def features(self):
        """Names of all that is in it, to count cases by and to leave some out."""
        names = {
            self.style,
            self.dtype,
            self.extra,
            self.training.source,
            self.training.optimizer,
            *self.inputs,
        }
        names |= set(self.training.optimizer_options) | {
            node.kind for node in every_node(self.nodes)
        }
        return names - {None}


def every_node(nodes):
    """The nodes with those inside of them."""
    for node in nodes:
        yield node
        yield from every_node(node.inner)


def stream_kinds(case):
    """The kind of each stream, by number."""
    from tests.random_models.kinds import KINDS

    found = list(case.inputs)
    for node in case.nodes:
        gives = KINDS[node.kind].gives
        found.append(found[node.inputs[0]] if gives == "same" else gives)
    return found


def is_stateful(case):
    """Whether a layer keeps its state from batch to batch, and so wants one batch size."""
    return keeps_state(case.nodes)


def keeps_state(nodes):
    """Whether one of the nodes, or of those inside of them, is stateful."""
    return any(node.options.get("stateful") for node in every_node(nodes))


def packed(case, parts, names):
    """Inputs or outputs as the case hands them over."""
    if case.packing == "dict":
        return dict(zip(names, parts, strict=True))
    return parts[0] if len(parts) == 1 else list(parts)


def names_of(case):
    """Names of the inputs, and of the outputs."""
    return [f"input_{index}" for index in range(len(case.inputs))], [
        f"output_{index}" for index in range(len(case.outputs))
    ]
