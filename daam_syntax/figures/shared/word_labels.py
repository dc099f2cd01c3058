"""Words, and names such as relations and categories, as labels in any script."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import accumulate, pairwise
from typing import Final

from matplotlib import font_manager, rcParams
from matplotlib.textpath import TextPath

_FALLBACKS: Final = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Hiragino Sans",
    "Yu Gothic",
    "WenQuanYi Zen Hei",
    "Noto Sans Arabic",
    "Noto Sans Devanagari",
    "Noto Emoji",
    "Segoe UI Emoji",
)
_MOST_ACCENTS: Final = 3
"""Accents on one letter; more would be written over the labels above."""

_INVISIBLE: Final = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")
"""Categories of characters without a shape: control, format, unassigned, private, and surrogate characters."""


def label_fonts() -> list[str]:
    """Return the fonts for labels: those of matplotlib's settings, then installed fonts for other scripts."""
    return [*rcParams["font.family"], *_installed_fallbacks()]


@cache
def _installed_fallbacks() -> list[str]:
    installed = set(font_manager.get_font_names())
    return [name for name in _FALLBACKS if name in installed]


def label(text: str, columns: int = 20) -> str:
    """Return a word as a label that can be drawn.

    A character that no font contains or that is invisible, such as a zero-width space, and the fourth accent on a
    letter become their code points (U+1F408); whitespace becomes "(space)". A long word, such as an address or a
    sentence written without spaces, keeps its beginning and its end around an ellipsis. Words of right-to-left scripts
    keep their logical order, which matplotlib 3.11 and later draws from right to left; earlier versions draw it from
    left to right.

    Parameters
    ----------
    text
        The word.
    columns
        Longest label, in Latin letters.
    """
    return "".join(_pieces(text, columns))


def name_label(name: object, columns: int = 40) -> str:
    """Return a name such as a relation, a category, or a layer as a label that can be drawn; see `label`.

    Matplotlib leaves out names that begin with an underscore from a legend, so a thin space stands before them. A
    missing name is "(none)".

    Parameters
    ----------
    name
        The name; a number, or anything else that a table may have.
    columns
        Longest label, in Latin letters.
    """
    text = "" if name is None or name != name else str(name)
    shown = label(text, columns) if text.strip() else "(none)"
    return f"\u200a{shown}" if shown.startswith("_") else shown


def text_width(text: str, size: float) -> float:
    """Return the width of a line of text in the fonts for labels, in inches; its size is in points."""
    plain = text.replace("$", "S")  # which would begin a formula
    fonts = font_manager.FontProperties(family=label_fonts())
    return float(TextPath((0, 0), plain, size=size, prop=fonts).get_extents().width) / 72


def label_lines(text: str, columns: int) -> list[str]:
    """Return a label (see `label`) in lines of at most so many Latin letters; code points are not divided."""
    lines, left = [""], columns
    for piece in _pieces(text):
        width = _width(piece)
        if width > left and lines[-1]:
            lines.append("")
            left = columns
        lines[-1] += piece
        left -= width
    return lines


def are_crowded(labels: Sequence[str], letters: int) -> bool:
    """Whether two neighboring labels touch if each has room for so many Latin letters."""
    widths = [sum(map(_width, name)) + 2 * name.count("U+") for name in labels]
    return any(one + other > 2 * letters for one, other in pairwise(widths))


def _pieces(text: str, columns: int = 20) -> list[str]:
    """Return the characters and code points of a label."""
    if not text.strip():
        return ["(space)"]
    pieces, accents = [], 0
    for c in text:
        accents = accents + 1 if unicodedata.combining(c) else 0
        pieces.append(c if _is_drawn(c) and accents <= _MOST_ACCENTS else f"U+{ord(c):04X}")
    if sum(map(_width, pieces)) <= columns:
        return pieces
    at_end = columns // 3
    start, end = _fitting(pieces, columns - at_end - 1), _fitting(pieces[::-1], at_end)
    return [*pieces[:start], "\u2026", *pieces[-end:]]


def _fitting(pieces: Sequence[str], columns: int) -> int:
    """Return how many of the first pieces fit into so many columns, at least 1."""
    widths = accumulate(map(_width, pieces))
    return max(1, sum(width <= columns for width in widths))


def _width(piece: str) -> int:
    """Return the width of a piece of a label, in Latin letters: 2 for a Chinese character, 0 for a combining accent."""
    if len(piece) > 1:
        return len(piece) + 2  # capitals and digits are wider
    return 0 if unicodedata.combining(piece) else 1 + (unicodedata.east_asian_width(piece) in "WF")


def _is_drawn(character: str) -> bool:
    if unicodedata.category(character) in _INVISIBLE:
        return False
    return _has_glyph(character, tuple(label_fonts()))


@cache
def _has_glyph(character: str, fonts: tuple[str, ...]) -> bool:
    families = (font_manager.FontProperties(family=[name]) for name in fonts)
    paths = [font_manager.findfont(family) for family in families]
    return any(font_manager.get_font(path).get_char_index(ord(character)) for path in paths)
