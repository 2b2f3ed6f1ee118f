from dataclasses import replace

import pytest

from keras_initcheck.rules.kernel_rules import (
    CollapsedRank,
    ConstantKernel,
    DuplicateKernels,
    ZeroKernel,
)
from tests.support.profiles import findings_of


@pytest.fixture
def constant(make):
    """A layer whose weights are all 0.5, up to rounding."""

    def layer(rounding=0.0, name="constant", site=None, **changes):
        values = make.moments(0.25, mean=0.5, variance=rounding)
        weight = replace(make.kernel(name, 0.25), **{"moments": values, **changes})
        return make.weight_layer(name, 0.25, kernels=[weight], **(site or {}))

    return layer


@pytest.fixture
def zeros(make, zero):
    """A layer whose weights are all zero."""

    def layer(name="zeros", **changes):
        weight = replace(make.kernel(name, 0.0), moments=zero)
        return make.weight_layer(
            name, 0.0, kernels=[weight], activations=make.places(zero, zero, 1.0), **changes
        )

    return layer


def severities(rule, profile):
    return [finding.severity for finding in findings_of(rule, profile)]


@pytest.mark.parametrize("rule", [ConstantKernel(), ZeroKernel(), DuplicateKernels()])
def test_random_kernels_are_silent(healthy, rule):
    assert not severities(rule, healthy)


@pytest.mark.parametrize(
    ("rounding", "expected"), [(0.0, ["error"]), (2e-7, ["error"]), (3e-7, [])]
)
def test_constant_kernel_of_a_hidden_layer_is_an_error(make, constant, rounding, expected):
    assert severities(ConstantKernel(), make.chain(constant(rounding), make.head())) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"site": {"is_head": True}},
        {"site": {"layer_type": "DepthwiseConv2D"}},
        {"name": "block/depthwise_kernel"},
        {"is_trainable": False},
        {"fan_in": 4096.0},
        {"fan_in": None},
    ],
    ids=["head", "depthwise", "depthwise part", "frozen", "one unit", "unknown fans"],
)
def test_constant_kernel_may_be_meant(make, constant, changes):
    layer, weights = constant(**{key: value for key, value in changes.items() if key != "name"})
    weights = [replace(weight, name=changes.get("name", weight.name)) for weight in weights]
    assert severities(ConstantKernel(), make.chain((layer, weights), make.head())) == ["info"]


def test_kernel_of_one_number_is_silent(make, constant):
    values = make.moments(0.25, mean=0.5, variance=0.0, num_elements=1)
    assert not severities(ConstantKernel(), make.chain(constant(moments=values), make.head()))


def test_zero_kernel_of_a_hidden_layer_is_an_error(make, zeros):
    (finding,) = findings_of(ZeroKernel(), make.chain(make.weight_layer("a"), zeros(), make.head()))
    assert (finding.severity, finding.layer) == ("error", "zeros")


def test_zero_head_is_intended(make, zeros):
    (finding,) = findings_of(ZeroKernel(), make.chain(make.weight_layer("a"), zeros(is_head=True)))
    assert finding.severity == "info"
    assert "which is intended in a head" in finding.message


@pytest.mark.parametrize(
    "between",
    [(), ("normalization",), ("other", "pass", "activation")],
    ids=["direct", "norm", "scale and dropout"],
)
def test_zero_branch_is_intended(make, zeros, between):
    path = [make.site(f"{kind}{number}", kind) for number, kind in enumerate(between)]
    add = make.site("add", "merge", inputs=(1 + len(between), 0))
    assert severities(
        ZeroKernel(), make.chain(make.weight_layer("a"), zeros(), *path, add, make.head())
    ) == ["info"]


def test_zero_kernel_before_a_concatenation_is_an_error(make, zeros):
    joined = make.site("concatenate", "merge", layer_type="Concatenate", inputs=(1, 0))
    assert severities(
        ZeroKernel(), make.chain(make.weight_layer("a"), zeros(), joined, make.head())
    ) == ["error"]


