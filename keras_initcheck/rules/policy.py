"""What a user asks of the rules: which apply, from which numbers on they speak, and which layers
they leave alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from keras_initcheck.records.report import Finding
from keras_initcheck.rules.thresholds import DEFAULTS, Thresholds


@dataclass(frozen=True)
class Policy:
    """One object for all faces. `catalogue.policy_of` makes it of what users write.

    Attributes:
        codes: Codes of the rules that apply.
        thresholds: The numbers that they judge by.
        exempt: `(pattern, codes)`: layers whose path matches the pattern, as file names match in a
            shell (`*` matches `/` too), are left alone by the rules of these codes.
    """

    codes: frozenset[str]
    thresholds: Thresholds = DEFAULTS
    exempt: tuple[tuple[str, frozenset[str]], ...] = ()

    def kept(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings that are asked for, in their order."""
        return [
            finding
            for finding in findings
            if finding.code in self.codes and not self.is_exempt(finding)
        ]

    def is_exempt(self, finding: Finding) -> bool:
        """Whether every layer that the finding blames is exempt. One that blames no layer is about
        the network, and never exempt.
        """
        blamed = {layer for layer in (finding.layer, *finding.culprits) if layer is not None}
        return bool(blamed) and all(self._exempts(layer, finding.code) for layer in blamed)

    def _exempts(self, layer: str, code: str) -> bool:
        return any(code in codes and fnmatchcase(layer, pattern) for pattern, codes in self.exempt)
