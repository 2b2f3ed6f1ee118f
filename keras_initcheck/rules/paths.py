"""Measured gains along whole paths, whatever the layers on them are."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.layer_fans import BACKWARD, FORWARD
from keras_initcheck.analysis.path_gains import SENSITIVITY, PathGain
from keras_initcheck.analysis.predicted_ratios import PredictedRatio
from keras_initcheck.records.finding import Severity
from keras_initcheck.records.structure import UNKNOWN_ACTIVATION, Site
from keras_initcheck.rules import budgets
from keras_initcheck.rules.thresholds import Thresholds

MOST_TRIED = 4
"""Paths beyond the budget that are looked at, the worst first: walks along all of a deep faulty
network would take time that grows with its square."""
LARGEST_UNEXPLAINED = math.log(4.0)
"""How far a measured ratio of a weight layer may be from the predicted one for its weights to
explain it: what correlated data, padding and saturation do by themselves."""
MOST = 0.5
"""Share of a ratio from which a function outside of layers is named instead of the site."""


@dataclass(frozen=True)
class FaultyPath:
    """A path whose measured gain is beyond the budget.

    Attributes:
        gain: The gain.
        first: The first site whose ratio counts.
        last: The last one.
        severity: What it costs.
        optimizer: The optimizer whose budget is judged by, or `None`.
        culprits: The sites that contribute most, each with `ln` of its ratio.
        weights: The ratios that the weights of the culprits explain, in the same order; empty if
            the gain would be beyond the budget without them, too.
        functions: What to call the functions outside of layers among the culprits, by the index of
            the culprit.
    """

    gain: PathGain
    first: Site
    last: Site
    severity: Severity
    optimizer: str | None
    culprits: tuple[tuple[Site, float], ...]
    weights: tuple[PredictedRatio, ...]
    functions: Mapping[int, str]


def faulty_paths(
    evidence: Evidence, direction: str, thresholds: Thresholds
) -> Iterator[FaultyPath]:
    """The paths beyond the budget, worst first, of those that share a site the worst alone.

    Left out are chains of layers, which the gain rules judge as such, and what leads to a
    normalization or is a branch beside a skip connection.

    Args:
        evidence: The evidence.
        direction: `"forward"`, `"backward"` or `"sensitivity"`.
        thresholds: The budgets.
    """
    blamed: set[int] = set()
    for end in _ends_beyond(evidence, direction, thresholds):
        path = evidence.path_gains.path(direction, end)
        if not blamed.isdisjoint(path.sites):
            continue
        found = _judge(evidence, direction, path, thresholds)
        blamed.update(path.sites)
        if found:
            yield found


def _ends_beyond(evidence: Evidence, direction: str, thresholds: Thresholds) -> list[int]:
    gains, structure = evidence.path_gains.at_ends(direction), evidence.analysis.paths
    least = (
        thresholds.sgd_gain_warning
        if direction == SENSITIVITY
        else budgets.smallest_warning(evidence, thresholds)
    )
    is_beyond = (gains if direction == SENSITIVITY else np.abs(gains)) > least
    if not is_beyond.any():
        return []
    if not evidence.is_lost.any():
        is_beyond &= ~structure.leads_to_norm[structure.ends]
    found = is_beyond.nonzero()[0]
    order = np.argsort(-np.abs(gains[found]), kind="stable")[:MOST_TRIED]
    ends: list[int] = structure.ends[found[order]].tolist()
    return ends


def _judge(
    evidence: Evidence, direction: str, path: PathGain, thresholds: Thresholds
) -> FaultyPath | None:
    sites = evidence.analysis.sites
    counted = [sites[k] for k in path.sites]
    if not counted or (path.ln_gain < 0.0 and _is_beside(evidence, counted[-1])):
        return None
    optimizer = (
        None if direction == SENSITIVITY else budgets.optimizer_of(evidence, counted, thresholds)
    )
    severity = budgets.severity(path.ln_gain, optimizer, thresholds)
    contributors = path.contributors(thresholds.culprit_share)
    culprits = tuple((sites[k], ln_ratio) for k, ln_ratio in contributors)
    chains = {site.chain for site, _ in culprits}
    of_functions = {k: _function_share(evidence, direction, k, path.end) for k in path.sites}
    of_layers = path.ln_gain - math.fsum(map(sum, of_functions.values()))
    is_judged_as_chain = (
        len(chains) == 1
        and None not in chains
        and direction != SENSITIVITY
        and budgets.severity(of_layers, optimizer, thresholds) is not None
    )
    if severity is None or is_judged_as_chain:
        return None
    explained = (_explained_ratio(evidence, direction, *each) for each in culprits)
    weights = tuple(ratio for ratio in explained if ratio is not None)
    rest = path.ln_gain - math.fsum(ratio.log_ratio for ratio in weights)
    return FaultyPath(
        path,
        counted[0],
        counted[-1],
        severity,
        optimizer,
        culprits,
        weights if budgets.severity(rest, optimizer, thresholds) is None else (),
        dict(_functions(culprits, of_functions)),
    )


def _is_beside(evidence: Evidence, last: Site) -> bool:
    """Whether a signal that has become small is a branch beside another that carries it."""
    return evidence.is_beside_skip(last) or evidence.is_beside_larger(last)


def _function_share(
    evidence: Evidence, direction: str, index: int, end: int
) -> tuple[float, float]:
    """`ln` of what functions outside of layers make before a site and behind it."""
    before, site = evidence.path_gains.gap(direction, index), evidence.analysis.sites[index]
    if index == end or site.activation != UNKNOWN_ACTIVATION:
        return before, 0.0
    if direction == SENSITIVITY:
        return before, _unexplained(evidence, site, BACKWARD) - _unexplained(
            evidence, site, FORWARD
        )
    return before, _unexplained(evidence, site, direction)


def _unexplained(evidence: Evidence, site: Site, direction: str) -> float:
    ratio = evidence.ratio(site, direction)
    return 0.0 if ratio is None else ratio.log_unexplained


def _functions(
    culprits: Iterable[tuple[Site, float]], shares: Mapping[int, tuple[float, float]]
) -> Iterator[tuple[int, str]]:
    """The functions that make most of a culprit's ratio, in words."""
    for site, ln_ratio in culprits:
        for place, share in zip(("before", "after"), shares[site.index], strict=True):
            if share / ln_ratio > MOST:
                yield site.index, f"the function {place} `{site.name}`"


def _explained_ratio(
    evidence: Evidence, direction: str, site: Site, ln_ratio: float
) -> PredictedRatio | None:
    """The ratio that a layer's weights predict, if it is about what was measured."""
    if direction == SENSITIVITY:
        return None
    if site.kind == "weight":
        ratio = evidence.ratio(site, direction)
        if ratio is not None and ratio.log_unexplained:
            return None
        is_close = ratio is not None and abs(ratio.log_ratio - ln_ratio) < LARGEST_UNEXPLAINED
        return ratio if is_close else None
    own = evidence.path_gains.explained_ratio(direction, site.index)
    if own is None:
        return None
    fan, variance = own
    return PredictedRatio(site, direction, fan=fan, variance=variance, ratio=math.exp(ln_ratio))