def test_zero_kernel_before_arithmetic_outside_of_layers_is_taken_for_a_branch(make, zeros):
    after = make.weight_layer("b", inputs_known=False)
    assert severities(
        ZeroKernel(), make.chain(make.weight_layer("a"), zeros(), after, make.head())
    ) == ["info"]


def test_zero_kernels_that_are_not_called_or_recurrent_are_silent(make, zeros):
    layer, (weight,) = zeros()
    recurrent = make.chain((replace(layer, kind="recurrent"), [weight]), make.head())
    uncalled = recurrent.with_changes(weights=(replace(weight, site=None),))
    assert not severities(ZeroKernel(), recurrent)
    assert not severities(ZeroKernel(), uncalled)


def test_identical_kernels_are_a_warning_that_names_the_layers(make):
    layers = [
        make.weight_layer(name, kernels=[make.kernel(name, 2 / 64, fingerprint=0.25)])
        for name in "abcd"
    ]
    (finding,) = findings_of(DuplicateKernels(), make.chain(*layers, make.head()))
    assert finding.severity == "warning"
    assert finding.culprits == ("a", "b", "c", "d")
    assert "`a`, `b`, `c` and 1 more" in finding.message


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprint": 0.5},
        {"mean": 0.01},
        {"is_trainable": False},
        {"fingerprint": 0.0},
    ],
    ids=["other values", "other mean", "slow copy", "no fingerprint taken"],
)
def test_kernels_that_differ_or_cannot_be_told_are_silent(make, changes):
    values = make.moments(2 / 64, mean=changes.pop("mean", 0.0))
    first = make.kernel("a", 2 / 64, fingerprint=0.25)
    second = make.kernel("b", 2 / 64, **{"fingerprint": 0.25, "moments": values, **changes})
    profile = make.chain(
        make.weight_layer("a", kernels=[first]),
        make.weight_layer("b", kernels=[second]),
        make.head(),
    )
    assert not severities(DuplicateKernels(), profile)


def test_kernels_of_other_sizes_are_silent(make):
    kernels = [
        make.kernel(name, 2 / 64, fan_in, fingerprint=0.25)
        for name, fan_in in (("a", 64.0), ("b", 32.0))
    ]
    layers = [make.weight_layer(kernel.layer, kernels=[kernel]) for kernel in kernels]
    assert not severities(DuplicateKernels(), make.chain(*layers, make.head()))


def test_equal_draws_of_another_shape_and_size_of_weights_are_a_warning(make):
    query = make.kernel("query", 0.01, fingerprint=0.002, shape=(64, 4, 16))
    output = make.kernel("output", 0.04, fingerprint=0.004, shape=(4, 16, 64))
    layers = [make.weight_layer(kernel.layer, kernels=[kernel]) for kernel in (query, output)]
    (finding,) = findings_of(DuplicateKernels(), make.chain(*layers, make.head()))
    assert finding.culprits == ("query", "output")
    assert "`query (64, 4, 16)`, `output (4, 16, 64)`" in finding.message


@pytest.mark.parametrize(("share_zero", "count"), [(0.009, 1), (0.01, 0)])
def test_identities_and_fixed_filters_are_no_duplicates(make, share_zero, count):
    values = make.moments(2 / 64, share_zero=share_zero)
    layers = [
        make.weight_layer(name, kernels=[make.kernel(name, 0.1, fingerprint=0.25, moments=values)])
        for name in "ab"
    ]
    assert len(severities(DuplicateKernels(), make.chain(*layers, make.head()))) == count


def ranked(make, rank, fan_in=64.0, fan_out=64.0, **changes):
    layer = make.weight_layer(
        "low", kernels=[make.kernel("low", 2 / 64, fan_in, fan_out, rank=rank, **changes)]
    )
    return make.chain(make.weight_layer("a"), layer, make.head())


@pytest.mark.parametrize(
    ("fan_in", "fan_out", "rank", "count"),
    [
        (64.0, 64.0, 4, 1),
        (64.0, 64.0, 5, 0),
        (64.0, 8.0, 2, 1),
        (64.0, 8.0, 3, 0),
        (4.0, 64.0, 1, 1),
        (4.0, 64.0, 2, 0),
        (3.0, 64.0, 1, 0),
    ],
)
def test_quarter_of_the_directions_that_are_counted_is_a_warning(
    make, fan_in, fan_out, rank, count
):
    assert severities(CollapsedRank(), ranked(make, rank, fan_in, fan_out)) == ["warning"] * count


