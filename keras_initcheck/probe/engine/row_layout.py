"""Order and widths of the rows of a pass: engines pack them by it, the host unpacks them by it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SCALARS = "scalars"
"""Loss, the factor by which the optimizer scaled it, and the penalties of weights in the loss,
`(1, NUM_SCALARS)`."""
NUM_SCALARS = 3
LINKS = "links"
"""Comparisons of one tensor with another, `(1, links)`."""
OUTPUTS = "outputs"
"""Outputs beside their labels."""
INDICES = "indices"
"""Extent of what enters the embeddings."""
SKETCHES = "sketches"
"""Kernels multiplied with random directions."""
INPUTS, WEIGHTS, SIGNALS = "inputs", "weights", "signals"


def gradients_of(objective: str) -> str:
    """Name of the section with the gradients of the signals from one objective."""
    return f"{objective} gradients"


def weight_gradients_of(objective: str) -> str:
    """Name of the section with the gradients of the trainable weights from one objective."""
    return f"{objective} weight gradients"


@dataclass(frozen=True)
class Section:
    """Rows of one meaning, `(count, width)`."""

    name: str
    count: int
    width: int


@dataclass(frozen=True)
class RowLayout:
    """The sections of the vector that comes to the host, in order."""

    sections: tuple[Section, ...] = ()

    def pack(self, rows: Mapping[str, Sequence[Any]]) -> list[Any]:
        """The rows `(width,)` of all sections, in order, to be joined to one vector.

        Raises:
            ValueError: A section has another number of rows.
        """
        ordered: list[Any] = []
        for section in self.sections:
            found = rows.get(section.name, ())
            if len(found) != section.count:
                raise ValueError(
                    f"The section {section.name!r} must have {section.count} rows. Received:"
                    f" {len(found)}. The pass was traced with another number of tensors."
                )
            ordered.extend(found)
        return ordered

    def unpack(self, vector: npt.ArrayLike) -> dict[str, npt.NDArray[np.float64]]:
        """`(count, width)` arrays in float64 by the names of the sections.

        Raises:
            ValueError: The vector has another length than the sections together.
        """
        values = np.asarray(vector, np.float64)
        sizes = [section.count * section.width for section in self.sections]
        if len(values) != sum(sizes):
            raise ValueError(
                f"`vector` must have {sum(sizes)} numbers. Received: {len(values)}. The pass was"
                " traced with another number of tensors."
            )
        parts = np.split(values, np.cumsum(sizes)[:-1]) if sizes else []
        return {
            section.name: part.reshape(section.count, section.width)
            for section, part in zip(self.sections, parts, strict=True)
        }
