"""Dropout that leaves little of the signal."""

import math
from collections.abc import Iterable, Sequence

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.site_kinds import sources
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.measurement import SECOND_MOMENT, SIZE, H
from keras_initcheck.records.structure import Site
from keras_initcheck.rules.rule import Rule, percent
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number

DROPOUTS = (
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "GaussianDropout",
)
"""Layers whose output has 1 / (1 - rate) times the second moment of its input."""
DROWNS, HIDES = 0.015, 0.005
"""Share that has to be left, or a warning comes, and an error. Wide layers bear more, since what
they learn adds up over the units: with 0.02 of 256 units before the head SGD and Adam reach 0.89
and 0.93 on digits, of 64 units 0.6; with 0.01 they reach 0.24 to 0.64
(tests/benchmarks/rule_numbers.py --only dropout).
"""


class HeavyDropout(Rule):
    """Dropout layers that replace the signal by noise."""

    code = "IC214"
    slug = "heavy-dropout"
    title = "dropout leaves little of the signal"
    what = (
        "Each dropout layer keeps a share of its units, told by what it makes of the second moment"
        " (1/(1 - rate) times as much). The rule multiplies these shares over the layers on the"
        " way to a head, and reports a product below 0.015, and an error below 0.005. It is the"
        " correlation of two passes of one sample: of the rest, chance decides."
    )
    why = (
        "Layers behind it receive noise: what they learn of it in one step, the next one takes"
        " back. On digits three layers of 64 units reach an accuracy of 0.95 and more where a tenth"
        " is left, 0.24 to 0.30 where a hundredth is, and 0.15 or less at a thousandth"
        " (tests/benchmarks/rule_numbers.py --only dropout)."
    )
    example = (
        "Dropout(0.99), meant to keep 99% of the units; Dropout(0.9) behind each of two layers."
    )
    limits = (
        "Dropout, SpatialDropout and GaussianDropout whose input is another layer's output. Where"
        " signals meet, the one that lost least counts: residual branches may drop what they like."
        " Dropout within recurrent and attention layers is not seen."
    )
    fix = "Use a smaller rate: 0.1 to 0.5 is usual. The rate is the share that is dropped."

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        kept = [_kept(evidence, site) for site in evidence.analysis.sites]
        left, path = _least_left(evidence, kept)
        if left >= DROWNS:
            return
        worst = min(path, key=lambda site: kept[site.index])
        extent = (
            f" The {len(path)} dropout layers up to `{path[-1].name}` leave {percent(left)} of it"
            " together."
            if len(path) > 1
            else ""
        )
        yield self.finding(
            "error" if left < HIDES else "warning",
            f"Dropout drowns the signal: `{worst.name}` keeps about"
            f" {percent(kept[worst.index])} of the units.{extent}",
            site=worst,
            measured=left,
            expected=f"above {number(DROWNS)}",
            culprits=tuple(dict.fromkeys(site.layer for site in path)),
        )


def _kept(evidence: Evidence, site: Site) -> float:
    """Share of the units that a dropout keeps, by what it makes of the second moment; else 1.

    One that kept none of the batch keeps less than one of so many.
    """
    if site.layer_type not in DROPOUTS or len(site.inputs) != 1:
        return 1.0
    signals = evidence.measurement.activations[:, H]
    before, after = signals[site.inputs[0], SECOND_MOMENT], signals[site.index, SECOND_MOMENT]
    if not (0.0 < before < math.inf and after >= 0.0):
        return 1.0
    return float(min(before / after, 1.0) if after else 1.0 / signals[site.index, SIZE])


def _least_left(evidence: Evidence, kept: Sequence[float]) -> tuple[float, tuple[Site, ...]]:
    """What the dropouts before a head leave, and these dropouts; the head with the least counts.

    Where signals meet, the one that has lost least goes on: a skip connection carries it.
    """
    best: list[tuple[float, tuple[Site, ...]]] = []
    for site in evidence.analysis.sites:
        left, path = max((best[each] for each in sources(site)), default=(1.0, ()), key=_share)
        share = kept[site.index]
        best.append((left * share, (*path, site)) if share < 1.0 else (left, path))
    heads = [best[site.index] for site in evidence.analysis.sites if site.is_head]
    return min(heads, default=(1.0, ()), key=_share)


def _share(found: tuple[float, tuple[Site, ...]]) -> float:
    return found[0]
