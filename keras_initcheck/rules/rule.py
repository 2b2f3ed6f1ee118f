"""Interface of a rule: a code, a slug, a page of documentation, and a check.

A rule also names what cures its findings and which other rules explain them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from keras_initcheck.analysis.evidence import Evidence
from keras_initcheck.records.finding import Finding, Severity
from keras_initcheck.records.structure import Site
from keras_initcheck.rules.cure import Cure
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds
from keras_initcheck.rules.wording import number

UNCENTERED_SHARE = 0.5
"""Share of a signal's second moment that its mean may have before it is called uncentered."""
LARGEST_LOG = 709.0
"""Largest number whose exponential is a float."""
FEWEST_SAMPLES = 4
"""Samples of the smallest batch from which shares of samples are judged."""


class Causes:
    """The worst findings by rule and layer, for rules to look up what explains their own.

    Args:
        findings: All findings.
        places: Indices of the sites by name.
    """

    def __init__(self, findings: Sequence[Finding], places: Mapping[str, int]) -> None:
        self._findings, self._places = findings, places
        self._ranks: dict[tuple[str, str | None], int] = {}
        for finding in findings:
            for key in {(finding.slug, None), (finding.slug, finding.layer)}:
                self._ranks[key] = max(finding.rank, self._ranks.get(key, -1))

    def rank(self, slug: str, layer: str | None = None) -> int:
        """Rank of the worst finding of a rule, at that layer if one is given; -1 without any."""
        return self._ranks.get((slug, layer), -1)

    def lies_within(self, slug: str, finding: Finding) -> bool:
        """Whether a rule found something at a site between the ends of a finding, as executed."""
        ends = [self._places.get(name, -1) for name in finding.span]
        return bool(ends) and any(
            ends[0] <= self._places.get(each.site or "", -1) <= ends[1]
            for each in self._findings
            if each.slug == slug
        )


class Rule(ABC):
    """One thing that can be wrong with a network.

    Attributes:
        code: Stable code such as `IC102`.
        slug: Name of the problem such as `forward-gain`.
        title: The problem in one line.
        what: What the rule measures, and when it reports.
        why: Why that matters for training.
        example: A model that shows it.
        limits: What the rule does not see, and where it is silent on purpose.
        fix: The smallest change that cures it.
        cure: The change of weights that may cure it; `None` if no initialization does.
        breaks_layers: Whether its findings show layers that died, saturated or blew up, which a
            repair during training resolves. Gains are not among them: training changes them on
            purpose.
        blames_optimizer: Whether its findings are about the optimizer, so that a repair of weights
            that brings them to light is kept.
        explained_by: Slugs of the rules whose findings explain this one's, the likeliest first.
        raises: Slugs of the rules whose warnings explain an error of this one, the likeliest first.
            Such a cause is as severe as what it leads to: its warnings become errors.
    """

    code: ClassVar[str]
    slug: ClassVar[str]
    title: ClassVar[str]
    what: ClassVar[str]
    why: ClassVar[str]
    example: ClassVar[str]
    limits: ClassVar[str]
    fix: ClassVar[str]
    cure: ClassVar[Cure | None] = None
    breaks_layers: ClassVar[bool] = False
    blames_optimizer: ClassVar[bool] = False
    explained_by: ClassVar[tuple[str, ...]] = ()
    raises: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def check(self, evidence: Evidence, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """The findings of this rule, in any order.

        Whether there is anything to report is decided on arrays over all sites or weights, since a
        training asks at every probe; records are made of candidates alone.

        Args:
            evidence: The evidence of one profile.
            thresholds: Numbers to judge by. Rules whose limits are no matter of preference do not
                use them.
        """

    def is_explained_by(self, slug: str, finding: Finding, causes: Causes) -> bool:
        """Whether a finding of this rule follows from one of another rule, as severe or more so.

        Args:
            slug: One of `explained_by`, or of `raises` where the finding is an error.
            finding: A finding of this rule.
            causes: All findings.
        """
        return causes.rank(slug) >= finding.rank

    def finding(
        self, severity: Severity, message: str, site: Site | None = None, **facts: Any
    ) -> Finding:
        """A finding with this rule's code, slug, reason and fix.

        `facts` are further fields of `Finding`, and override those.
        """
        place = {"site": site.name, "layer": site.layer} if site is not None else {}
        own = {"code": self.code, "slug": self.slug, "why": self.why, "fix": self.fix}
        return Finding(severity=severity, message=message, **{**own, **place, **facts})


def percent(share: float) -> str:
    """A share, 0..1, in per cent.

    >>> percent(1.0), percent(0.00012345)
    ('100%', '0.0123%')
    """
    return f"{number(100.0 * share)}%"


def input_in_words(name: str) -> str:
    """An input of the model, by the name that its author gave it.

    >>> input_in_words("tab"), input_in_words("input")
    ('the input `tab`', 'the input')
    """
    return "the input" if name == "input" else f"the input `{name}`"


def further(count: int, noun: str) -> str:
    """The number of further places, as the end of a sentence.

    >>> further(0, "site"), further(1, "site"), further(2, "site")
    ('', ', and in 1 further site', ', and in 2 further sites')
    """
    return f", and in {count} further {noun}{'' if count == 1 else 's'}" if count else ""


def listed(names: Iterable[str], limit: int = 3) -> str:
    """Names in back ticks, the first few of them.

    >>> listed(["a", "b", "c", "d", "e"])
    '`a`, `b`, `c` and 2 more'
    """
    quoted = [f"`{name}`" for name in names]
    shown = ", ".join(quoted[:limit])
    return shown if len(quoted) <= limit else f"{shown} and {len(quoted) - limit} more"
