"""Attention that is one-hot by chance, or uniform because a projection is zero."""

from dataclasses import replace

import pytest

from keras_initcheck.rules.attention import SaturatedAttention, UniformAttention
from tests.support.profiles import findings_of


def attention(make, query=1.0, key=1.0, **key_kernel):
    """An attention layer whose queries and keys have these second moments, or moments."""
    kernel = make.kernel("mha/key", 1 / 64, **key_kernel)
    sites = [
        make.weight_layer("mha/query", activation=None, activations=make.places(h=query)),
        make.weight_layer(
            "mha/key", activation=None, activations=make.places(h=key), kernels=[kernel]
        ),
    ]
    return replace(make.chain(*sites, make.head()), batch_size=8)


@pytest.mark.parametrize(
    ("query", "key", "expected"), [(1.0, 1.0, 0), (7.9, 7.9, 0), (8.1, 8.1, 1), (65.0, 1.0, 1)]
)
def test_attention_saturates_beyond_a_logit_spread_of_eight(make, query, key, expected):
    assert len(list(findings_of(SaturatedAttention(), attention(make, query, key)))) == expected


def test_attention_with_logits_is_not_uniform(make):
    assert not list(findings_of(UniformAttention(), attention(make)))


@pytest.mark.parametrize("size", [1e-30, 1e-12])
def test_small_logits_are_a_choice(make, size):
    assert not list(findings_of(UniformAttention(), attention(make, size, size)))


def test_zero_queries_and_keys_are_an_error(make, zero):
    (finding,) = findings_of(UniformAttention(), attention(make, zero, zero))
    assert (finding.severity, finding.culprits) == ("error", ("mha/query", "mha/key"))
    assert "neither receives a gradient" in finding.message


def test_zero_queries_alone_are_information(make, zero):
    (finding,) = findings_of(UniformAttention(), attention(make, query=zero))
    assert (finding.severity, finding.site, finding.culprits) == (
        "info",
        "mha/query",
        ("mha/query",),
    )


def test_zero_keys_alone_are_a_warning(make, zero):
    (finding,) = findings_of(UniformAttention(), attention(make, key=zero))
    assert (finding.severity, finding.site, finding.culprits) == (
        "warning",
        "mha/key",
        ("mha/key",),
    )


def test_keys_that_are_their_bias_are_a_warning(make, zero):
    (finding,) = findings_of(UniformAttention(), attention(make, moments=zero))
    assert finding.severity == "warning"
    assert "the same for all positions" in finding.message


def test_layer_called_query_without_a_key_is_none(make, zero):
    layer = make.weight_layer("search/query", activation=None, activations=make.places(h=zero))
    assert not list(findings_of(UniformAttention(), make.chain(layer, make.head())))
