"""P-values, sample sizes and clusters as text."""

from __future__ import annotations

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
