"""What every rule is: a code, a slug, a page of documentation, and a check."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

from keras_initcheck.records.finding import Finding, Severity
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.sites import SiteStats
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds


class Rule(ABC):
    """One thing that can be wrong with a network.

    Attributes:
        code: Stable code such as `IC102`.
        slug: Name of the problem such as `forward-gain`.
        title: The same in one line.
        what: What the rule measures, and when it speaks.
        why: Why that matters for training.
        example: A model that shows it.
        limits: What the rule does not see, and where it keeps silent on purpose.
        fix: The smallest thing that cures it.
    """

    code: ClassVar[str]
    slug: ClassVar[str]
    title: ClassVar[str]
    what: ClassVar[str]
    why: ClassVar[str]
    example: ClassVar[str]
    limits: ClassVar[str]
    fix: ClassVar[str]

    @abstractmethod
    def check(self, profile: Profile, thresholds: Thresholds = DEFAULTS) -> Iterable[Finding]:
        """The findings of this rule, in any order. Rules whose limits are no matter of taste leave
        `thresholds` alone.
        """

    def finding(
        self, severity: Severity, message: str, site: SiteStats | None = None, **facts: Any
    ) -> Finding:
        """A finding with this rule's code, slug, reason and fix; `facts` are further fields of
        `Finding`, and override those.
        """
        place = {"site": site.name, "layer": site.layer} if site is not None else {}
        own = {"code": self.code, "slug": self.slug, "why": self.why, "fix": self.fix}
        return Finding(severity=severity, message=message, **{**own, **place, **facts})


def percent(share: float) -> str:
    """A share, 0..1, in per cent with three digits.

    >>> percent(1.0), percent(0.00012345)
    ('100%', '0.0123%')
    """
    return f"{100 * share:.3g}%"


def further(count: int, noun: str) -> str:
    """How many more there are, as the end of a sentence.

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
