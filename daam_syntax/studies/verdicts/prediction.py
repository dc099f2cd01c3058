"""Predict failures of images whose prompts were not used to fit: ridge logistic regression, cross-fitted by prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import statsmodels.api as sm

N_FOLDS: Final = 10
"""Folds of prompts: each is predicted by a regression that was fitted to the others."""

REPEATS: Final = 3
"""Divisions into folds over which the predictions of an image are averaged."""

PENALTY: Final = 1.0
"""Ridge penalty on standardized coefficients; it is that of a standard normal prior, and was not tuned."""

NOUN_SCALE: Final = 0.5
"""Standard deviation of the normal prior of a noun's log odds."""


@dataclass(frozen=True, eq=False)
class Predictors:
    """What a regression knows of each image.

    Attributes
    ----------
    name
        Name of the set.
    columns
        Numbers by name, with NaN where a measure is undefined. *Shape:* ``(image, column)``.
    nouns
        Whether a prompt has a noun. *Shape:* ``(image, noun)``; no columns if nouns are not predictors.
    """

    name: str
    columns: np.ndarray
    nouns: np.ndarray


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predictions of images by regressions that did not see their prompts, averaged over the divisions into folds.

    Attributes
    ----------
    log_odds
        Log odds of a failure. *Shape:* ``(image,)``.
    scores
        The same without the mean log odds of the images that were fitted: these are lower where the failures are among
        the images that are left out, which would bias a ranking over folds. *Shape:* ``(image,)``.
    """

    log_odds: np.ndarray
    scores: np.ndarray


def noun_columns(nouns: Sequence[frozenset[str]], prompts: np.ndarray) -> np.ndarray:
    """Return whether each image's prompt has each noun that at least two prompts have. *Shape:* ``(image, noun)``."""
    known = pd.DataFrame(
        {"noun": [sorted(each) for each in nouns], "prompt": prompts, "image": range(len(nouns))}
    ).explode("noun")
    counts = known.groupby("noun")["prompt"].nunique()
    names = list(counts.index[counts > 1])
    return np.array([[name in each for name in names] for each in nouns], dtype=float).reshape(
        len(nouns), len(names)
    )


def divide(
    failed: np.ndarray, prompts: np.ndarray, rng: np.random.Generator, n_folds: int = N_FOLDS
) -> np.ndarray:
    """Divide images into folds so that all images of a prompt are in one, and folds have about as many failures.

    Parameters
    ----------
    failed, prompts
        Whether each image failed, and the number of its prompt, from 0. *Shape of each:* ``(image,)``.
    rng
        Source of the order.
    n_folds
        Number of folds.

    Returns
    -------
    numpy.ndarray
        The fold of each image. *Shape:* ``(image,)``.
    """
    share = np.bincount(prompts, failed) / np.bincount(prompts)
    order = np.lexsort((rng.random(len(share)), share))
    fold_of = np.empty(len(share), dtype=int)
    for start in range(0, len(order), n_folds):
        block = order[start : start + n_folds]
        fold_of[block] = rng.permutation(n_folds)[: len(block)]
    return np.asarray(fold_of[prompts])


def cross_fit(predictors: Predictors, failed: np.ndarray, folds: np.ndarray) -> Prediction:
    """Predict each image by a regression fitted to the other folds.

    Means, standard deviations and replacements of undefined values come from the images that were fitted. Columns that
    do not vary there are left out; without columns, the prediction is the share of failures there.

    Parameters
    ----------
    predictors
        What the regression knows.
    failed
        Whether each image failed, 0 or 1. *Shape:* ``(image,)``.
    folds
        Fold of each image, for each division. *Shape:* ``(division, image)``.

    """
    log_odds, means = np.empty(folds.shape), np.empty(folds.shape)
    for number, fold_of in enumerate(folds):
        for fold in np.unique(fold_of):
            left_out = fold_of == fold
            found = _fit_and_predict(predictors, failed, left_out)
            log_odds[number, left_out] = found[left_out]
            means[number, left_out] = found[~left_out].mean()
    return Prediction(log_odds.mean(axis=0), (log_odds - means).mean(axis=0))


def _fit_and_predict(
    predictors: Predictors, failed: np.ndarray, left_out: np.ndarray
) -> np.ndarray:
    """Return the log odds of all images by a regression of those that are not left out. *Shape:* ``(image,)``."""
    numbers = _standardized(predictors.columns, ~left_out)
    nouns = NOUN_SCALE * predictors.nouns[:, predictors.nouns[~left_out].any(axis=0)]
    known = np.column_stack([np.ones(len(failed)), numbers, nouns])
    penalty = np.full(known.shape[1], PENALTY)
    penalty[0] = 0
    fitted = failed[~left_out]
    model: Any = sm.GLM(fitted, known[~left_out], family=sm.families.Binomial())
    found = model.fit_regularized(alpha=penalty / len(fitted), L1_wt=0.0)
    return np.asarray(known @ found.params)


def _standardized(columns: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Return columns with mean 0 and standard deviation 1 over the images that are fitted, and 0 where undefined."""
    some = columns[:, np.isfinite(columns[fitted]).any(axis=0)]
    means, deviations = np.nanmean(some[fitted], axis=0), np.nanstd(some[fitted], axis=0)
    varying = deviations > 1e-9 * np.maximum(1, np.abs(means))
    scaled = (some[:, varying] - means[varying]) / deviations[varying]
    return np.where(np.isfinite(scaled), scaled, 0.0)
