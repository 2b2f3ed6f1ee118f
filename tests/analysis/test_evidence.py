"""What is computed over arrays against its definition, layer by layer."""

import math
from dataclasses import replace
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.layer_fans import BACKWARD, FORWARD
from keras_initcheck.analysis.structure_analysis import analysis_of
from tests.support import profiles

RATIOS = st.sampled_from((None, 0.0, 0.5, 1.0, 3.0, math.inf, math.nan))
LAYERS = st.lists(
    st.tuples(RATIOS, RATIOS, st.booleans(), st.booleans(), st.sampled_from((0.0, 0.4, 0.6))),
    min_size=1,
    max_size=8,
)


def network(drawn):
    """Weight layers of those `(forward ratio, backward ratio, is trained, ends its chain, size of
    the bias over what the weights make)`.
    """
    layers, chain = [], 0
    for number, (forward, backward, is_trainable, is_end, bias) in enumerate(drawn):
        name = f"dense_{number}"
        kernels = [profiles.kernel(name, 2 / 64)]
        if bias:
            kernels.append(profiles.kernel(name, 2.0 * bias, role="bias", name=f"{name}/bias"))
        layers.append(
            profiles.weight_layer(
                name,
                kernels=kernels,
                chain=chain,
                is_trainable=is_trainable,
                predicted_forward_ratio=forward,
                predicted_backward_ratio=backward,
            )
        )
        chain += is_end
    return profiles.chain(*layers, profiles.head())


def is_known(ratio):
    return ratio is not None and 0.0 < ratio < math.inf


def runs_by_definition(drawn, direction):
    """Numbers of the layers of each run."""
    ratios = [each[0 if direction == FORWARD else 1] for each in drawn]
    chains = [sum(each[3] for each in drawn[:number]) for number in range(len(drawn))]
    found = []
    for _, chain in groupby(range(len(drawn)), key=chains.__getitem__):
        parts = groupby(chain, key=lambda number: is_known(ratios[number]))
        found += [list(part) for known, part in parts if known]
    return found


@pytest.mark.parametrize("direction", [FORWARD, BACKWARD])
@given(drawn=LAYERS)
def test_runs_are_the_parts_of_chains_with_known_ratios(direction, drawn):
    evidence = Evidence(network(drawn))
    runs = [evidence.run(direction, number) for number in range(len(evidence.runs(direction)))]
    names = [[each.site.index for each in run] for run in runs]
    assert names == runs_by_definition(drawn, direction)


@pytest.mark.parametrize("direction", [FORWARD, BACKWARD])
@given(drawn=LAYERS)
def test_first_layer_on_the_data_is_counted_if_it_amplifies_or_is_frozen(direction, drawn):
    """Layer 0 alone is fed by data here."""
    ratio, _, is_trainable, *_ = drawn[0]
    is_free = direction == BACKWARD or (is_trainable and is_known(ratio) and ratio < 1.0)
    expected = [
        [index for index in run if index or not is_free]
        for run in runs_by_definition(drawn, direction)
    ]
    evidence = Evidence(network(drawn))
    numbers = range(len(evidence.runs(direction)))
    runs = [evidence.run(direction, number, counted=True) for number in numbers]
    assert [[each.site.index for each in run] for run in runs] == expected


@pytest.mark.parametrize("direction", [FORWARD, BACKWARD])
@given(drawn=LAYERS)
def test_sums_over_runs_are_those_of_their_counted_ratios(direction, drawn):
    evidence = Evidence(network(drawn))
    runs = evidence.runs(direction)
    expected = [
        math.fsum(each.log_ratio for each in evidence.run(direction, number, counted=True))
        for number in range(len(runs))
    ]
    assert runs.sums(evidence.ratios(direction).log_ratio) == pytest.approx(expected)


@given(drawn=LAYERS)
def test_bias_leads_from_half_of_what_the_weights_make(drawn):
    """64 weights of 2/64 make a second moment of 2 of an input of 1."""
    evidence = Evidence(network(drawn))
    led = [evidence.ratio(evidence.site(number), FORWARD) for number in range(len(drawn))]
    expected = [each[4] > 0.5 if is_known(each[0]) else None for each in drawn]
    assert [ratio and ratio.is_led_by_bias for ratio in led] == expected


def test_bias_leads_no_gradient(make):
    evidence = Evidence(network([(1.0, 1.0, True, False, 0.6)] * 2))
    assert not evidence.ratio(evidence.site(1), BACKWARD).is_led_by_bias


def test_biases_of_a_layer_add(make):
    biases = [make.kernel("a", 0.25, role="bias", name=f"a/bias_{k}") for k in range(2)]
    layer = make.weight_layer(
        "a", kernels=[make.kernel("a", 0.1), *biases], activations=make.places(z=2.0)
    )
    evidence = Evidence(make.chain(layer, make.head()))
    assert evidence.bias_second_moment(evidence.site(0)) == 0.5
    assert evidence.bias_share(evidence.site(0)) == 0.25
    assert evidence.bias_share(evidence.site(1)) == 0.0


