"""The colors of all figures, once for light and once for dark surroundings.

Hues are those of Okabe & Ito (2008), which people with any kind of color blindness tell apart,
brightened for the dark ground. What matters is never said by color alone: severities have symbols,
runs have dashes.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class Palette:
    """Colors as CSS writes them.

    Attributes:
        background: Of figure and page.
        ink: Text and what matters most.
        muted: Text that explains.
        grid: Grid lines.
        ideal: The guide for a healthy network.
        error: Of a finding that ruins a training.
        warning: Of a finding that slows it down.
        info: Of a finding that is harmless.
        good: Of a healthy network.
        link: Of what can be clicked.
        zero: A signal that is exactly zero.
        nonfinite: NaN or infinity.
        neutral: The middle of the diverging scale.
        low: Its lower end.
        high: Its upper end.
        band: What chance allows, translucent.
        runs: One for each run, in this order, from the beginning again where there are more.
        depths: From the first to the last layer.
    """

    background: str
    ink: str
    muted: str
    grid: str
    ideal: str
    error: str
    warning: str
    info: str
    good: str
    link: str
    zero: str
    nonfinite: str
    neutral: str
    low: str
    high: str
    band: str
    runs: tuple[str, ...]
    depths: tuple[str, ...]


LIGHT = Palette(
    background="#ffffff",
    ink="#1b2027",
    muted="#5a6470",
    grid="#e5e8ec",
    ideal="#868f99",
    error="#d55e00",
    warning="#e69f00",
    info="#66717d",
    good="#00835f",
    link="#0b62a4",
    zero="#a7aeb6",
    nonfinite="#000000",
    neutral="#f4f5f6",
    low="#0b62a4",
    high="#c44e00",
    band="rgba(0, 114, 178, 0.16)",
    runs=("#0072b2", "#009e73", "#cc79a7", "#3d8fd1", "#7d6bb0"),
    depths=("#08306b", "#0072b2", "#009e73", "#c9a227"),
)

DARK = Palette(
    background="#15181c",
    ink="#e8ebee",
    muted="#a0aab4",
    grid="#2b3138",
    ideal="#8d97a2",
    error="#ff8a3d",
    warning="#f5bd3d",
    info="#9fa9b3",
    good="#2bc79b",
    link="#56b4e9",
    zero="#6c757e",
    nonfinite="#000000",
    neutral="#262b31",
    low="#56b4e9",
    high="#ff8033",
    band="rgba(86, 180, 233, 0.20)",
    runs=("#57b5ea", "#2bc79b", "#e3a1c6", "#8fb8ff", "#b3a2e6"),
    depths=("#7fb2ff", "#57b5ea", "#2bc79b", "#f0d264"),
)


def palette(dark: bool) -> Palette:
    """The colors for dark or light surroundings."""
    return DARK if dark else LIGHT


def dark_for_light() -> Mapping[str, str]:
    """The dark color for each light one, with which a page turns a light figure dark."""
    return dict(zip(_flat(LIGHT), _flat(DARK), strict=True))


def _flat(colors: Palette) -> list[str]:
    return [
        color
        for each in astuple(colors)
        for color in (each if isinstance(each, tuple) else (each,))
    ]
