"""Runs: the parts of chains in which every predicted ratio is known, so that they multiply."""

import numpy as np
import numpy.typing as npt

from keras_initcheck.analysis.layer_fans import BACKWARD
from keras_initcheck.analysis.predicted_ratios import PredictedRatios

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]


class ChainRuns:
    """The runs of all chains in one direction.

    A ratio that is not known, such as a gating softmax's or an intended zero's, parts a chain in
    two. The first layer on the data is not counted, unless on the way forward it amplifies or is
    frozen: its ratio multiplies the input's own scale.

    Args:
        ratios: The predicted ratios in that direction.
        is_fed_by_data: `(sites,)`, whether no layer with weights comes before.
        is_trainable: `(sites,)`, whether a layer is trained.

    Attributes:
        members: Positions of the weight layers in the runs, run after run.
        starts: Where each run starts in `members`.
        is_counted: `(members,)`, whether the ratio counts.
    """

    def __init__(
        self, ratios: PredictedRatios, is_fed_by_data: BoolArray, is_trainable: BoolArray
    ) -> None:
        fans = ratios.fans
        is_known = ratios.is_known[fans.order]
        self.members: IntArray = fans.order[is_known]
        chain, num_unknown = fans.chain[is_known], np.cumsum(~is_known)[is_known]
        is_new = (chain[1:] != chain[:-1]) | (num_unknown[1:] != num_unknown[:-1])
        is_start = np.concatenate([[True], is_new])[: self.members.size]
        self.starts: IntArray = np.flatnonzero(is_start)
        first = fans.sites[self.members]
        is_free = is_fed_by_data[first]
        if ratios.direction != BACKWARD:
            is_free = is_free & is_trainable[first] & (ratios.ratio[self.members] < 1.0)
        self.is_counted: BoolArray = ~(is_start & is_free)

    def __len__(self) -> int:
        """Number of runs."""
        return len(self.starts)

    def sums(self, values: FloatArray) -> FloatArray:
        """`(runs,)` sums over the layers that count.

        Args:
            values: `(weight layers,)`.
        """
        if not self.starts.size:
            return np.zeros(0)
        counted = np.where(self.is_counted, values[self.members], 0.0)
        sums: FloatArray = np.add.reduceat(counted, self.starts)
        return sums

    def positions(self, number: int, *, counted: bool = False) -> list[int]:
        """The weight layers of one run.

        Args:
            number: Number of the run.
            counted: Whether to leave out a layer that does not count.
        """
        end = self.starts[number + 1] if number + 1 < len(self.starts) else self.members.size
        run = slice(self.starts[number], end)
        members = self.members[run]
        found: list[int] = (members[self.is_counted[run]] if counted else members).tolist()
        return found
