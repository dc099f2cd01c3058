"""Choose between "a" and "an"."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

# Skips letters used as names ("group A"), and abbreviations and numbers, whose spelling does not show their sound.
_ARTICLE: Final = re.compile(r"(\ba|(?:^|(?<=[.!?] ))A)n?(?=\s+([a-z][\w'’-]*))")


def fit_articles(text: str) -> str:
    """Return a text with "a" before words that begin with a consonant sound, "an" before vowel sounds."""
    return _ARTICLE.sub(lambda found: found[1] + ("n" if _takes_an(found[2]) else ""), text)


@cache
def _takes_an(word: str) -> bool:
    return str(_engine().a(word)).startswith("an ")


@cache
def _engine() -> Any:
    import inflect

    return inflect.engine()
