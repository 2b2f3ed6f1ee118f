"""All kinds of steps by name."""

import keras

from tests.random_models.kind import Kind
from tests.random_models.kinds_anywhere import ANYWHERE, CUSTOM, MERGES, ONLY_SUBCLASSED, VECTORS
from tests.random_models.kinds_of_streams import IMAGES, SEQUENCES

NESTED = {
    name: Kind("any", "same", is_exact=False)
    for name in ("nested_functional", "nested_sequential", "nested_layer", "nested_model")
}
KINDS = {
    **ANYWHERE,
    **VECTORS,
    **SEQUENCES,
    **IMAGES,
    **MERGES,
    **CUSTOM,
    **ONLY_SUBCLASSED,
    **NESTED,
}


def fitting(stream, number=1, backend=None):
    """The kinds that take so many streams of that kind on the backend that runs."""
    backend = backend or keras.backend.backend()
    takes = {stream} if stream == "ids" else {stream, "any"}
    return [
        name
        for name, kind in KINDS.items()
        if kind.takes in takes and kind.number == number and backend in kind.backends
    ]
