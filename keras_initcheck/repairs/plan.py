"""What a repair intends to do, as plain records. Nothing here touches a model."""

from dataclasses import dataclass

from keras_initcheck.records.finding import Finding

RESCALE, REDRAW, RESET, RECENTRE, SETTLE, RENEW = (
    "rescale",
    "redraw",
    "reset",
    "recentre",
    "settle",
    "renew",
)
_WORDS = {
    RESCALE: "multiply",
    REDRAW: "draw anew",
    RESET: "set to zero",
    RECENTRE: "recentre",
    SETTLE: "settle on the batch",
    RENEW: "give its first values to",
}


@dataclass(frozen=True)
class Step:
    """One change of one layer.

    Attributes:
        layer: Path of the layer.
        action: `"rescale"` (multiplied, so that distribution and orthogonality stay), `"redraw"`,
            `"reset"` (to zero), `"recentre"` (a bias that takes out what inputs around 1/2 add to
            each unit), `"settle"` (multiplied until the standard deviation of the pre-activation on
            the batch is right) or `"renew"` (what the layer's own initialisers give).
        variables: Names of the variables that change, as in `WeightStats.name`.
        why: What the step is for, in words.
        factor: Number that each variable is multiplied by. Of `"settle"` it is known when it is
            done, else `None`.
        stds: Root mean squares that the variables are drawn with, one for each.
        num_gates: Kernels side by side in each variable's last axis, each drawn on its own.
        is_orthogonal: Whether what is drawn has orthonormal rows or columns.
        kernel: Of `"recentre"` the kernel whose columns' sums the bias takes out.
    """

    layer: str
    action: str
    variables: tuple[str, ...]
    why: str
    factor: float | None = None
    stds: tuple[float, ...] = ()
    num_gates: int = 1
    is_orthogonal: bool = False
    kernel: str = ""

    def __str__(self) -> str:
        """The step as a line: `multiply dense/kernel by 0.0884: ...`."""
        names = ", ".join(self.variables)
        amount = "" if self.factor is None else f" by {self.factor:.4g}"
        drawn = (
            f" with a root mean square of {' and '.join(f'{std:.3g}' for std in self.stds)}"
            if self.stds
            else ""
        )
        return (
            f"{_WORDS[self.action]} {names}{amount}{' (orthogonal)' * self.is_orthogonal}{drawn}:"
            f" {self.why}"
        )


@dataclass(frozen=True)
class Plan:
    """The steps, what they go for, and what no step can cure.

    Attributes:
        steps: The steps in the order in which they are applied.
        targets: The findings that they go for.
        unresolved: `(finding, reason)` of warnings and errors that no re-initialisation cures.
    """

    steps: tuple[Step, ...] = ()
    targets: tuple[Finding, ...] = ()
    unresolved: tuple[tuple[Finding, str], ...] = ()

    def __str__(self) -> str:
        """One line for each step, and one for each finding that is left."""
        lines = [f"{position}. {step}" for position, step in enumerate(self.steps, 1)] or [
            "Nothing to change."
        ]
        return "\n".join(
            [
                *lines,
                *(
                    f"- {finding.code} {finding.slug} stays: {reason}"
                    for finding, reason in self.unresolved
                ),
            ]
        )
