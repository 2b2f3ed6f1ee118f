"""Random site graphs, for properties that hold in every network."""

from hypothesis import strategies

from keras_initcheck.records.structure import Site

TYPES = {
    "weight": ("Dense", "Conv2D"),
    "activation": ("ReLU",),
    "normalization": ("BatchNormalization", "Normalization", "UnitNormalization"),
    "merge": ("Add", "Multiply", "Concatenate"),
    "pass": ("Dropout",),
    "recurrent": ("GRU",),
    "embedding": ("Embedding",),
    "block": ("Block",),
    "other": ("Lambda",),
}
MOST_SITES = 14


@strategies.composite
def sites(draw):
    """Sites in execution order, each fed by earlier ones; heads and chains are not marked."""
    found = []
    for index in range(draw(strategies.integers(1, MOST_SITES))):
        kind = draw(strategies.sampled_from(sorted(TYPES)))
        most = (3 if kind == "merge" else 1) if index else 0
        earlier = strategies.integers(max(0, index - 4), max(0, index - 1))
        inputs = draw(strategies.lists(earlier, max_size=most))
        is_known = draw(strategies.booleans()) or draw(strategies.booleans())
        found.append(
            Site(
                index,
                f"site_{index}",
                f"site_{index}",
                draw(strategies.sampled_from(TYPES[kind])),
                kind,
                tuple(inputs),
                inputs_known=is_known,
                follows_previous=not is_known and index > 0 and draw(strategies.booleans()),
                num_parameters=draw(strategies.sampled_from((0, 8))),
            )
        )
    return tuple(found)
