"""Chains of weight layers, in random networks and in those that end one."""

from itertools import pairwise

import pytest
from hypothesis import given

from keras_initcheck.analysis.chains import find_chains, mark_heads
from tests.analysis.random_structures import sites

TRANSPARENT = ("pass", "activation")


def follows(found, site, before):
    """Whether the one way back from a layer, over transparent sites, meets another."""
    while True:
        if site.inputs_known and len(site.inputs) == 1:
            site = found[site.inputs[0]]
        elif site.follows_previous:
            site = found[site.index - 1]
        else:
            return False
        if sum(each.inputs.count(site.index) for each in found) > 1:
            return False
        if site.kind == "weight":
            return site.index == before
        if site.kind not in TRANSPARENT:
            return False


@given(sites())
def test_chains_part_the_hidden_weight_layers(found):
    marked = mark_heads(found)
    hidden = [site.index for site in marked if site.kind == "weight" and not site.is_head]
    members = [index for chain in find_chains(marked) for index in chain]
    assert sorted(members) == hidden


@given(sites())
def test_chains_are_in_order_and_linked(found):
    marked = mark_heads(found)
    for chain in find_chains(marked):
        assert chain == sorted(chain)
        links = pairwise(chain)
        assert all(follows(marked, marked[after], before) for before, after in links)


@given(sites())
def test_chains_are_as_long_as_links_allow(found):
    """A chain starts where no hidden layer leads to it, or where that one leads to several."""
    marked = mark_heads(found)
    layers = [site for site in marked if site.kind == "weight"]
    for chain in find_chains(marked):
        first = marked[chain[0]]
        before = [each for each in layers if follows(marked, first, each.index)]
        followers = [each for each in layers if before and follows(marked, each, before[0].index)]
        assert not before or before[0].is_head or len(followers) > 1


@pytest.mark.parametrize("kind", ["normalization", "merge", "embedding", "recurrent", "block"])
def test_other_layers_end_a_chain(make, kind):
    layers = [make.weight_layer("a"), make.site("end", kind), make.weight_layer("b"), make.head()]
    assert find_chains(make.chain(*layers).structure.sites) == [[0], [2]]


@pytest.mark.parametrize("kind", ["pass", "activation"])
def test_transparent_layers_continue_a_chain(make, kind):
    layers = [make.weight_layer("a"), make.site("on", kind), make.weight_layer("b"), make.head()]
    assert find_chains(make.chain(*layers).structure.sites) == [[0, 2]]


def test_fork_ends_a_chain(make):
    layers = [make.weight_layer("a"), make.weight_layer("b"), make.weight_layer("c", inputs=(0,))]
    assert find_chains(make.chain(*layers, make.head()).structure.sites) == [[0], [1], [2]]
