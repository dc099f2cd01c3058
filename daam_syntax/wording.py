"""Numbers of things, in words that agree with them."""

from __future__ import annotations


def plural(n: int, noun: str) -> str:
    """Return "1 prompt", "2 prompts", "2 categories"."""
    if n == 1:
        return f"{n} {noun}"
    return f"{n} {noun[:-1]}ies" if noun.endswith("y") else f"{n} {noun}s"