@pytest.mark.parametrize("changes", [{"rank": None}, {"rank": 16}], ids=["not counted", "full"])
def test_kernel_of_full_or_unknown_rank_is_silent(make, changes):
    assert not severities(CollapsedRank(), ranked(make, **changes))


def test_frozen_kernel_and_head_of_low_rank_are_information(make):
    head = make.head(kernels=[make.kernel("head", 1 / 64, rank=1)])
    assert severities(CollapsedRank(), ranked(make, 1, is_trainable=False)) == ["info"]
    assert severities(CollapsedRank(), make.chain(make.weight_layer("a"), head)) == ["info"]


def test_constant_and_zero_kernels_have_rules_of_their_own(make, zero):
    for values in (zero, make.moments(1.0, mean=1.0, variance=0.0)):
        assert not severities(CollapsedRank(), ranked(make, 1, moments=values))


def test_single_direction_is_told(make):
    (finding,) = findings_of(CollapsedRank(), ranked(make, 1))
    assert (
        finding.message
        == "`low/kernel` (64, 64) has a single direction: its 64 units are multiples of it."
    )
    assert (finding.measured, finding.expected, finding.culprits) == (
        1.0,
        "more than 4; 64 is full rank",
        ("low",),
    )


@pytest.mark.parametrize(
    ("value", "is_trainable", "is_merged", "severities"),
    [
        (1.0, True, False, ["error"]),
        (1.0, False, False, ["info"]),
        (1.0, True, True, ["info"]),
        (0.0, True, False, []),
    ],
    ids=["constant", "frozen", "merged", "zero"],
)
def test_constant_embedding_makes_all_tokens_one(make, value, is_trainable, is_merged, severities):
    values = make.moments(value, mean=value, variance=0.0)
    weight = make.kernel(
        "tokens",
        1.0,
        name="tokens/embeddings",
        role="embedding",
        moments=values,
        is_trainable=is_trainable,
    )
    other = (
        [make.site("positions", "embedding", inputs=()), make.site("add", "merge", inputs=(0, 1))]
        if is_merged
        else []
    )
    profile = make.chain(
        (make.site("tokens", "embedding"), [weight]), *other, make.weight_layer("a"), make.head()
    )
    assert [finding.severity for finding in findings_of(ConstantKernel(), profile)] == severities


@pytest.mark.parametrize(("share", "count"), [(0.9e-6, 1), (1.1e-6, 0)])
def test_kernel_is_constant_up_to_a_millionth_of_its_second_moment(make, share, count):
    kernels = [make.kernel("a", 1.0, moments=make.moments(1.0, variance=share))]
    profile = make.chain(make.weight_layer("a", kernels=kernels), make.head())
    assert len(findings_of(ConstantKernel(), profile)) == count


@pytest.mark.parametrize(
    ("facts", "severity"),
    [
        ({}, "error"),
        ({"shape": (64, 1), "fan_in": 64.0}, "info"),
        ({"name": "a/depthwise_kernel"}, "info"),
    ],
    ids=["64 units", "one unit", "depthwise"],
)
def test_constant_kernel_is_an_error_where_units_mix(make, facts, severity):
    shape = facts.get("shape", (64, 64))
    values = make.moments(1.0, variance=0.0, num_elements=shape[0] * shape[1])
    kernels = [make.kernel("a", 1.0, moments=values, **facts)]
    profile = make.chain(make.weight_layer("a", kernels=kernels), make.head())
    (finding,) = findings_of(ConstantKernel(), profile)
    assert finding.severity == severity


@pytest.mark.parametrize(("size", "count"), [(1, 0), (2, 1)])
def test_single_number_is_no_constant_kernel(make, size, count):
    values = make.moments(1.0, variance=0.0, num_elements=size)
    profile = make.chain(make.weight_layer("a", kernels=[make.kernel("a", 1.0, moments=values)]))
    assert len(findings_of(ConstantKernel(), profile)) == count
