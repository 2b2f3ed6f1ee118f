"""What made a number that its format does not hold."""

import math

import pytest

from keras_initcheck.rules.signal import NonfiniteActivations
from tests.support.profiles import findings_of


def found(make, broken, dtype="float32", weight=1.0, received=1.0):
    """The finding where a layer of that weight overflows on an input of that size."""
    values = make.moments(1.0, max_abs=weight)
    own = make.kernel("own", 1.0, name="own/w", role="other", moments=values, site=1)
    before = make.weight_layer("a", activations=make.places(h=make.moments(1.0, max_abs=received)))
    layer = (make.site("own", activations=make.places(h=broken)), [own])
    after = make.head(activations=make.places(h=broken))
    (finding,) = findings_of(NonfiniteActivations(), make.chain(before, layer, after, dtype=dtype))
    return finding


@pytest.mark.parametrize(
    ("facts", "cause", "fix"),
    [
        (
            {"weight": 1e38},
            "Its weight `own/w` reaches 1e38, and float32 ends at 3.4e38.",
            "Draw `own/w` smaller",
        ),
        (
            {"received": 1e30},
            "What enters it reaches 1e30, and float32 ends at 3.4e38.",
            "Scale down what makes the input of `own`",
        ),
        (
            {"dtype": "mixed_float16", "received": 300.0},
            "What enters it reaches 300, and float16 ends at 65,504.",
            "Scale down what makes the input of `own`",
        ),
        (
            {"dtype": "mixed_float16"},
            "Nothing large enters it, and float16 ends at 65,504: a constant in it",
            "Mask with a number that float16 has",
        ),
    ],
    ids=["weight", "input", "input in float16", "constant in float16"],
)
def test_cause_of_an_overflow_is_told(make, broken, facts, cause, fix):
    finding = found(make, broken, **facts)
    assert cause in finding.message
    assert finding.fix.startswith(fix)


@pytest.mark.parametrize(
    "facts",
    [{}, {"dtype": "mixed_bfloat16", "received": 300.0}, {"received": math.nan}],
    ids=["nothing large", "bfloat16 reaches as far as float32", "not measured"],
)
def test_cause_that_does_not_show_is_not_guessed(make, broken, facts):
    finding = found(make, broken, **facts)
    assert finding.message.endswith("and in 1 further site.")
    assert finding.fix == NonfiniteActivations.fix


@pytest.mark.parametrize(("variance", "is_told"), [(1.0, True), (1.0 / 64.0, False)])
def test_recurrent_kernel_that_overflows_over_the_steps_is_named(make, broken, variance, is_told):
    """Of 64 units and N(0, 1), a step makes the state 8 times larger: 8^50 is 1.4e45."""
    kernels = [
        make.kernel("rnn", size, name=f"rnn/{name}", site=0)
        for name, size in (("kernel", 1.0 / 64.0), ("recurrent_kernel", variance))
    ]
    site = make.site("rnn", "recurrent", input_shape=(8, 50, 64), activations=make.places(h=broken))
    profile = make.chain((site, kernels), make.head(activations=make.places(h=broken)))
    (finding,) = findings_of(NonfiniteActivations(), profile)
    told = "Each of its 50 steps makes its state about 8 times larger, and float32 ends at 3.4e38."
    assert (told in finding.message) == is_told
    assert finding.fix.startswith("Draw the recurrent kernel") == is_told
