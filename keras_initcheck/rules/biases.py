"""Biases that are larger than the signal which they are added to."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.measurement import SECOND_MOMENT, Z
from keras_initcheck.records.structure import Site
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.kernel_rules import are_constant
from keras_initcheck.rules.rule import Rule, percent
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds

FloatArray = npt.NDArray[np.float64]


class DrowningBiases(Rule):
    """Biases that leave little of the signal."""

    code = "IC213"
    slug = "drowning-biases"
    title = "biases drown the signal"
    what = (
        "The biases of layers are constants, as an initializer other than zeros makes them, and"
        " over a chain they leave less than a tenth of the signal: the product of 1 - s is below"
        " 0.1, where s is the share of a pre-activation's second moment that biases make."
    )
    why = (
        "A constant is the same for every sample. Layers behind it pass it on beside a signal that"
        " shrinks, until samples can hardly be told apart. On digits, six convolutions of 8 filters"
        " with Keras' default kernels reach an accuracy of 0.81 after 400 steps of SGD without"
        " biases, and 0.36 with biases of 0.1, which leave a third of the signal; Adam gets over"
        " it. Six dense layers bear biases of one (tests/benchmarks/rule_numbers.py --only biases)."
    )
    example = (
        'Six layers Conv2D(16, 3, activation="relu", bias_initializer="ones") with Keras\' default'
        " kernels: the biases make 88% of the first pre-activation."
    )
    limits = (
        "Hidden layers that are trained, before the first step. Left out are recurrent layers,"
        " whose forget gate starts at one on purpose, gates, layers before a normalization, which"
        " removes the constant, and biases that were trained or drawn. Biases of 0.1 behind kernels"
        " of usual size are silent. Information where the"
        " inputs were made up."
    )
    fix = 'Use bias_initializer="zeros", or 0.01 where ReLU units should start alive.'
    cure = Cure.RESCALE_AND_RESET_BIASES
    explained_by = (
        "nonfinite-activations",
        "dead-layer",
        "input-scale",
        "forward-gain",
        "measured-forward-gain",
        "dead-units",
    )

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most for each chain."""
        if evidence.profile.step > 0:
            return
        sites, shares = _judged(evidence, thresholds.constant_share)
        chains = np.array([site.chain for site in sites], np.intp)
        for chain in dict.fromkeys(chains.tolist()):
            members = np.flatnonzero(chains == chain)
            left = float(np.prod(1.0 - shares[members]))
            if left < thresholds.signal_beside_biases:
                run = [sites[member] for member in members.tolist()]
                yield self._report(evidence, run, shares[members], left, thresholds)

    def _report(
        self,
        evidence: Evidence,
        run: list[Site],
        shares: FloatArray,
        left: float,
        thresholds: Thresholds,
    ) -> Finding:
        order = np.argsort(-shares, kind="stable").tolist()
        worst = run[order[0]]
        extent = (
            f" Over the {len(run)} layers from `{run[0].name}` to `{run[-1].name}`, biases leave"
            f" {percent(left)} of the signal."
            if len(run) > 1
            else ""
        )
        return self.finding(
            "info" if evidence.profile.is_synthetic else "warning",
            f"Biases drown the signal: they make {percent(float(shares[order[0]]))} of what the"
            f" activation of `{worst.name}` receives, the same for every sample.{extent}",
            site=worst,
            measured=left,
            expected=f"above {thresholds.signal_beside_biases:g}, and best 1",
            culprits=tuple(dict.fromkeys(run[each].layer for each in order)),
        )


def _judged(evidence: Evidence, constant_share: float) -> tuple[list[Site], FloatArray]:
    """The layers whose biases are judged, with their biases' share of the pre-activation."""
    is_constant = are_constant(evidence, constant_share)
    indices = evidence.analysis.fans.sites
    z = evidence.measurement.activations[indices, Z, SECOND_MOMENT]
    is_known = (z > 0.0) & (z < np.inf)
    shares = np.where(is_known, evidence.layer_weights.bias / np.where(is_known, z, 1.0), 0.0)
    is_hidden = evidence.analysis.where(lambda site: site.chain is not None and site.is_trainable)
    is_judged = is_hidden & ~evidence.is_normalized & ~evidence.analysis.graph.is_gate
    found = [
        (evidence.analysis.sites[index], min(float(share), 1.0))
        for index, share in zip(indices.tolist(), shares, strict=True)
        if share > 0.0
        and is_judged[index]
        and is_constant[[*evidence.analysis.biases[evidence.analysis.sites[index].layer]]].all()
    ]
    return [site for site, _ in found], np.array([share for _, share in found])
