"""A finding: a rule's verdict on a site or on the whole network."""

from dataclasses import dataclass
from typing import Literal, get_args

from keras_initcheck.records.record import Record

Severity = Literal["info", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""From harmless to harmful."""


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

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(
                f"`severity` must be one of {SEVERITIES}. Received: severity={self.severity!r}."
            )

    @property
    def rank(self) -> int:
        """The severity as a number: 0 for information, 2 for an error."""
        return SEVERITIES.index(self.severity)

    def is_like(self, other: "Finding") -> bool:
        """Whether both report the same problem at the same place, with any numbers.

        The worst of several culprits, which gives a gain its site, is chance in weights that are
        redrawn, so that one common culprit is enough.
        """
        is_same_place = (self.site, self.layer) == (other.site, other.layer) or not {
            *self.culprits
        }.isdisjoint(other.culprits)
        return self.code == other.code and is_same_place
