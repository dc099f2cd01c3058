"""How far words' values agree between seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from daam_syntax.studies.framework.common import correlation


def split_half(
    words: pd.DataFrame, *, measure: str = "effective_area", n_resamples: int = 999, seed: int = 0
) -> dict[str, Any]:
    """Estimate how reliable words' values are, from even and odd seeds (Spearman 1910, Brown 1910).

    A word's value is averaged over the even seeds and over the odd seeds; r is the correlation of the two over words,
    and ``2 r / (1 + r)`` the reliability of the mean over all seeds.

    Parameters
    ----------
    words
        With the columns ``prompt_id``, ``word_index``, ``seed`` and the measure.
    measure
        The column.
    n_resamples, seed
        Of the percentile bootstrap over prompts.

    Returns
    -------
    dict
        ``measure``, ``r``, ``reliability``, ``low`` and ``high`` (95 % interval), ``n_words``, ``n_prompts``, and a
        ``reason`` where something is NaN.
    """
    halves = words.assign(half=words["seed"] % 2).pivot_table(
        index=["prompt_id", "word_index"], columns="half", values=measure
    )
    result: dict[str, Any] = {"measure": measure}
    nothing = dict.fromkeys(("r", "reliability", "low", "high"), float("nan"))
    n = {"n_words": len(halves), "n_prompts": int(words["prompt_id"].nunique())}
    if halves.shape[1] < 2 or len(halves.dropna()) < 3:
        return result | nothing | n | {"reason": "needs two seeds and three words"}
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
    """Say in a sentence what `split_half` found."""
    n = f"n = {found['n_words']} words in {found['n_prompts']} prompts"
    what = "Reliability of words' effective area between seeds (split halves, Spearman-Brown)"
    if np.isnan(found["reliability"]):
        return f"{what}: not measured, {found['reason']} ({n})."
    interval = (
        f"no interval: {found['reason']}"
        if found["reason"]
        else f"95 % interval {found['low']:.3f} to {found['high']:.3f}, percentile bootstrap of prompts"
    )
    return f"{what}: {found['reliability']:.3f} ({interval}; {n})."
