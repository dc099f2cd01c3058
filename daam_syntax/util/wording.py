"""Counts, sizes, time spans, and errors in words."""

from __future__ import annotations

from collections.abc import Sequence


def plural(n: int, noun: str) -> str:
    """Return a count with its noun: "1 prompt", "2 prompts", "2 categories"."""
    return f"{n} {noun if n == 1 else many(noun)}"


def many(noun: str) -> str:
    """Return the plural of a regular noun: "prompts", "categories"."""
    return noun[:-1] + "ies" if noun.endswith("y") else noun + "s"


def listed(names: Sequence[str], conjunction: str = "and") -> str:
    """Join names as in a sentence, such as "area, place and distance"."""
    *first, last = names
    return f"{', '.join(first)} {conjunction} {last}" if first else last


def one_line(error: BaseException) -> str:
    """Return the message of an error in one line; the name of its class if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def human_size(n_bytes: float) -> str:
    """Return a number of bytes in a readable unit, a power of 1000: "1.5 GB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 999.5:  # which three digits would round to 1e+03
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:,.4g} TB"


def duration(seconds: float) -> str:
    """Return a time span in days, hours, minutes and seconds: "2 d 03:04:05"."""
    days, rest = divmod(round(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    clock = f"{hours:02d}:{rest // 60:02d}:{rest % 60:02d}"
    return f"{days} d {clock}" if days else clock
