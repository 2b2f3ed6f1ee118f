"""Documents with something wrong in them, for what reads documents of others."""

import copy

NONSENSE = (
    None,
    True,
    -1,
    2**70,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\ud800",
    [],
    [None],
    [[]],
    {},
    {"a": 1},
    [3, -7],
    1e308,
)


def mutated(document, chance):
    """The document with something in it replaced, taken away or added."""
    place, key = document, None
    while isinstance(place, dict | list) and place:
        parent, key = (
            place,
            chance.choice([*place] if isinstance(place, dict) else range(len(place))),
        )
        place = parent[key]
        if chance.random() < 0.3:
            break
    if chance.random() < 0.2:
        del parent[key]
    elif chance.random() < 0.2 and isinstance(parent, list):
        parent.append(copy.deepcopy(chance.choice(NONSENSE)))
    else:
        parent[key] = copy.deepcopy(chance.choice(NONSENSE))
    return document
