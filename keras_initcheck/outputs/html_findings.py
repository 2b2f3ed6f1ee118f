"""Findings as an HTML page arranges them: in groups of one code, of which most are folded away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keras_initcheck.outputs.severity_marks import LOUD, MARKS
from keras_initcheck.records.finding import Finding

MOST_OF_A_CODE = 6
"""Findings of one code that are shown unfolded."""
MOST_FINDINGS = 2_000
"""Findings on a page, of all codes: a browser shows more of them slowly, and nobody reads them."""


@dataclass(frozen=True)
class Article:
    """One finding on a page.

    Attributes:
        finding: The finding.
        mark: The sign of its severity.
        place: The site or layer that it names, `""` for the whole network.
        anchor: The element of the page that shows the site, `""` for none.
        notes: `(label, text)` of why and fix, where they differ from those of the finding before.
    """

    finding: Finding
    mark: str
    place: str
    anchor: str
    notes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Group:
    """The findings of one code.

    Attributes:
        code: The code.
        shown: Those that are shown.
        folded: Those that are folded away: of many alike, and of those that are harmless, all but
            the first.
        is_note: Whether all of them are information, so that a page folds the group away.
    """

    code: str
    shown: tuple[Article, ...]
    folded: tuple[Article, ...]
    is_note: bool

    @property
    def size(self) -> int:
        """Number of its findings."""
        return len(self.shown) + len(self.folded)


def group_findings(found: Sequence[Finding], anchors: Mapping[str, str]) -> list[Group]:
    """The first `MOST_FINDINGS` findings in groups, worst first.

    Args:
        found: The findings, worst first.
        anchors: The element to jump to for the name of each site.
    """
    by_code: dict[str, list[Finding]] = {}
    for each in found[:MOST_FINDINGS]:
        by_code.setdefault(each.code, []).append(each)
    return [_group(code, each, anchors) for code, each in by_code.items()]


def _group(code: str, found: Sequence[Finding], anchors: Mapping[str, str]) -> Group:
    repeated: set[tuple[str, str]] = set()
    articles = tuple(_article(each, anchors, repeated) for each in found)
    is_note = found[0].severity not in LOUD  # the first is the worst
    num_shown = 1 if is_note else MOST_OF_A_CODE
    return Group(code, articles[:num_shown], articles[num_shown:], is_note)


def _article(
    finding: Finding, anchors: Mapping[str, str], repeated: set[tuple[str, str]]
) -> Article:
    pairs = (("Why", finding.why), ("Fix", finding.fix))
    notes = tuple(pair for pair in pairs if pair[1] and pair not in repeated)
    repeated.update(notes)
    name = finding.site or finding.layer or ""
    place = finding.place if name else ""
    return Article(finding, MARKS[finding.severity], place, anchors.get(name, ""), notes)
