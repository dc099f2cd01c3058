"""Power by simulation from a pilot: how many prompts and seeds a study needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.inference.sample import check_rows
from daam_syntax.analysis.statistics.sign_flips import sign_flip_p
from daam_syntax.util.arguments.checks import FRACTION, checked, whole

POWER_COLUMNS: Final = {
    "effect": "True difference from the control, in the unit of the measure",
    "n_prompts": "Prompts",
    "n_seeds": "Images per prompt",
    "n_images": "Images in total",
    "power": "Share of simulated studies that find the difference",
    "low": "Low end of the 95% interval of that share (Wilson), given the number of simulations",
    "high": "High end of that interval",
}
"""Columns of the power table."""


@dataclass(frozen=True)
class VarianceComponents:
    """Variance of a difference from the control in a pilot.

    Attributes
    ----------
    difference
        Mean difference over prompts.
    between_prompts
        Variance of the prompts' true differences.
    within_prompts
        Variance of an image's difference around that of its prompt. It includes the variance of pairs, so it applies
        to images with as many pairs as those of the pilot.
    n_prompts, n_images
        Prompts and images of the pilot in which both sides were measured.
    """

    difference: float
    between_prompts: float
    within_prompts: float
    n_prompts: int
    n_images: int


@checked
def variance_components(
    pairs: pd.DataFrame, control: pd.DataFrame, measure: str = "iou"
) -> VarianceComponents:
    """Split the variance of a difference from the control into variance between prompts and between images.

    Uses the method of moments for the mean over prompts (Searle et al. 1992, unweighted means). The variance within
    prompts is pooled over prompts with several images. The variance between prompts is that of the prompts' means minus
    the part due to their images, at least 0.

    Parameters
    ----------
    pairs, control
        Rows of the pair table of one scheme and one threshold: those of a relation, and those to compare it with.
    measure
        Column of the measure.

    Raises
    ------
    ValueError
        If fewer than two prompts have both sides, or none of these prompts has two images.
    """
    sides = []
    for table in (pairs, control):
        rows = check_rows(table, [measure], "prompt_id")
        sides.append(rows.groupby(["prompt_id", "image"])[measure].mean())
    prompts = (sides[0] - sides[1]).dropna().groupby(level="prompt_id")
    means, n_images = prompts.mean(), prompts.size()
    if len(means) < 2 or n_images.max() < 2:
        raise ValueError(
            "Expected a pilot with at least two prompts, one of them with several images, but got "
            f"{len(means)} prompts with up to {n_images.max() if len(means) else 0} images that have both sides: "
            "add prompts or seeds."
        )
    repeated = n_images > 1
    squares = (prompts.var(ddof=1) * (n_images - 1))[repeated].sum()
    within = float(squares / (n_images - 1).sum())
    between = float(means.var(ddof=1) - within * (1 / n_images).mean())
    return VarianceComponents(
        float(means.mean()), max(between, 0.0), within, len(means), int(n_images.sum())
    )


@checked(
    prompts=whole(1),
    seeds=whole(1),
    alpha=FRACTION,
    n_simulations=whole(1, 1_000_000),
    seed=whole(0),
)
def power_table(
    pilot: VarianceComponents,
    *,
    effects: Sequence[float] | None = None,
    prompts: Sequence[int] = (10, 20, 40, 80),
    seeds: Sequence[int] = (1, 2, 4),
    alpha: float = 0.05,
    family: int = 1,
    n_simulations: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Simulate studies of several sizes and count how many find the difference with a sign-flip test.

    Effects of prompts and images come from normal distributions with the variances of the pilot. The difference in a
    pilot is uncertain, and biased upward if it was selected because it is large. Prefer the smallest `effects` that
    would matter.

    Parameters
    ----------
    pilot
        Result of `variance_components`, or assumed values.
    effects
        True differences; that of the pilot if None.
    prompts, seeds
        Numbers of prompts, and of images per prompt.
    alpha
        A difference counts as found if its adjusted p-value is at most `alpha`.
    family
        Number of tests that it is corrected for, such as the relations of a table. The power is that of the first
        finding (Holm): its p-value must be at most ``alpha / family``.
    n_simulations
        Simulated studies per row.
    seed
        Seed of the simulations.

    Returns
    -------
    pandas.DataFrame
        One row per effect and size, with the columns of `POWER_COLUMNS`.
    """
    from statsmodels.stats.proportion import proportion_confint

    if family < 1:
        raise ValueError(f"Expected a family of at least one test, but got {family}.")

    rng = np.random.default_rng(seed)
    rows = []
    for effect in [pilot.difference] if effects is None else effects:
        for n_prompts in prompts:
            for n_seeds in seeds:
                # Variance of the mean of a prompt's images around the effect.
                variance = pilot.between_prompts + pilot.within_prompts / n_seeds
                studies = rng.normal(effect, np.sqrt(variance), (n_simulations, n_prompts))
                # p is at least 1 / (n_resamples + 1), which must not decide whether a small alpha is reached.
                n_resamples = max(1999, int(np.ceil(100 * family / alpha)) - 1)
                p = _in_parts(studies, n_resamples, seed)
                found = int((p <= alpha / family).sum())
                low, high = proportion_confint(found, n_simulations, method="wilson")
                size = (n_prompts, n_seeds, n_prompts * n_seeds)
                rows.append((effect, *size, found / n_simulations, low, high))
    return pd.DataFrame(rows, columns=list(POWER_COLUMNS))


def _in_parts(studies: np.ndarray, n_resamples: int, seed: int) -> np.ndarray:
    """Return the p-values of many studies, in a bounded amount of memory. *Shape:* ``(study,)``."""
    at_once = max(1, 2**23 // n_resamples)
    parts = [
        sign_flip_p(studies[start : start + at_once], n_resamples=n_resamples, seed=seed)
        for start in range(0, len(studies), at_once)
    ]
    return np.concatenate(parts)
