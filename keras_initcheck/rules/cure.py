"""Ways in which new values of weights can cure what a rule finds; `repairs` carries them out."""

from enum import Enum


class Cure(Enum):
    """The change of weights that a finding asks for.

    `RESCALE` and the three that follow it are about the size of weights or biases somewhere, which
    may be in the neighbors of the layer that is blamed.
    """

    REDRAW = "draw the kernels anew, which no factor mends"
    REDRAW_ZEROS = "draw kernels anew whose zeros are not intended"
    REDRAW_ALL_BUT_FIRST = "draw the kernels anew, but keep the first of several equal ones"
    REDRAW_RECURRENT = "draw the recurrent kernel anew"
    SCALE_BRANCHES = "make the branches of a residual stack smaller"
    RESCALE = "multiply the kernels of the chain"
    RESCALE_AND_RESET_BIASES = "multiply the kernels of the chain, and set large biases to zero"
    RESCALE_OR_REDRAW = "as before, or draw the kernels anew if their size is right already"
    SCALE_BRANCHES_OR_CHAIN = "make residual branches smaller if they grew, else multiply kernels"

    @property
    def concerns_size(self) -> bool:
        """Whether the finding follows from the size of weights or biases somewhere."""
        return self not in _OF_VALUES


_OF_VALUES = frozenset((Cure.REDRAW, Cure.REDRAW_ZEROS, Cure.REDRAW_ALL_BUT_FIRST))
