"""Score sets of predictors of a failure out of sample, beside what the prompt alone predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
import pandas as pd

from daam_syntax.studies.verdicts.discrimination import (
    Outcomes,
    auc,
    average_precision,
    exchange_p,
    interval,
    skill,
)
from daam_syntax.studies.verdicts.map_measures import MEASURES
from daam_syntax.studies.verdicts.prediction import (
    N_FOLDS,
    REPEATS,
    Prediction,
    Predictors,
    cross_fit,
    divide,
    noun_columns,
)
from daam_syntax.studies.verdicts.prompt_features import FEATURES

FEWEST: Final = 30
"""Fewest failures, and fewest right images, from which anything is claimed: with 30 failures and many right images, an
AUC near 0.5 has a standard error of about 0.053 (Hanley and McNeil 1982), an interval of about 0.4 to 0.6."""

FEWEST_PROMPTS: Final = 10
"""Fewest prompts with a failure, and with a right image."""

PROMPT: Final = "prompt"
"""Name of the baseline: what the prompt alone says."""

ALL: Final = "all maps"
"""Name of the set of all measures of maps."""

SETS: Final = {**MEASURES, ALL: tuple(name for names in MEASURES.values() for name in names)}
"""Sets of measures of maps, and their columns."""


_Score: TypeAlias = "Callable[[np.ndarray | None], np.ndarray]"


def with_prompt(name: str) -> str:
    """Return the name of a set of measures together with the baseline."""
    return f"{PROMPT} and {name}"


@dataclass(frozen=True)
class TooFew:
    """A failure about which nothing can be claimed.

    Attributes
    ----------
    n_failed, n_images
        Failures, and judged images.
    n_prompts
        Prompts with a failure.
    """

    n_failed: int
    n_images: int
    n_prompts: int

    @property
    def needed(self) -> str:
        """What would be needed, in words."""
        words = f"at least {FEWEST} failures and {FEWEST} right images, each in {FEWEST_PROMPTS} prompts, are needed"
        rarer = min(self.n_failed, self.n_images - self.n_failed)
        if not 0 < rarer < FEWEST:
            return words
        n = int(np.ceil(FEWEST * self.n_images / rarer / 10) * 10)
        return f"{words}, which at this rate are about {n:,} images"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions of a failure by every set of predictors.

    Attributes
    ----------
    outcomes
        The judged images.
    rows
        Their places in the table of images. *Shape:* ``(image,)``.
    predictions
        The prediction by each set: `PROMPT`, each of `SETS` alone, and each with the prompt.
    reference
        The share of failures of the other folds, as a prediction.
    seed
        Seed of bootstrap samples and exchanges.
    """

    outcomes: Outcomes
    rows: np.ndarray
    predictions: Mapping[str, Prediction]
    reference: Prediction
    seed: int = 0

    @property
    def n_failed(self) -> int:
        """Number of failures."""
        return int(self.outcomes.failed.sum())

    @cached_property
    def weights(self) -> np.ndarray:
        """Bootstrap samples of the prompts, the same for all sets. *Shape:* ``(sample, prompt)``."""
        return self.outcomes.resample(np.random.default_rng(self.seed))

    def auc(self, name: str) -> tuple[float, np.ndarray]:
        """Return the AUC of a set, and its bootstrap replicates."""
        scores = self.predictions[name].scores
        return float(auc(self.outcomes, scores)[0]), auc(self.outcomes, scores, self.weights)

    def gain(self, name: str) -> tuple[float, np.ndarray, float]:
        """Return by how much a set with the prompt exceeds the prompt's AUC, its replicates, and its one-sided p."""
        more, baseline = with_prompt(name), PROMPT
        (first, of_first), (second, of_second) = self.auc(more), self.auc(baseline)
        p = exchange_p(
            self.outcomes,
            self.predictions[more].scores,
            self.predictions[baseline].scores,
            np.random.default_rng(self.seed),
        )
        return first - second, of_first - of_second, p

    def table(self) -> pd.DataFrame:
        """Return AUC, average precision, and skills of every set with their intervals."""
        rows = []
        for name, prediction in self.predictions.items():
            row: dict[str, object] = {"predictors": name}
            for column, of in self._scores(prediction).items():
                low, high = interval(of(self.weights))
                row |= {column: float(of(None)[0]), f"{column}_low": low, f"{column}_high": high}
            rows.append(row)
        counts = {
            "n_images": len(self.rows),
            "n_failed": self.n_failed,
            "n_prompts": self.outcomes.n_prompts,
        }
        return pd.DataFrame(rows).assign(**counts)

    def _scores(self, prediction: Prediction) -> dict[str, _Score]:
        """Return functions of the bootstrap's weights, which score a prediction."""
        ranked, log_odds = prediction.scores, prediction.log_odds
        constant = self.reference.log_odds
        return {
            "auc": lambda w: auc(self.outcomes, ranked, w),
            "average_precision": lambda w: average_precision(self.outcomes, ranked, w),
            "brier_skill": lambda w: skill(self.outcomes, log_odds, constant, w, kind="brier"),
            "log_skill": lambda w: skill(self.outcomes, log_odds, constant, w, kind="log"),
        }


def evaluate(
    images: pd.DataFrame, failure: str, nouns: Mapping[str, frozenset[str]]
) -> Evaluation | TooFew:
    """Predict a failure by every set of predictors, out of sample.

    Parameters
    ----------
    images
        One row per image: ``prompt``, ``prompt_id``, the failure (0, 1, or NaN), features of the prompt, and measures
        of the maps.
    failure
        Column of the failure.
    nouns
        Nouns of the objects of each prompt, by its text.
    """
    rows = np.flatnonzero(images[failure].notna())
    known = images.iloc[rows]
    failed = known[failure].to_numpy(float)
    by_kind = [known.loc[failed == value, "prompt_id"].nunique() for value in (0, 1)]
    n_failed = int(failed.sum())
    if min(n_failed, len(failed) - n_failed) < FEWEST or min(by_kind) < FEWEST_PROMPTS:
        return TooFew(n_failed, len(failed), by_kind[1])
    prompts = pd.factorize(known["prompt_id"])[0]
    rng = np.random.default_rng(0)
    folds = np.stack([divide(failed, prompts, rng, N_FOLDS) for _ in range(REPEATS)])
    of_nouns = noun_columns([nouns[name] for name in known["prompt"]], prompts)
    no_nouns, nothing = np.zeros((len(rows), 0)), np.zeros((len(rows), 0))
    features = known[list(FEATURES)].to_numpy(float)
    sets = [Predictors(PROMPT, features, of_nouns)]
    for name, columns in SETS.items():
        measures = known[list(columns)].to_numpy(float)
        if np.isfinite(measures).any():
            sets.append(Predictors(name, measures, no_nouns))
            both = np.column_stack([features, measures])
            sets.append(Predictors(with_prompt(name), both, of_nouns))
    return Evaluation(
        Outcomes(failed, prompts),
        rows,
        {each.name: cross_fit(each, failed, folds) for each in sets},
        cross_fit(Predictors("share", nothing, no_nouns), failed, folds),
    )
