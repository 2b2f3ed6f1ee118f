"""Random models keep every promise. A case that fails is printed, shrunk, as a description;
`sweep.py --case '...'` runs it again.
"""

import keras
import pytest
from hypothesis import assume, given, settings

from tests.random_models import properties
from tests.random_models.drawing import SLOW_TO_COMPILE, cases

EXAMPLES = {"torch": 60, "tensorflow": 20, "jax": 4}[keras.backend.backend()]
"""Cases of each property: a minute or so on a slow core; `sweep.py` runs thousands. JAX compiles
each shape.
"""

SMALL = (
    {"most_nodes": 2, "without": SLOW_TO_COMPILE}
    if keras.backend.backend() == "jax"
    else {"most_nodes": 5}
)

pytestmark = [pytest.mark.random_models, pytest.mark.filterwarnings("ignore")]


def holds(name, case):
    """Keras refuses some of what is drawn; that is no case."""
    try:
        properties.PROPERTIES[name](case)
    except properties.NotRunError:
        assume(False)


@settings(max_examples=EXAMPLES)
@given(case=cases(**SMALL))
def test_what_keras_runs_is_probed_and_every_layer_named(case):
    holds("checked", case)


@settings(max_examples=EXAMPLES)
@given(case=cases(**SMALL))
def test_check_leaves_the_model_and_the_process_as_they_were(case):
    holds("unchanged", case)


@settings(max_examples=(EXAMPLES + 1) // 2)
@given(case=cases(**SMALL))
def test_fit_with_the_callback_gives_the_same_weights(case):
    holds("trained", case)


@settings(max_examples=(EXAMPLES + 1) // 2)
@given(case=cases(**SMALL))
def test_repair_is_undone(case):
    holds("undone", case)


@settings(max_examples=(EXAMPLES + 1) // 2)
@given(case=cases(**{**SMALL, "without": (*SMALL.get("without", ()), "remat")}, is_exact=True))
def test_numbers_are_those_of_a_plain_pass(case):
    holds("numbers", case)
