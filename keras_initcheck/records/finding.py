"""A finding: a rule's verdict on a site or on the whole network."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from keras_initcheck.records.record import Record

Severity = Literal["info", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""From harmless to harmful."""

_END_OF_SENTENCE = re.compile(r"(?<!\bet al)(?<!\be\.g)(?<!\bi\.e)\.\s+(?=[A-Z`\"'])")
"""A period that something follows which may begin a sentence; 0.5 and "et al." hold none."""


def first_sentence(text: str) -> str:
    """The first sentence of a text, with its period.

    >>> first_sentence("Use 0.5. Zeros (Zhang et al. 2019) serve, too")
    'Use 0.5.'
    """
    sentence = _END_OF_SENTENCE.split(text, 1)[0].rstrip()
    return sentence if sentence.endswith((".", "!", "?")) or not sentence else f"{sentence}."


@dataclass(frozen=True, eq=False)
class Finding(Record):
    """A rule's verdict on a site or on the whole network.

    Attributes:
        code: Stable code such as `IC102`; never reused.
        slug: Name of the problem, such as `forward-gain`.
        severity: `"info"`, `"warning"` or `"error"`: the consequence for training, not the size of
            the deviation.
        message: What happens and where, in plain words.
        why: The consequence for training.
        fix: The smallest change that resolves it.
        site: Name of the site; `None` for a finding about the network.
        layer: Path of the layer to blame, or `None`.
        measured: The measured number, or `None`.
        expected: The expected range, in words.
        culprits: Paths of the layers that caused it, worst first.
        span: Names of the first and the last site, of a finding about several layers in a row.
        details: The same as a formula, with the theory and its bounds; may be empty.
    """

    code: str
    slug: str
    severity: Severity
    message: str
    why: str
    fix: str
    site: str | None = None
    layer: str | None = None
    measured: float | None = None
    expected: str = ""
    culprits: tuple[str, ...] = ()
    details: str = ""
    span: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(
                f"`severity` must be one of {SEVERITIES}. Received: severity={self.severity!r}."
            )

    @property
    def rank(self) -> int:
        """The severity as a number: 0 for information, 2 for an error."""
        return SEVERITIES.index(self.severity)

    @property
    def place(self) -> str:
        """The site or layer, the ends of several layers in a row, or `"whole network"`."""
        if self.span and self.span[0] != self.span[-1]:
            return f"{self.span[0]} … {self.span[-1]}"
        return self.site or self.layer or "whole network"

    @property
    def headline(self) -> str:
        """What happens, where, and the cure: a sentence of the message, and one of the fix."""
        return " ".join(filter(None, map(first_sentence, (self.message, self.fix))))

    def is_like(self, other: "Finding") -> bool:
        """Whether both report the same problem at the same place, with any numbers.

        The worst of several culprits, which gives a gain its site, is chance in weights that are
        redrawn, so that one common culprit is enough.
        """
        is_same_place = (self.site, self.layer) == (other.site, other.layer) or not {
            *self.culprits
        }.isdisjoint(other.culprits)
        return self.code == other.code and is_same_place
