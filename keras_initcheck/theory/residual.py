"""Growth of the stream of a residual stack, compared with a sum of its branches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class StreamGrowth:
    """The stream's growth over a residual stack, as natural logarithms.

    Attributes:
        log_growth: `ln(q_L / q_0)`.
        log_linear: `ln(1 + sum v_l)`: every branch adds the variance that it has for a signal of
            the stream's first size, as behind a normalization.
    """

    log_growth: float
    log_linear: float

    @property
    def excess(self) -> float:
        """`ln(q_L / q_0) - ln(1 + sum v_l)`, which is compared with a budget of the gain.

        It is negative where the stream is scaled down.
        """
        return self.log_growth - self.log_linear


def stream_growth(
    log_second_moments: Sequence[float], branch_variances: Sequence[float]
) -> StreamGrowth:
    """Compares the growth of a residual stream with the sum of its branches.

    With a normalized input every branch adds variance `v`, and `q_l / q_0 = 1 + l v` (De & Smith
    2020); without, it multiplies, and `q_l / q_0 = (1 + v)^l` (Hanin & Rolnick 2018; Zhang et al.
    2019, section 2). Assumes branches independent of the stream.

    >>> growth = stream_growth([block * math.log(2.0) for block in range(49)], [1.0] * 48)
    >>> round(growth.log_growth, 3), round(growth.log_linear, 3), round(growth.excess, 3)
    (33.271, 3.892, 29.379)

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
    return StreamGrowth(
        log_growth=log_second_moments[-1] - log_second_moments[0],
        log_linear=math.log1p(sum(branch_variances)),
    )
