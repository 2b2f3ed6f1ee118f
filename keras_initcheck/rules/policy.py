"""A user's policy: rules to apply, thresholds to judge by, and layers to leave alone."""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from fnmatch import fnmatchcase

from keras_initcheck.records.finding import Finding
from keras_initcheck.rules.catalogue import ALL_CODES, codes_of
from keras_initcheck.rules.thresholds import Thresholds, named


@dataclass(frozen=True, init=False)
class Policy:
    """Rules to apply, thresholds to judge by, and layers to leave alone.

    `check`, `repair`, `assert_healthy` and `InitCheck` take a policy, so that one object can serve
    all of them.

    Args:
        select: Codes or slugs of the only rules to apply; all rules if empty.
        ignore: Codes or slugs of rules not to apply.
        thresholds: Numbers to judge by, such as `{"sgd_gain_warning": 8.0}`; the others keep their
            defaults, which `initcheck --list-thresholds` prints.
        exempt: Layers to leave alone, as patterns of their paths (`*` matches `/`, too), each with
            codes or slugs, or `"*"` for all rules: `{"backbone/*": ["IC102"], "head": ["*"]}`.

    Attributes:
        codes: Codes of the rules that apply.
        thresholds: All thresholds.
        exempt: `(pattern, codes)` for each pattern of exempt layers.

    Raises:
        TypeError: `thresholds` or `exempt` is not a mapping.
        ValueError: A rule or threshold does not exist, or a number is out of its range.

    Example:
        policy = Policy(ignore=["layer-ratio"], exempt={"backbone/*": ["IC102"]})
        check(model, x, y, policy=policy)
    """

    codes: frozenset[str]
    thresholds: Thresholds
    exempt: tuple[tuple[str, frozenset[str]], ...]

    def __init__(
        self,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        thresholds: Mapping[str, float] | None = None,
        exempt: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        if not isinstance(exempt, Mapping | None):
            raise TypeError(
                f"`exempt` must map patterns of layer paths to codes. Received: {exempt!r}."
            )
        codes = (codes_of(select, "select") or ALL_CODES) - codes_of(ignore, "ignore")
        exempted = tuple((pattern, _exempted(names)) for pattern, names in (exempt or {}).items())
        object.__setattr__(self, "codes", codes)
        object.__setattr__(self, "thresholds", named(thresholds or {}))
        object.__setattr__(self, "exempt", exempted)

    def without(self, *names: str) -> "Policy":
        """The same policy without some rules, by code or slug."""
        changed = copy(self)
        object.__setattr__(changed, "codes", self.codes - codes_of(names, "ignore"))
        return changed

    def filter(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings of rules that apply, on layers that are not exempt, in their order."""
        return [
            finding
            for finding in findings
            if finding.code in self.codes and not self.is_exempt(finding)
        ]

    def is_exempt(self, finding: Finding) -> bool:
        """Whether every layer that the finding blames is exempt.

        A finding that blames no layer is about the network, and never exempt.
        """
        blamed = {layer for layer in (finding.layer, *finding.culprits) if layer is not None}
        return bool(blamed) and all(self._exempts(layer, finding.code) for layer in blamed)

    def _exempts(self, layer: str, code: str) -> bool:
        return any(code in codes and fnmatchcase(layer, pattern) for pattern, codes in self.exempt)


def _exempted(names: str | Sequence[str]) -> frozenset[str]:
    listed = (names,) if isinstance(names, str) else names
    return ALL_CODES if "*" in listed else codes_of(listed, "exempt")


EVERYTHING = Policy()
"""All rules, the default thresholds, and no layer exempt."""


def choose_policy(policy: Policy | None, shorthand: Policy) -> Policy:
    """The policy that a user passed as an object or, if there is none, as short keywords.

    Raises:
        TypeError: `policy` is not a `Policy`.
        ValueError: Both were passed.
    """
    if policy is None:
        return shorthand
    if not isinstance(policy, Policy):
        raise TypeError(
            "`policy` must be a keras_initcheck.Policy. Received: one of type"
            f" {type(policy).__name__}. Try: policy=Policy(ignore=[...])"
        )
    if shorthand != EVERYTHING:
        raise ValueError(
            "`policy` must come without `select`, `ignore`, `thresholds` and `exempt`. Received:"
            " both. Pass all of them to Policy(...)."
        )
    return policy
