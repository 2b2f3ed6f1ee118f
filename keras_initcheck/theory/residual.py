"""How the stream of a residual stack grows: along the sum of its branches, which is healthy, or
along their product.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True)
class ResidualGrowth:
    """The stream's growth over a residual stack, as natural logarithms.

    Attributes:
        log_growth: `ln(q_L / q_0)`.
        log_linear: `ln(1 + sum v_l)`: every branch adds what it makes of a signal of the stream's
            first size, as behind a normalisation.
        log_exponential: `sum ln(1 + v_l)`: every branch multiplies, as `x + F(x)` does with nothing
            to normalise `x`.
        rms_from_linear: Root mean square distance of `ln(q_l / q_0)` from the linear law, over the
            blocks.
        rms_from_exponential: The same from the exponential law.
    """

    log_growth: float
    log_linear: float
    log_exponential: float
    rms_from_linear: float
    rms_from_exponential: float

    @property
    def excess(self) -> float:
        """`ln(q_L / q_0) - ln(1 + sum v_l)`: what a budget of the gain is compared with. Negative
        where the stream is scaled down.
        """
        return self.log_growth - self.log_linear

    @property
    def is_exponential(self) -> bool:
        """Whether the product describes the blocks better than the sum. Small branches make both
        the same.
        """
        return self.rms_from_exponential < self.rms_from_linear


def residual_growth(
    log_second_moments: Sequence[float], branch_variances: Sequence[float]
) -> ResidualGrowth:
    """Compares the growth of a residual stream with its two laws.

    With a normalised input every branch adds variance `v`, and `q_l / q_0 = 1 + l v` (De & Smith
    2020); without, `q_l / q_0 = (1 + v)^l` (Hanin & Rolnick 2018; Zhang et al. 2019, section 2).
    Assumes branches independent of the stream.

    >>> growth = residual_growth([math.log(1 + block) for block in range(49)], [1.0] * 48)
    >>> round(growth.log_growth, 3), round(growth.excess, 9), growth.is_exponential, round(growth.log_exponential, 3)
    (3.892, 0.0, False, 33.271)

    Args:
        log_second_moments: `ln q` of the stream before the first block and after each, one more
            than there are blocks.
        branch_variances: `v_l`, second moment of each branch's output for a branch input of the
            stream's first size, over `q_0`.

    Raises:
        ValueError: The numbers of both do not fit, or a variance is negative.
    """
    if len(log_second_moments) != len(branch_variances) + 1 or not branch_variances:
        raise ValueError(
            "`log_second_moments` must have one number more than `branch_variances`, which has at"
            f" least one. Received: {len(log_second_moments)} and {len(branch_variances)}. Put the"
            " stream's input before its blocks' outputs."
        )
    if min(branch_variances) < 0.0:
        raise ValueError(
            f"`branch_variances` must not be negative. Received: {min(branch_variances)}. Pass"
            " second moments."
        )
    growth = [value - log_second_moments[0] for value in log_second_moments[1:]]
    linear = list(map(math.log1p, accumulate(branch_variances)))
    exponential = list(accumulate(map(math.log1p, branch_variances)))
    root = math.sqrt(len(growth))
    return ResidualGrowth(
        log_growth=growth[-1],
        log_linear=linear[-1],
        log_exponential=exponential[-1],
        rms_from_linear=math.dist(growth, linear) / root,
        rms_from_exponential=math.dist(growth, exponential) / root,
    )