@pytest.mark.parametrize(
    ("layer_type", "output", "expected"),
    [
        ("BatchNormalization", 1.0, True),
        ("BatchNormalization", math.exp(-6.01), False),
        ("BatchNormalization", math.exp(-5.99), True),
        ("BatchNormalization", 0.0, True),
        ("UnitNormalization", 1e-9, True),
        ("Normalization", 1.0, False),
    ],
)
def test_normalization_counts_unless_the_scale_is_lost_in_its_epsilon(
    make, layer_type, output, expected
):
    norm = make.site(
        "norm", "normalization", layer_type=layer_type, activations=make.places(h=output)
    )
    layers = [make.weight_layer("a"), make.site("relu", "activation"), norm, make.head()]
    assert Evidence(make.chain(*layers)).is_normalized.tolist()[0] is expected


def test_one_lost_normalization_of_two_is_enough(make):
    norms = [
        make.site(f"norm_{k}", "normalization", inputs=(0,), activations=make.places(h=size))
        for k, size in enumerate((1.0, 1e-4))
    ]
    assert not Evidence(make.chain(make.weight_layer("a"), *norms)).is_normalized[0]


@pytest.mark.parametrize(("size", "expected"), [(10.1, True), (9.9, False), (None, False)])
@pytest.mark.parametrize(("kind", "layer_type"), [("merge", "Average"), ("block", "Block")])
def test_sum_dominates_from_ten_times_an_operand(make, kind, layer_type, size, expected):
    facts = {"layer_type": layer_type, "activations": make.places(h=size)}
    total = make.site("sum", kind, inputs=(0, 1), **facts)
    layers = [make.weight_layer("a"), make.weight_layer("b"), total]
    evidence = Evidence(make.chain(*layers))
    assert evidence.is_beside_skip(evidence.site(1)) is expected


@pytest.mark.parametrize(("size", "expected"), [(10.1, True), (9.9, False)])
def test_sum_outside_of_layers_is_known_by_what_enters_next(make, size, expected):
    following = make.weight_layer("b", inputs_known=False, activations=make.places(x=size))
    evidence = Evidence(make.chain(make.weight_layer("a"), following))
    assert evidence.is_beside_skip(evidence.site(0)) is expected


@pytest.mark.parametrize(
    ("total", "expected"), [(4e-4 + 6e-4, True), (1.08e-3, True), (6e-4, False), (2e-3, False)]
)
@pytest.mark.parametrize("has_norm", [True, False])
def test_sum_outside_of_layers_has_the_size_of_branch_and_stream(make, has_norm, total, expected):
    """The stream is what enters the normalization before the branch, or the branch itself."""
    stream = make.places(x=4e-4)
    norm = make.site("norm", "normalization", inputs_known=False, activations=stream)
    first = make.weight_layer(
        "a", inputs_known=has_norm, activations=make.places() if has_norm else stream
    )
    last = make.weight_layer("b", activations=make.places(h=6e-4))
    following = make.site(
        "next", "normalization", inputs_known=False, activations=make.places(x=total)
    )
    sites = [norm, first, last, following] if has_norm else [make.site("x"), first, last, following]
    evidence = Evidence(make.chain(*sites))
    assert evidence.is_beside_skip(evidence.site(2)) is expected


def residual(make, *sizes):
    """Blocks `x + W x` whose sums have those sizes; `None` where a sum was not measured."""
    sites = [make.site("stem")]
    for number, size in enumerate(sizes):
        stream = len(sites) - 1
        sites.append(make.weight_layer(f"branch_{number}", inputs=(stream,))[0])
        total = make.places(h=size)
        sites.append(
            make.site(f"add_{number}", "merge", inputs=(stream, stream + 1), activations=total)
        )
    return make.chain(*sites)


def test_stack_needs_three_blocks(make):
    assert [len(Evidence(residual(make, *[1.0] * num)).stacks) for num in (2, 3)] == [0, 1]


def test_blocks_whose_stream_was_not_measured_are_left_out(make):
    evidence = Evidence(residual(make, 1.0, 1.0, None, 1.0, 1.0, 1.0))
    assert [block.merge for block in evidence.blocks] == [2, 4, 6, 10, 12]
    assert [[block.merge for block in stack] for stack in evidence.stacks] == [[2, 4, 6]]


def test_analysis_is_kept_with_the_structure(make, healthy):
    later = replace(healthy, step=7)
    assert analysis_of(later.structure) is analysis_of(healthy.structure)
    assert analysis_of(make.chain(make.head()).structure) is not analysis_of(healthy.structure)


def test_analysis_is_no_part_of_the_structure(healthy):
    other = replace(healthy.structure)
    assert analysis_of(other) is not analysis_of(healthy.structure)
    assert other == healthy.structure
    assert hash(other) == hash(healthy.structure)


def test_where_nothing_was_measured_nothing_is_known(make):
    evidence = Evidence(make.chain(make.site("only")))
    assert evidence.runs(FORWARD).sums(evidence.ratios(FORWARD).log_ratio).size == 0
    assert evidence.ratio(evidence.site(0), FORWARD) is None
    assert evidence.deviations == {}
