"""Weights that are not what their initializers promise are information; all others are silent."""

from dataclasses import replace

import pytest

from keras_initcheck.records.draw import Distribution, Draw
from keras_initcheck.rules.draws import FEWEST_VALUES, NotAsPromised
from tests.support import profiles as make

PROMISED, FOUND = Distribution("normal", 0.0, 0.02), Distribution("normal", 0.0, 1.0)
FRESH = Draw("fresh", PROMISED)
LOADED = Draw("loaded or trained", PROMISED, Distribution("other", 0.0, 0.3))
OTHER = Draw("another draw", PROMISED, FOUND)


def net(*draws, **changes):
    """Dense layers in a row, whose kernels have those verdicts."""
    sites = [
        make.weight_layer(f"dense_{number}", kernels=[kernel(number, draw, **changes)])
        for number, draw in enumerate(draws)
    ]
    return make.chain(*sites, make.head(kernels=[]))


def kernel(number, draw, **changes):
    return replace(make.kernel(f"dense_{number}", 2 / 64), draw=draw, **changes)


def findings(*draws, **changes):
    return make.findings_of(NotAsPromised(), net(*draws, **changes))


def test_weight_of_another_draw_is_reported():
    (found,) = findings(FRESH, OTHER, FRESH)
    assert found.severity == "info"
    assert found.site == "dense_1"
    assert found.culprits == ("dense_1",)
    assert found.message == (
        "A weight does not hold what the initializer promises: `dense_1/kernel` promises"
        " N(0, 0.02²), found N(0, 1)."
    )


def test_all_overwritten_weights_are_one_finding():
    (found,) = findings(*[OTHER] * 5)
    assert found.message.startswith("5 weights do not hold what the initializer promises: ")
    assert found.message.endswith("; and 2 more.")
    assert len(found.culprits) == 5


@pytest.mark.parametrize("verdict", ["constant", "drawn twice"])
def test_constants_and_repeated_draws_of_another_kind_are_reported(verdict):
    assert len(findings(FRESH, Draw(verdict, PROMISED, FOUND))) == 1


@pytest.mark.parametrize(
    "draw",
    [FRESH, LOADED, Draw("unknown"), Draw("drawn twice", PROMISED), None],
    ids=["fresh", "loaded", "unknown", "as promised, twice", "not compared"],
)
def test_other_weights_are_silent(draw):
    assert findings(*[draw] * 3) == []


def test_moving_statistics_are_silent():
    assert findings(OTHER, role="state") == []


def test_fresh_kernel_in_front_of_loaded_ones_is_reported():
    (found,) = findings(FRESH, LOADED, LOADED)
    assert found.severity == "info"
    assert found.site == "dense_0"
    assert found.message == (
        "1 of 3 kernels is still as drawn, while later layers were trained or loaded:"
        " `dense_0/kernel`."
    )
    assert "skip_mismatch" in found.fix


def test_fresh_head_on_a_loaded_backbone_is_silent():
    assert findings(LOADED, LOADED, FRESH) == []


def test_loaded_embedding_in_front_of_a_fresh_network_is_silent():
    assert findings(LOADED, FRESH, FRESH) == []


def test_fresh_biases_do_not_count():
    bias = Draw("fresh", Distribution("constant", 0.0, 0.0))
    assert findings(bias, LOADED, LOADED) == []


@pytest.mark.parametrize(
    ("size", "is_reported"), [(FEWEST_VALUES, True), (FEWEST_VALUES - 1, False)]
)
def test_small_kernels_do_not_count(size, is_reported):
    moments = make.moments(2 / 64, num_elements=size)
    profile = net(FRESH, LOADED, LOADED)
    kernels = tuple(
        replace(weight, moments=moments) if weight.layer == "dense_0" else weight
        for weight in profile.weights
    )
    found = make.findings_of(NotAsPromised(), profile.with_changes(weights=kernels))
    assert bool(found) == is_reported
