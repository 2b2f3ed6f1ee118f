"""The reasons why a repair leaves a finding, in words."""

from collections.abc import Callable, Mapping

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.sites import WeightStats
from keras_initcheck.repairs.kernels import PROTECTED_KINDS
from keras_initcheck.repairs.options import ModelRepairOptions
from keras_initcheck.repairs.step_maker import StepMaker, blamed_layers, cure_of
from keras_initcheck.rules.rule import listed

_UNKNOWN = "the right size is not known"


def why_left(finding: Finding, maker: StepMaker) -> str:
    """The reason why there is no step for a finding, as the end of a sentence."""
    if cure_of(finding) is None:
        advice = finding.fix.partition(". ")[0].rstrip(".")
        return f"nothing in the weights cures this. {advice}."
    by_reason: dict[str, list[str]] = {}
    for layer in blamed_layers(finding):
        by_reason.setdefault(_reason_of(layer, maker), []).append(layer)
    if not by_reason:
        return "it blames no layer, and all kernels that may change are of the right size already."
    return "; ".join(f"{listed(names)}: {why}" for why, names in by_reason.items()) + "."


def _reason_of(layer: str, maker: StepMaker) -> str:
    if layer in maker.layers:
        is_known = maker.layers[layer].is_size_known
        return "of the right size already" if is_known else _UNKNOWN
    weights = _weights_of(layer, maker.evidence)
    for words, applies in _REASONS.items():
        if weights and applies(weights, maker.evidence, maker.options):
            return words
    return _UNKNOWN


def _weights_of(layer: str, evidence: Evidence) -> list[WeightStats]:
    """The kernels of a layer and of those inside it, or all its weights if it has none."""
    own = [
        position
        for position, weight in enumerate(evidence.analysis.weights)
        if weight.layer == layer or weight.layer.startswith(f"{layer}/")
    ]
    found = list(map(evidence.weight, own))
    return [weight for weight in found if weight.role == "kernel"] or found


def _are_frozen(
    weights: list[WeightStats], evidence: Evidence, options: ModelRepairOptions
) -> bool:
    return not any(weight.is_trainable for weight in weights)


def _are_protected(
    weights: list[WeightStats], evidence: Evidence, options: ModelRepairOptions
) -> bool:
    sites = evidence.analysis.sites
    return not options.names_layers and any(
        weight.site is not None and sites[weight.site].kind in PROTECTED_KINDS for weight in weights
    )


def _are_not_named(
    weights: list[WeightStats], evidence: Evidence, options: ModelRepairOptions
) -> bool:
    return not all(map(options.selects, weights))


Applies = Callable[[list[WeightStats], Evidence, ModelRepairOptions], bool]
_REASONS: Mapping[str, Applies] = {
    "frozen": _are_frozen,
    "protected, as an embedding or normalization that `layers` does not name": _are_protected,
    "not among the layers that may change": _are_not_named,
}
"""Each reason, and whether it applies to weights of one layer."""
