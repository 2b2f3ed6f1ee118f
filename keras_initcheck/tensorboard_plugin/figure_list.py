"""The figures that the tab offers, with what a reader is told about each. Nothing is drawn here,
and plotly is not needed.
"""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class FigureTab:
    """One of the tabs above the picture.

    Attributes:
        kind: The figure's name in `outputs.figures.FIGURES`.
        title: What stands on the tab.
        caption: How to read it, in a sentence or two.
        over_steps: Whether it shows all probes of one run, and not one probe of each run.
        is_single: Whether it shows one run at a time.
        statistics: What a heat map shows: the first of these that was measured.
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
            "From the first layer to the last: how strong the signal is (mean square), and how"
            " strong the gradient is on its way back. Flat is healthy. What falls dies out, what"
            " rises blows up.",
        ),
        "ratios": FigureTab(
            "ratios",
            "Ratios",
            "What each layer by itself multiplies the mean square by. 1 keeps it; a layer outside"
            " of its bar is not what its weights say.",
            is_single=True,
        ),
        "signal_map": FigureTab(
            "heat_map",
            "Signal over time",
            "Each row is a layer, each column a probe: how strong the signal is, compared with the"
            " first layer at the same step.",
            over_steps=True,
            is_single=True,
            statistics=("log10_second_moment_h",),
        ),
        "gradient_map": FigureTab(
            "heat_map",
            "Gradient over time",
            "Each row is a layer, each column a probe: how strong the loss's gradient is, compared"
            " with the first layer at the same step.",
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
            "How large each layer's gradient is beside its weights. Layers far below the others"
            " hardly learn, those far above forget.",
            over_steps=True,
            is_single=True,
        ),
    }
)
"""By the name that stands in the address. The first one is shown first."""
