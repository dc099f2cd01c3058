"""Words as labels, in any script."""

from __future__ import annotations

from functools import cache
from typing import Final

from matplotlib import font_manager, rcParams

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


@cache
def label_fonts() -> list[str]:
    """Return the fonts for words: matplotlib's default, then installed fonts for other scripts."""
    installed = set(font_manager.get_font_names())
    return [*rcParams["font.family"], *(name for name in _FALLBACKS if name in installed)]


def label(text: str) -> str:
    """Return a word as a label that can be drawn.

    A character that no font contains becomes its code point (U+1F408), and whitespace becomes "(space)".
    """
    if not text.strip():
        return "(space)"
    return "".join(c if _has_glyph(c) else f"U+{ord(c):04X}" for c in text)


@cache
def _has_glyph(character: str) -> bool:
    families = (font_manager.FontProperties(family=[name]) for name in label_fonts())
    paths = [font_manager.findfont(family) for family in families]
    return any(font_manager.get_font(path).get_char_index(ord(character)) for path in paths)
