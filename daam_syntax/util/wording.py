"""Numbers of things, in words that agree with them."""

from __future__ import annotations


def plural(n: int, noun: str) -> str:
    """Return "1 prompt", "2 prompts", "2 categories"."""
    return f"{n} {noun if n == 1 else many(noun)}"


def many(noun: str) -> str:
    """Return "prompts", "categories"."""
    return noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
