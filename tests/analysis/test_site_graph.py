"""The arrays of `SiteGraph` against their definitions, followed edge by edge in random networks."""

import numpy as np
import pytest
from hypothesis import given

from keras_initcheck.analysis.site_graph import SiteGraph
from tests.analysis.random_structures import sites

TRANSPARENT = ("pass", "activation")


def receivers(all_sites, index):
    """The sites that take an output, or the next one if its own inputs are not known."""
    known = [site.index for site in all_sites if index in site.inputs]
    is_open = index + 1 < len(all_sites) and not all_sites[index + 1].inputs_known
    return known or [index + 1] * is_open


def met(all_sites, index, through):
    """The sites at the end of every path over kinds `through`."""
    ends = []
    for receiver in receivers(all_sites, index):
        if all_sites[receiver].kind in through:
            ends += met(all_sites, receiver, through)
        else:
            ends.append(all_sites[receiver])
    return ends


def paths_back(all_sites, index):
    """All sites from which a known edge leads to this one, and the site itself."""
    found = {index}
    for before in all_sites[index].inputs:
        found |= paths_back(all_sites, before)
    return found


def has_weights(site):
    return site.kind in ("weight", "recurrent", "embedding") or (
        site.kind == "other" and site.num_parameters > 0
    )


def is_normalizing(site):
    return site.kind == "normalization" and site.layer_type != "Normalization"


@given(sites())
def test_last_sites_are_those_that_nothing_receives(found):
    expected = [not receivers(found, site.index) for site in found]
    assert SiteGraph(found).is_last.tolist() == expected


@given(sites())
def test_gates_meet_a_multiplication(found):
    expected = [
        any(end.layer_type == "Multiply" for end in met(found, site.index, TRANSPARENT))
        for site in found
    ]
    assert SiteGraph(found).is_gate.tolist() == expected


@given(sites())
def test_normalizations_are_all_that_a_normalized_output_meets(found):
    ends = [met(found, site.index, TRANSPARENT) for site in found]
    expected = [bool(each) and all(map(is_normalizing, each)) for each in ends]
    assert SiteGraph(found).meets_normalizations_only.tolist() == expected


@given(sites())
def test_reached_sites_are_the_ends_of_all_paths(found):
    graph = SiteGraph(found)
    for site in found:
        expected = {end.index for end in met(found, site.index, (*TRANSPARENT, "other"))}
        reached = graph.reached(site.index, (*TRANSPARENT, "other"))
        assert set(reached) == expected
        assert len(reached) == len(expected)


@given(sites())
def test_marked_sites_are_met(found):
    is_marked = np.array([site.kind == "merge" for site in found])
    expected = [
        any(end.kind == "merge" for end in met(found, site.index, TRANSPARENT)) for site in found
    ]
    assert SiteGraph(found).meets(is_marked).tolist() == expected


@given(sites())
def test_site_is_fed_by_data_if_no_weights_may_come_before(found):
    def is_fed(site):
        behind = paths_back(found, site.index)
        if all(found[index].inputs_known for index in behind):
            return not any(has_weights(found[index]) for index in behind - {site.index})
        return not any(map(has_weights, found[: site.index]))

    expected = [is_fed(site) for site in found]
    assert SiteGraph(found).is_fed_by_data.tolist() == expected


@given(sites())
def test_branch_ends_in_a_merge_or_where_nobody_knows(found):
    def is_branch(index):
        consumers = [site for site in found if index in site.inputs]
        if not consumers:
            return bool(receivers(found, index))
        return any(
            site.kind == "block"
            or (site.kind == "merge" and site.layer_type != "Concatenate")
            or (site.kind in (*TRANSPARENT, "normalization", "other") and is_branch(site.index))
            for site in consumers
        )

    expected = [is_branch(site.index) for site in found]
    assert SiteGraph(found).is_branch.tolist() == expected


@pytest.mark.parametrize("kind", ["pass", "activation"])
def test_output_that_a_site_receives_twice_has_one_consumer(make, kind):
    profile = make.chain(make.site("a"), make.site("b", kind, inputs=(0, 0)))
    assert SiteGraph(profile.structure.sites).consumers == ((1,), ())
