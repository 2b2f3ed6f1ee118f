"""Weights that are not what their initializers promise."""

from collections.abc import Iterable, Sequence

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.sites import WeightStats
from keras_initcheck.rules.rule import Rule, listed
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number

OVERWRITTEN = ("constant", "drawn twice", "another draw")
"""Verdicts that neither training nor loading explains."""

MOST_DESCRIBED = 3
"""Weights whose promise and values stand in one message."""

FEWEST_VALUES = 500
"""Values of the smallest kernel whose freshness is worth a word: a trained one of that size passes
for fresh only if its size changed by less than a tenth."""


class NotAsPromised(Rule):
    """Weights that differ from what their initializers promise, though nothing was trained."""

    code = "IC109"
    slug = "not-as-promised"
    title = "weights are not what their initializers promise"
    what = (
        "Each weight is compared with the distribution that its layer's initializer promises: its"
        " mean, its mean square and the shape of the distribution, orthogonality, or the constant."
        " The rule reports weights that hold another draw, or a constant, and kernels that are"
        " still as drawn while later layers were trained or loaded. A model whose weights are as"
        " drawn is reported in one of a thousand cases at most."
    )
    why = (
        "The model does not start where its code says. Whatever the initializers were chosen for"
        " does not hold, and a layer that was meant to be loaded computes random features."
    )
    example = (
        "model.load_weights(path, skip_mismatch=True), which leaves out a layer; a loop of"
        " layer.set_weights with numbers of another size; an initialization that was skipped."
    )
    limits = (
        "Information only: scaling weights by hand, as LSUV and `initcheck --repair` do, is seen as"
        " well. Weights that were trained or loaded are not reported: a step of the optimizer, or"
        " biases and scales that are no longer constant, show that. What an initializer promises is"
        " known of Keras' own ones and of `keras_initcheck.initializers`, where the layer keeps"
        " its initializer as an attribute such as `kernel_initializer`. The fans are those that"
        " Keras assumes, right or wrong; layer-ratio judges them. Repeated probes of a running"
        " training do not compare."
    )
    fix = (
        "Find what overwrote these weights, unless it was intended: set_weights, assign, a partial"
        " load_weights, or a repair."
    )

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for all overwritten weights, and one for fresh ones among loaded ones."""
        draws = evidence.measurement.weight_draws
        verdicts = [None if draw is None else draw.verdict for draw in draws]
        overwritten = [
            evidence.weight(position)
            for position, draw in enumerate(draws)
            if draw is not None
            and draw.verdict in OVERWRITTEN
            and draw.found is not None
            and evidence.analysis.weights[position].role != "state"
        ]
        if overwritten:
            yield self._report_overwritten(evidence, overwritten)
        if "fresh" in verdicts and "loaded or trained" in verdicts:
            yield from self._check_fresh(evidence)

    def _report_overwritten(self, evidence: Evidence, weights: Sequence[WeightStats]) -> Finding:
        described = "; ".join(map(_describe, weights[:MOST_DESCRIBED]))
        more = len(weights) - MOST_DESCRIBED
        count = (
            "A weight does" if len(weights) == 1 else f"{len(weights)} weights do"
        ) + " not hold what the initializer promises"
        return self.finding(
            "info",
            f"{count}: {described}{f'; and {more} more' if more > 0 else ''}.",
            site=evidence.site_of(weights[0]),
            layer=weights[0].layer,
            measured=weights[0].moments.second_moment ** 0.5,
            expected="the promised distribution",
            culprits=_layers(weights),
        )

    def _check_fresh(self, evidence: Evidence) -> Iterable[Finding]:
        """A finding where kernels are fresh in front of trained or loaded ones."""
        kernels = [
            weight
            for position, weight in enumerate(evidence.analysis.weights)
            if weight.role in ("kernel", "embedding") and weight.site is not None
            for weight in (evidence.weight(position),)
            if weight.moments.num_elements >= FEWEST_VALUES and _is_random(weight)
        ]
        loaded = [each for each in kernels if _verdict(each) == "loaded or trained"]
        last = max((each.site or 0 for each in loaded), default=-1)
        fresh = [each for each in kernels if _verdict(each) == "fresh" and (each.site or 0) < last]
        if fresh and len(fresh) < len(loaded):
            yield self._report_fresh(evidence, fresh, len(kernels))

    def _report_fresh(
        self, evidence: Evidence, fresh: Sequence[WeightStats], num_kernels: int
    ) -> Finding:
        is_one = len(fresh) == 1
        return self.finding(
            "info",
            f"{number(len(fresh))} of {number(num_kernels)} kernels"
            f" {'is' if is_one else 'are'} still as drawn, while later layers were trained or"
            f" loaded: {listed(each.name for each in fresh)}.",
            site=evidence.site_of(fresh[0]),
            layer=fresh[0].layer,
            fix=(
                "Compare the names and shapes of these layers with the file, unless they are new:"
                " load_weights(skip_mismatch=True) leaves out what does not fit."
            ),
            measured=float(len(fresh)),
            expected="0, unless these layers are new",
            culprits=_layers(fresh),
        )


def _describe(weight: WeightStats) -> str:
    draw = weight.draw
    assert draw is not None and draw.promised is not None and draw.found is not None
    return f"`{weight.name}` promises {draw.promised.words}, found {draw.found.words}"


def _verdict(weight: WeightStats) -> str | None:
    return None if weight.draw is None else weight.draw.verdict


def _is_random(weight: WeightStats) -> bool:
    """Whether random numbers are promised."""
    promised = None if weight.draw is None else weight.draw.promised
    return promised is not None and promised.family not in ("constant", "identity", "forget bias")


def _layers(weights: Sequence[WeightStats]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(weight.layer for weight in weights))
