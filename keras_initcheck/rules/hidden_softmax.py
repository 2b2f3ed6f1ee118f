"""A softmax between the hidden layers."""

from collections.abc import Iterable, Iterator

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.analysis.site_kinds import TRANSPARENT
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.structure import Site
from keras_initcheck.rules.rule import Rule, listed
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number

TAKERS_OF_FEATURES = ("weight", "recurrent")


class HiddenSoftmax(Rule):
    """A softmax whose result later layers take as features."""

    code = "IC411"
    slug = "hidden-softmax"
    title = "a hidden layer ends in a softmax"
    what = "The result of a hidden layer's softmax goes into further layers with weights."
    why = (
        "The units of a softmax sum to one: of 64 each is about 1/64, the differences between"
        " samples are smaller still, and the gradient shrinks by the same factor. On digits, after"
        " 400 steps, two hidden layers of 64 units reach an accuracy of 0.98 with ReLU, 0.91 (Adam)"
        " and 0.61 (SGD) with a softmax in the second, and 0.96 and 0.08 with one in both; Adam"
        " takes 8 times the steps (tests/benchmarks/rule_numbers.py --only softmax)."
    )
    example = 'Dense(64, activation="softmax") between two other Dense layers.'
    limits = (
        "A softmax whose result is multiplied, added or joined with another signal is left out: it"
        " weights what it meets, as in attention, gates, mixtures of experts and the routing of"
        " capsules. So is one before a normalization, which restores the scale, and one that is an"
        " output with labels itself. Information where no output has labels and a known loss, since"
        " it may be an output then."
    )
    fix = "Use relu or gelu there: softmax belongs to the output of a classifier."

    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """One finding at most."""
        sites = evidence.analysis.sites
        found = [site for site in sites if _is_softmax(site) and _gives_features(evidence, site)]
        if not found:
            return
        site = found[0]
        width = (site.output_shape or (0,))[-1]
        yield self.finding(
            "warning" if evidence.profile.outputs else "info",
            f"The hidden {'layers' if len(found) > 1 else 'layer'}"
            f" {listed(each.name for each in found)} {'end' if len(found) > 1 else 'ends'} in a"
            f" softmax: the {width} units of `{site.name}` sum to one for every sample, so that"
            f" each is about {number(1.0 / max(width, 1))}, and hardly differs between samples.",
            site=site,
            culprits=tuple(dict.fromkeys(each.layer for each in found)),
        )


def _is_softmax(site: Site) -> bool:
    return site.kind == "weight" and site.activation == "softmax" and not site.is_head


def _gives_features(evidence: Evidence, site: Site) -> bool:
    """Whether layers with weights alone receive the result, as far as known and through others."""
    outputs = {output.site for output in evidence.profile.outputs}
    takers = list(_takers(evidence, site.index, outputs))
    return bool(takers) and all(each in TAKERS_OF_FEATURES for each in takers)


def _takers(evidence: Evidence, index: int, outputs: set[int | None]) -> Iterator[str]:
    """Kinds of the sites that receive an output; `"output"` where it leaves the model, too."""
    if index in outputs:
        yield "output"
    for consumer in evidence.analysis.graph.consumers[index]:
        kind = evidence.analysis.sites[consumer].kind
        if kind in TRANSPARENT:
            yield from _takers(evidence, consumer, outputs)
        else:
            yield kind
