"""Signal and gradient that grow or shrink along a path for a reason that no weights explain."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.layer_fans import BACKWARD, FORWARD
from keras_initcheck.analysis.path_gains import SENSITIVITY
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.measurement import SECOND_MOMENT, SIZE
from keras_initcheck.records.structure import Site, Weight
from keras_initcheck.rules import budgets
from keras_initcheck.rules.architecture import grown_stacks
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.paths import FaultyPath, faulty_paths
from keras_initcheck.rules.rule import LARGEST_LOG, Rule, listed
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import times, times_weaker_or_stronger, verb

FloatArray = npt.NDArray[np.float64]

_BROKEN = ("nonfinite-input", "nonfinite-weights", "nonfinite-activations")


class MeasuredPathGain(Rule):
    """The signal along a path through layers of any kind."""

    code = "IC211"
    slug = "path-gain"
    title = "the signal grows or shrinks too much on its way, and not by weights"
    what = (
        "At every site the second moment of the output is measured over that of the input, and"
        " the ratios are multiplied along each path from the data to a layer with weights. The"
        " rule reports a product that leaves the budgets of forward-gain, and names the sites"
        " that contribute most: layers of the user's own, Lambda, and functions between layers"
        " count like known layers. Where weights explain the product, forward-gain reports it"
        " instead, also for a layer of the user's own whose single matrix multiplies its input."
    )
    why = (
        "Layers behind it receive a signal of another size, and their gradients have that size"
        " too: biases learn, and little else does."
    )
    example = (
        "A Lambda layer that multiplies by 1e-6 between Dense layers. Or a radial basis layer,"
        " exp(-|x - c|²), on 64 standardized columns: the distances are around 85, and its"
        " outputs around 1e-37."
    )
    limits = (
        "A path starts anew at a normalization that works, also one of the user's own (told by"
        " its output: unit size, unit length, or a sum of 1), at embeddings, recurrent layers and"
        " softmax, and where arithmetic outside of layers hides the link. A function in a model's"
        " call is followed if each number of a layer's input depends on one of the output before:"
        " it counts as a site. It does not follow sums in call. It follows the largest"
        " operand of a sum, or the stream of a residual block. Merges other than sums do not count,"
        " nor does pooling, nor as much as a sum or mean over positions explains. A first layer on"
        " the data that is no matrix product counts beyond e^12 alone. Not reported is what leads"
        " to a normalization, shrinks beside a skip connection, or is in the budget without the"
        " residual stack that residual-growth reports."
    )
    fix = "Keep the size of the signal in the function that is named."
    cure = Cure.SCALE_BRANCHES_OR_CHAIN
    explained_by = (
        *_BROKEN,
        "forward-gain",
        "measured-forward-gain",
        "frozen-normalization",
        "residual-growth",
    )

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each group of sites that is to blame."""
        for found in faulty_paths(evidence, FORWARD, thresholds):
            if not found.weights and not _is_stack(evidence, found, thresholds):
                yield self._report(found, thresholds)

    def _report(self, found: FaultyPath, thresholds: Thresholds) -> Finding:
        ln_gain = found.gain.ln_gain
        site = found.culprits[0][0]
        return self.finding(
            found.severity,
            f"The signal {verb(ln_gain, found.severity)}: {times_weaker_or_stronger(ln_gain)}"
            f" {_extent(found, found.first, found.last)}.{_shares(found)}",
            fix=f"Keep the size of the signal in {_named(found, site)}: its output"
            " should be about as large as its input.",
            expected=budgets.described(found.optimizer, thresholds),
            **_place(found),
            details=_details("q(out)/q(in)", found, ln_gain, found.optimizer),
        )


