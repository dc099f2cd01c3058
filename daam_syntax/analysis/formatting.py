"""P-values, intervals, sample sizes, and clusters as text."""

from __future__ import annotations

import math

from daam_syntax.util.wording import plural


def format_p(p: float, digits: int = 3, *, equals: bool = False) -> str:
    """Return a p-value as text that never reads as 0: "0.012", or "< 0.001".

    Parameters
    ----------
    p
        The p-value.
    digits
        Digits after the decimal point.
    equals
        Whether to write the equals sign: "= 0.012".
    """
    least = 10.0**-digits
    if p < least:
        return f"< {least:.{digits}f}"
    return f"{'= ' if equals else ''}{p:.{digits}f}"


def format_sample(n_prompts: int, n_images: int, n_pairs: int) -> str:
    """Return the sizes of a sample as text: "12 prompts, 24 images, 72 pairs"."""
    return f"{plural(n_prompts, 'prompt')}, {plural(n_images, 'image')}, {plural(n_pairs, 'pair')}"


def cluster_noun(column: str) -> str:
    """Return the noun for the clusters of a column: "prompt", "head lemma"."""
    return {"prompt_id": "prompt"}.get(column, column.replace("_", " "))


def format_interval(low: float, high: float, digits: int) -> str:
    """Return the ends of an interval as text, "0.1 to 0.3", and "-" if there is none."""
    return "-" if math.isnan(low) else f"{low:z.{digits}f} to {high:z.{digits}f}"
