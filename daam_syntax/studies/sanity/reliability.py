"""Reliability: how well the values of words agree between seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from daam_syntax.studies.framework.comparisons import correlation


def split_half(
    words: pd.DataFrame, *, measure: str = "effective_area", n_resamples: int = 999, seed: int = 0
) -> dict[str, Any]:
    """Estimate the reliability of the values of words from even and odd seeds (Spearman 1910, Brown 1910).

    The value of each word is averaged over the even and over the odd seeds. r is the correlation of the two means over
    words, and ``2 r / (1 + r)`` is the reliability of the mean over all seeds.

    Parameters
    ----------
    words
        Table with the columns ``prompt_id``, ``word_index``, ``seed`` and the measure.
    measure
        Column of the values.
    n_resamples, seed
        Resamples and seed of the percentile bootstrap over prompts.

    Returns
    -------
    dict
        ``measure``, ``r``, ``reliability``, ``low`` and ``high`` (95% interval), ``n_words``, ``n_prompts``, and a
        ``reason`` if a value is NaN.
    """
    halves = words.assign(half=words["seed"] % 2).pivot_table(
        index=["prompt_id", "word_index"], columns="half", values=measure
    )
    result: dict[str, Any] = {"measure": measure}
    nothing = dict.fromkeys(("r", "reliability", "low", "high"), float("nan"))
    n = {"n_words": len(halves), "n_prompts": int(words["prompt_id"].nunique())}
    if halves.shape[1] < 2 or len(halves.dropna()) < 3:
        return result | nothing | n | {"reason": "needs at least two seeds and three words"}
    halves = halves.dropna()
    r = correlation(halves[0].to_numpy(), halves[1].to_numpy())
    found = {"r": r, "reliability": 2 * r / (1 + r)}
    prompts = halves.index.get_level_values("prompt_id").unique()
    if len(prompts) < 5:
        return result | nothing | found | n | {"reason": "fewer than 5 prompts: no interval"}
    rng = np.random.default_rng(seed)
    groups = [halves.xs(prompt, level="prompt_id").to_numpy() for prompt in prompts]
    drawn = []
    for _ in range(n_resamples):
        some = np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        resampled = correlation(some[:, 0], some[:, 1])
        drawn.append(2 * resampled / (1 + resampled))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return result | found | {"low": float(low), "high": float(high)} | n | {"reason": ""}


def reliability_note(found: dict[str, Any]) -> str:
    """Report the result of `split_half` in a sentence."""
    n = f"n = {found['n_words']} words in {found['n_prompts']} prompts"
    what = "Reliability of the words' effective areas across seeds (split halves, Spearman-Brown)"
    if np.isnan(found["reliability"]):
        return f"{what}: not measured, {found['reason']} ({n})."
    interval = (
        f"no interval: {found['reason']}"
        if found["reason"]
        else f"95% interval {found['low']:.3f} to {found['high']:.3f}, percentile bootstrap over prompts"
    )
    return f"{what}: {found['reliability']:.3f} ({interval}; {n})."