class MeasuredPathGradient(Rule):
    """The gradient along a path through layers of any kind."""

    code = "IC306"
    slug = "path-gradient"
    title = "the gradient grows or shrinks too much on its way back, and not by weights"
    what = (
        "As path-gain, for the gradient of a random direction on its way back. A gradient that"
        " grows while the signal keeps its size is judged by the budgets of SGD for every"
        " optimizer: a warning beyond e^6 and an error beyond e^12. One that shrinks is a warning"
        " beyond the budget for an error."
    )
    why = (
        "The first layers receive a gradient of another size than the last ones. Where the"
        " gradient alone grows the network is chaotic: a small change of the first weights"
        " changes every output, so that no step is small enough to follow the slope and large"
        " enough to get anywhere. On digits, four layers of sin(w z) learn what they are shown and"
        " nothing of other images (accuracy 0.12) from e^4.8 on, and not even that at e^8.2; six"
        " layers of tanh(w z) take SGD and Adam 1.6 to 1.8 times the steps at e^3.4, 4 times at"
        " e^4.6, and do not get there in 400 steps at e^7.4 (tests/benchmarks/rule_numbers.py"
        " --only chaos). A gradient that shrinks alone costs less."
    )
    example = (
        "h = ops.sin(30 * Dense(256)(h)) four times with Keras' default weights: the gradient"
        " grows by e^6 in each. The weights of Sitzmann et al. (2020), U(±sqrt(6/n)/30), keep it."
    )
    limits = (
        "As path-gain. What stands between the first layer with weights and the second does not"
        " count. Where several layers receive an output, the gradient below each of them is not"
        " known unless it is a known layer with weights."
    )
    fix = "Make the slope of the function that is named smaller for what it receives."
    cure = Cure.SCALE_BRANCHES_OR_CHAIN
    explained_by = (
        *_BROKEN,
        "nonfinite-gradients",
        "forward-gain",
        "backward-gain",
        "measured-forward-gain",
        "measured-backward-gain",
        "saturated-units",
        "saturated-attention",
        "residual-growth",
        "path-gain",
        "frozen-normalization",
    )

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding for each group of sites that is to blame."""
        chaotic = list(faulty_paths(evidence, SENSITIVITY, thresholds))
        for found in chaotic:
            yield self._report_chaos(found, thresholds)
        for found in faulty_paths(evidence, BACKWARD, thresholds):
            is_mild = found.gain.ln_gain < 0.0 and found.severity == "warning"
            is_told = bool(found.weights) or any(_overlap(found, other) for other in chaotic)
            if not is_mild and not is_told:
                yield self._report(found, thresholds)

    def _report(self, found: FaultyPath, thresholds: Thresholds) -> Finding:
        """The finding on a gradient: a warning at most where it shrinks, which costs little.

        If the signal shrinks as well, path-gain reports that.
        """
        ln_gain = found.gain.ln_gain
        site = found.culprits[0][0]
        return self.finding(
            "warning" if ln_gain < 0.0 else found.severity,
            f"The gradient {verb(ln_gain, found.severity)}: {times_weaker_or_stronger(ln_gain)} on"
            f" its way back {_extent(found, found.last, found.first)}.{_shares(found)}",
            fix=f"Keep the size of the gradient in {_named(found, site)}: its slope"
            " should be about 1.",
            expected=budgets.described(found.optimizer, thresholds),
            **_place(found),
            details=_details("q(dL/d in)/q(dL/d out)", found, ln_gain, found.optimizer),
        )

    def _report_chaos(self, found: FaultyPath, thresholds: Thresholds) -> Finding:
        ln_gain = found.gain.ln_gain
        site = found.culprits[0][0]
        return self.finding(
            found.severity,
            f"The gradient {verb(ln_gain, found.severity)}: {times_weaker_or_stronger(ln_gain)} on"
            f" its way back {_extent(found, found.last, found.first)}, while the signal keeps its"
            f" size.{_shares(found)} A small change of the first weights changes every output.",
            fix=f"Make what enters {_named(found, site)} smaller: draw the weights"
            " before it with a smaller standard deviation, or lower the factor in front of it.",
            expected=(
                f"at most {times(thresholds.sgd_gain_warning)} times stronger, with any optimizer"
            ),
            **_place(found),
            details=_details("q(dL/d in) q(in) / (q(dL/d out) q(out))", found, ln_gain, None),
        )


class GradientSpread(Rule):
    """Weights whose gradient is nothing beside the gradient of the biases."""

    code = "IC307"
    slug = "gradient-spread"
    title = "the gradients of all weights are tiny beside those of the biases"
    what = (
        "The largest norm of the loss's gradient among all matrices and kernels is compared with"
        " the largest among the biases. The rule reports a squared quotient below the budgets"
        " of forward-gain: e^-6 and e^-12 with SGD, e^-12 and e^-20 with adaptive optimizers."
    )
    why = (
        "The biases learn how often each label comes, which is no function of the input, and"
        " the weights do not move."
    )
    example = (
        "Six weights of a model's own, N(0, 0.01²), in x = ops.relu(ops.matmul(x, w)): no layer"
        " shows what they do, and their gradients are a thirty-thousandth of the bias's."
    )
    limits = (
        "Needs labels, a compiled loss and a trained bias. It is information where another rule"
        " tells why: the input, the weights or a layer on the way."
    )
    fix = (
        "Look for what makes the signal small before the last layer, and draw the weights there"
        " so that it keeps its size."
    )
    explained_by = (
        *_BROKEN,
        "input-scale",
        "nonfinite-gradients",
        "zero-kernel",
        "dead-layer",
        "forward-gain",
        "measured-forward-gain",
        "path-gain",
        "frozen-normalization",
        "backward-gain",
        "measured-backward-gain",
        "path-gradient",
        "saturated-units",
        "no-gradient",
        "no-weight-gradient",
        "head-and-loss",
    )
    raises = ("input-scale",)

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        analysis = evidence.analysis
        of_weights = _largest(evidence, analysis.where_weight(_is_matrix))
        of_biases = _largest(evidence, analysis.where_weight(_is_bias))
        if of_weights is None or of_biases is None:
            return
        ln_ratio = of_weights[1] - of_biases[1]
        weight = analysis.weights[of_weights[0]]
        optimizer = evidence.profile.optimizer
        severity = budgets.severity(ln_ratio, optimizer, thresholds)
        if severity is None or ln_ratio > 0.0:
            return
        bias = analysis.weights[of_biases[0]]
        yield self.finding(
            severity,
            f"Only the biases learn: the largest gradient among all weights, of `{weight.name}`,"
            f" is {times(ln_ratio)} times smaller than that of `{bias.name}`.",
            site=evidence.site_of(weight),
            layer=weight.layer,
            measured=math.exp(ln_ratio),
            expected=budgets.described(optimizer, thresholds),
            culprits=(weight.layer,),
            details=f"max |dL/dW|² / max |dL/db|² = e^{ln_ratio:.1f}.",
        )


def _is_matrix(weight: Weight) -> bool:
    is_wanted = weight.role in ("kernel", "embedding", "other") and weight.is_trainable
    return is_wanted and len(weight.shape) >= 2


def _is_bias(weight: Weight) -> bool:
    return weight.role == "bias" and weight.is_trainable


def _largest(evidence: Evidence, is_wanted: npt.NDArray[np.bool_]) -> tuple[int, float] | None:
    """Position of the wanted weight with the largest gradient, and `ln` of its squared norm."""
    rows = evidence.measurement.weight_gradients
    squares = np.where(is_wanted, rows[:, SECOND_MOMENT] * rows[:, SIZE], np.nan)
    is_known = (squares > 0.0) & (squares < math.inf)
    if not is_known.any():
        return None
    position = int(np.argmax(np.where(is_known, squares, 0.0)))
    return position, math.log(squares[position])


def _named(found: FaultyPath, site: Site) -> str:
    return found.functions.get(site.index, f"`{site.name}` ({site.layer_type})")


def _extent(found: FaultyPath, first: Site, last: Site) -> str:
    if first.index == last.index:
        return f"in {_named(found, first)}"
    return f"from `{first.name}` to `{last.name}`"


def _shares(found: FaultyPath) -> str:
    """A sentence on what the worst culprits do, after a blank; nothing for a single site."""
    if found.first.index == found.last.index:
        return ""
    worst = [
        f"{_named(found, site)} makes it {times_weaker_or_stronger(ln_ratio)}"
        for site, ln_ratio in found.culprits[:3]
    ]
    further = len(found.culprits) - len(worst)
    rest = f", and so on in {further} more" if further else ""
    listing = f"{', '.join(worst)}{rest}."
    return f" {listing[0].upper()}{listing[1:]}"


def _place(found: FaultyPath) -> dict[str, Any]:
    """The fields of a finding that say where, how much, and by which layers."""
    return {
        "site": found.culprits[0][0],
        "span": (found.first.name, found.last.name),
        "measured": math.exp(min(found.gain.ln_gain, LARGEST_LOG)),
        "culprits": tuple(dict.fromkeys(site.layer for site, _ in found.culprits)),
    }


def _is_stack(evidence: Evidence, found: FaultyPath, thresholds: Thresholds) -> bool:
    """Whether residual-growth reports a stack without which the gain would be in the budget."""
    ratios = list(zip(found.gain.sites, found.gain.ln_ratios, strict=True))
    return any(
        budgets.severity(
            math.fsum(ratio for site, ratio in ratios if not start <= site <= stack[-1].merge),
            found.optimizer,
            thresholds,
        )
        is None
        for stack, _ in grown_stacks(evidence, thresholds)
        for start in [min(block.skip for block in stack)]
    )


def _overlap(found: FaultyPath, other: FaultyPath) -> bool:
    return not set(found.gain.sites).isdisjoint(other.gain.sites)


def _details(ratio: str, found: FaultyPath, ln_gain: float, optimizer: str | None) -> str:
    names = listed(site.name for site, _ in found.culprits)
    cost = budgets.cost(ln_gain, optimizer)
    return f"The product of {ratio} is e^{ln_gain:.1f}, most of it from {names}. {cost}".rstrip()
