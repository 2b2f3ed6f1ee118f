"""Text from elsewhere, made harmless: names of layers, messages of exceptions, reports of others.

The standard library alone is imported.
Names are chosen by the user and may hold anything: terminal control sequences, markup, wide
characters.
"""

import re
import unicodedata

ELLIPSIS = "…"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_COLORS = re.compile(r"\x1b\[[0-9;]*m")

UNPRINTABLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
"""Unicode categories that move the cursor, reverse the direction, cannot be encoded, or are drawn
differently by every terminal.
"""

VARIATION_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))
"""Printable, but they have neighbors drawn differently by every terminal."""

LONGEST = 4_000
"""Characters that a page shows of one text: the longest messages of the rules have a few hundred,
and the names in them some more.
"""


def clean(text: str) -> str:
    r"""`text` on one line, with everything a terminal would act on replaced by `�`.

    >>> clean("conv[red]\x1b[31m")
    'conv[red]�[31m'
    """
    if text.isprintable() and VARIATION_SELECTORS.isdisjoint(
        text
    ):  # as nearly all names are; a page cleans thousands of them
        return text
    return "".join(REPLACEMENT if _is_unprintable(character) else character for character in text)


def one_line(text: str, longest: int = LONGEST) -> str:
    r"""`text` cleaned, on one line, in about `longest` characters at most.

    Whatever comes from elsewhere goes through here.

    >>> one_line("first\n\tsecond")
    'first second'
    >>> one_line("a" * 1003, longest=3)
    'aaa… (1000 more characters)'
    """
    return clean(clip(" ".join(text.split()), longest))


def clip(text: str, longest: int = LONGEST) -> str:
    """`text`, its end counted where it is longer than that."""
    return (
        text
        if len(text) <= longest
        else f"{text[:longest]}{ELLIPSIS} ({len(text) - longest} more characters)"
    )


def without_colors(text: str) -> str:
    r"""`text` without the sequences that switch a terminal to bold or color.

    Keras writes them into its messages.

    >>> without_colors("\x1b[1mbold\x1b[0m")
    'bold'
    """
    return _COLORS.sub("", text)


def _is_unprintable(character: str) -> bool:
    return character in VARIATION_SELECTORS or unicodedata.category(character) in UNPRINTABLE
