"""Share of a sliding window's connections that fall on the tensor and not on its padding."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Overlap:
    """Counts of a window that slides over positions, over all axes.

    Attributes:
        num_inputs: Positions that the window slides over, without padding.
        num_outputs: Places of the window.
        num_connections: Pairs of a place and a position that the window covers there.
    """

    num_inputs: int
    num_outputs: int
    num_connections: int

    @property
    def cells(self) -> float:
        """Mean number of positions in a window."""
        return self.num_connections / self.num_outputs

    @property
    def stride(self) -> float:
        """Input positions for each output position: `s²` inside a large image."""
        return self.num_inputs / self.num_outputs


@dataclass(frozen=True)
class Border:
    """Share of a kernel's connections, as true fans count them, that the border leaves.

    Attributes:
        forward: Share of the connections into an output element, averaged over positions; below one
            if zeros are padded.
        backward: Share of the connections out of an input element, averaged over positions.
    """

    forward: float = 1.0
    backward: float = 1.0


NO_BORDER = Border()


def overlap(
    sizes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    padding: str = "valid",
    dilation: Sequence[int] | None = None,
) -> Overlap:
    """Counts the connections of a window, by TensorFlow's placement.

    Keras places windows so on every backend.

    >>> overlap((8, 8), (3, 3), (1, 1), "same")
    Overlap(num_inputs=64, num_outputs=64, num_connections=484)

    Args:
        sizes: Positions on each axis.
        window: Length on each axis.
        strides: One for each axis.
        padding: `"valid"`, `"same"` or `"causal"`.
        dilation: One for each axis, 1 if not given.

    Raises:
        ValueError: The padding is none of these, or the window does not fit.
    """
    rates = (1,) * len(sizes) if dilation is None else dilation
    axes = [_count(*axis, padding) for axis in zip(sizes, window, strides, rates, strict=True)]
    outputs, connections = zip(*axes, strict=True)
    return Overlap(math.prod(sizes), math.prod(outputs), math.prod(connections))


def conv_border(
    sizes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    padding: str = "valid",
    dilation: Sequence[int] | None = None,
) -> Border:
    """Share of a convolution's fans, `n_in = k² c` and `n̂ = k² d / s²`, that the border leaves.

    With odd `k`, stride 1 and 'same' padding it is `1 - (k² - 1) / (4 k H)` on each axis of size
    `H`, by counting. Assumes a signal and a gradient of the same size everywhere; layers behind it
    receive a signal that is smaller along the border.

    >>> round(conv_border((8, 8), (3, 3), (1, 1), "same").forward, 3)
    0.84
    """
    counted = overlap(sizes, window, strides, padding, dilation)
    return Border(
        forward=counted.cells / math.prod(window),
        backward=counted.num_connections
        / counted.num_inputs
        * math.prod(strides)
        / math.prod(window),
    )


def conv_transpose_border(
    sizes: Sequence[int], window: Sequence[int], strides: Sequence[int], padding: str = "valid"
) -> Border:
    """Share of a transposed convolution's fans that the border leaves.

    The fans are `n_in = k² c / s²` and `n̂ = k² d`. It is the convolution from its output to its
    input, turned round; `sizes` are its input's.

    >>> border = conv_transpose_border((8, 8), (4, 4), (2, 2), "same")
    >>> round(border.forward, 4), round(border.backward, 4)
    (0.8789, 0.8789)
    """
    lengths = zip(sizes, window, strides, strict=True)
    outputs = [
        size * stride if padding == "same" else (size - 1) * stride + max(length, stride)
        for size, length, stride in lengths
    ]
    turned = conv_border(outputs, window, strides, padding)
    return Border(forward=turned.backward, backward=turned.forward)


def _count(size: int, length: int, stride: int, rate: int, padding: str) -> tuple[int, int]:
    """Places of the window on one axis, and the sum of the positions that it covers in each."""
    reach = (length - 1) * rate + 1
    num_places = (size - reach) // stride + 1 if padding == "valid" else -(-size // stride)
    total = (num_places - 1) * stride + reach - size
    before = {"valid": 0, "same": max(total, 0) // 2, "causal": reach - 1}.get(padding)
    if before is None:
        raise ValueError(
            f"`padding` must be 'valid', 'same' or 'causal'. Received: padding={padding!r}. Pass"
            " the layer's `padding`."
        )
    if num_places < 1:
        raise ValueError(
            f"The window must fit. Received: size={size}, window={length}, dilation={rate}. Pass"
            " the input's own size."
        )
    positions = np.arange(num_places)[:, None] * stride - before + np.arange(length)[None, :] * rate
    return num_places, int(((positions >= 0) & (positions < size)).sum())
