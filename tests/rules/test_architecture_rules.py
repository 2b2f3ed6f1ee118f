"""Narrow networks and residual stacks."""

from dataclasses import replace

import pytest

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.rules.architecture import NarrowForDepth, ResidualGrowth
from tests.support.profiles import findings_of


@pytest.mark.parametrize(("variance", "expected"), [(0.4, 0), (0.42, 1)])
def test_narrow_begins_at_a_log_variance_of_two_and_a_half(make, variance, expected):
    layers = [make.weight_layer(f"dense_{k}", log_ratio_variance=variance) for k in range(6)]
    findings = list(findings_of(NarrowForDepth(), make.chain(*layers, make.head())))
    assert [finding.severity for finding in findings] == ["info"] * expected


def residual(make, num_blocks, growth, branch, is_normalized=False):
    """Blocks `x + F(x)` whose stream has `growth[l]` and whose branch adds `branch[l]`."""
    sites, stream = [make.site("stem", activations=make.places(h=growth[0]))], 0
    for number in range(num_blocks):
        if is_normalized:
            sites.append(make.site(f"norm_{number}", "normalization", inputs=(stream,)))
        origin = len(sites) - 1 if is_normalized else stream
        layer, _ = make.weight_layer(
            f"branch_{number}",
            activation=None,
            inputs=(origin,),
            activations=make.places(h=branch[number]),
        )
        sites.append(layer)
        activations = make.places(h=growth[number + 1])
        sites.append(
            make.site(
                f"add_{number}", "merge", inputs=(stream, len(sites) - 1), activations=activations
            )
        )
        stream = len(sites) - 1
    return make.chain(*sites, optimizer="SGD")


def test_doubling_stream_is_an_error(make):
    growth = [2.0**k for k in range(21)]
    (finding,) = findings_of(ResidualGrowth(), residual(make, 20, growth, growth))
    # 2^20 = e^13.9 against 1 + 20 = e^3.0
    assert (finding.severity, finding.site) == ("error", "add_19")
    assert "1,000 times stronger over 20 residual blocks" in finding.message
    assert "With normalized branches it would become 4.6 times stronger." in finding.message
    assert "by e^13.9, and by e^10.8 more" in finding.details


def test_doubling_stream_of_some_blocks_is_a_warning(make):
    """2^14 = e^9.7, and 15 with normalized branches: an excess of e^7."""
    growth = [2.0**block for block in range(15)]
    (finding,) = findings_of(ResidualGrowth(), residual(make, 14, growth, growth))
    assert finding.severity == "warning"


def test_doubling_stream_of_many_blocks_is_an_error(make):
    growth = [2.0**k for k in range(49)]
    (finding,) = findings_of(ResidualGrowth(), residual(make, 48, growth, growth))
    assert finding.severity == "error"
    assert finding.culprits[:2] == ("branch_0", "branch_1")


def test_linear_growth_of_normalised_branches_is_healthy(make):
    growth = [1.0 + k for k in range(49)]
    assert not list(
        findings_of(ResidualGrowth(), residual(make, 48, growth, [1.0] * 48, is_normalized=True))
    )


def test_zero_branches_are_healthy(make):
    assert not list(findings_of(ResidualGrowth(), residual(make, 48, [1.0] * 49, [0.0] * 48)))


def test_two_blocks_are_no_stack(make):
    assert not Evidence(residual(make, 2, [1.0, 2.0, 4.0], [1.0, 2.0])).stacks


def test_stream_that_is_normalised_in_between_starts_anew(make):
    profile = residual(make, 4, [1.0] * 5, [1.0] * 4)
    third = next(site for site in profile.sites if site.name == "add_1")
    sites = tuple(
        (
            replace(site, kind="normalization", layer_type="LayerNormalization")
            if site is third
            else site
        )
        for site in profile.sites
    )
    evidence = Evidence(profile.with_changes(sites=sites))
    assert all(len(stack) < 4 for stack in evidence.stacks)


def test_shrinking_branch_of_a_block_is_beside_its_skip(make):
    profile = residual(make, 3, [1.0, 1.5, 2.0, 2.5], [0.5] * 3)
    assert Evidence(profile).is_beside_skip(
        next(site for site in profile.sites if site.name == "branch_1")
    )


def test_ends_of_a_narrow_chain_are_named(make):
    layers = [make.weight_layer(f"dense_{k}", log_ratio_variance=1.0) for k in range(4)]
    other = make.weight_layer("other", log_ratio_variance=1.0, chain=1)
    (finding,) = findings_of(NarrowForDepth(), make.chain(*layers, other, make.head()))
    assert finding.site == "dense_0"
    assert finding.measured == 4.0
    assert finding.message == (
        "The 4 layers from `dense_0` to `dense_3` are narrow for their number: chance alone makes"
        " the signal 2.7 times weaker or stronger between one draw of the weights and the next."
    )
    assert "scatters by 2.0 around a median of -2.0" in finding.details
    assert finding.place == "dense_0 … dense_3"


@pytest.mark.parametrize("size", [0.0, float("inf")])
def test_stream_without_a_size_has_no_growth(make, size):
    growth = [2.0**k for k in range(21)]
    growth[5] = size
    assert not findings_of(ResidualGrowth(), residual(make, 20, growth, growth))
