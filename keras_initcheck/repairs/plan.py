"""Plans of a repair, as plain records. Nothing here touches a model."""

from dataclasses import dataclass

from keras_initcheck.records.finding import Finding

RESCALE, REDRAW, RESET, RECENTER, SETTLE, RENEW = (
    "rescale",
    "redraw",
    "reset",
    "recenter",
    "settle",
    "renew",
)
_WORDS = {
    RESCALE: "multiply",
    REDRAW: "redraw",
    RESET: "set to zero",
    RECENTER: "recenter",
    SETTLE: "settle on the batch",
    RENEW: "reinitialize",
}


@dataclass(frozen=True)
class Step:
    """One change of one layer.

    Attributes:
        layer: Path of the layer.
        action: `"rescale"` (multiply, so that distribution and orthogonality stay), `"redraw"`,
            `"reset"` (to zero), `"recenter"` (give a bias that takes out what inputs around 1/2 add
            to each unit), `"settle"` (multiply until the standard deviation of the pre-activation
            on the batch is right) or `"renew"` (use the layer's own initializers).
        variables: Names of the variables that change, as in `WeightStats.name`.
        why: The reason of the step, in words.
        factor: Number that each variable is multiplied by; for `"settle"` it is `None` until the
            step was carried out.
        stds: Root mean squares that the variables are drawn with, one for each.
        num_gates: Kernels side by side in each variable's last axis, each drawn on its own.
        is_orthogonal: Whether what is drawn has orthonormal rows or columns.
        kernel: For `"recenter"`, the kernel whose columns' sums the bias takes out.
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
        unresolved: `(finding, reason)` of warnings and errors that no re-initialization cures.
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
