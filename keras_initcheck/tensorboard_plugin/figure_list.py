"""The figures that the tab offers, with their captions. Nothing is drawn here."""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class FigureTab:
    """One of the tabs above the picture.

    Attributes:
        kind: The figure's name in `outputs.figures.FIGURES`.
        title: Title of the tab.
        caption: One or two sentences on how to read the figure.
        over_steps: Whether the figure shows all probes of one run, rather than one of each run.
        is_single: Whether the figure shows one run at a time. Only the page's JavaScript reads
            this, in `page.js`.
        statistics: Statistics of a heat map, which shows the first one that was measured.
    """

    kind: str
    title: str
    caption: str
    over_steps: bool = False
    is_single: bool = False
    statistics: tuple[str, ...] = ()


FIGURE_TABS = MappingProxyType(
    {
        "signal": FigureTab(
            "signal",
            "Signal",
            "Size (root mean square) of the signal from the first layer to the last, and of the"
            " gradient on its way back. Flat is healthy. A falling curve vanishes, a rising one"
            " explodes.",
        ),
        "ratios": FigureTab(
            "ratios",
            "Ratios",
            "The factor by which each layer multiplies the root mean square. 1 preserves it. A"
            " layer outside its bar does not do what its weights predict.",
            is_single=True,
        ),
        "signal_map": FigureTab(
            "heat_map",
            "Signal over time",
            "Size of the signal relative to the first layer at the same step. Each row is a"
            " layer, each column a probe.",
            over_steps=True,
            is_single=True,
            statistics=("log10_second_moment_h",),
        ),
        "gradient_map": FigureTab(
            "heat_map",
            "Gradient over time",
            "Size of the loss's gradient relative to the first layer at the same step. Each"
            " row is a layer, each column a probe.",
            over_steps=True,
            is_single=True,
            statistics=(
                "log10_loss_gradient_second_moment_h",
                "log10_random_gradient_second_moment_h",
            ),
        ),
        "updates": FigureTab(
            "update_ratio",
            "Updates",
            "Size of each layer's gradient relative to its weights. Layers far below the others"
            " barely learn; layers far above them forget.",
            over_steps=True,
            is_single=True,
        ),
    }
)
"""The tabs by their names in the address; the first one is shown first."""
