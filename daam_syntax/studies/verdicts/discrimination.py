"""How well scores separate failed images from right ones, with prompts as the sample: AUC, precision, skill, tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np
from scipy.special import expit

LEVEL: Final = 0.95
"""Confidence level of the intervals."""

N_BOOTSTRAP: Final = 2000
"""Bootstrap samples of the prompts."""

N_EXCHANGES: Final = 4999
"""Random exchanges or permutations of a test."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Which images failed, and from which prompts they are.

    Attributes
    ----------
    failed
        Whether each image failed, 0 or 1. *Shape:* ``(image,)``.
    prompts
        Number of each image's prompt, from 0. *Shape:* ``(image,)``.
    """

    failed: np.ndarray
    prompts: np.ndarray

    @property
    def n_prompts(self) -> int:
        """Number of prompts."""
        return int(self.prompts.max()) + 1

    def concordance(self, wrong: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Count the pairs of a failed and a right image in which the failed one scores higher; ties count half.

        Parameters
        ----------
        wrong, right
            Scores from which those of failed and of right images are taken. *Shape of each:* ``(image,)``.

        Returns
        -------
        numpy.ndarray
            *Shape:* ``(prompt of the failed image, prompt of the right image)``.
        """
        bad = self.failed > 0
        higher = np.sign(wrong[bad][:, None] - right[~bad][None]) / 2 + 0.5
        of_bad, of_good = (np.eye(self.n_prompts)[self.prompts[each]] for each in (bad, ~bad))
        return np.asarray(of_bad.T @ higher @ of_good)

    def n_pairs(self) -> np.ndarray:
        """Count the pairs of a failed and a right image. *Shape:* as that of `concordance`."""
        bad = np.bincount(self.prompts, self.failed, minlength=self.n_prompts)
        good = np.bincount(self.prompts, 1 - self.failed, minlength=self.n_prompts)
        return np.outer(bad, good)

    def resample(self, rng: np.random.Generator, n: int = N_BOOTSTRAP) -> np.ndarray:
        """Draw prompts with replacement; return how often each was drawn. *Shape:* ``(sample, prompt)``."""
        k = self.n_prompts
        return rng.multinomial(k, np.full(k, 1 / k), size=n).astype(float)


def auc(outcomes: Outcomes, scores: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the area under the receiver operating characteristic.

    It is the chance that a failed image scores higher than a right one, ties counting half (Hanley and McNeil 1982):
    0.5 is chance.

    Parameters
    ----------
    outcomes, scores
        The images, and a score of each; higher means a failure. *Shape:* ``(image,)``.
    weights
        Weights of the prompts, *shape* ``(sample, prompt)``; None for one sample in which all have the weight 1.

    Returns
    -------
    numpy.ndarray
        *Shape:* ``(sample,)``; NaN in samples without failures or without right images.
    """
    w = np.ones((1, outcomes.n_prompts)) if weights is None else weights
    return _ratio(w, outcomes.concordance(scores, scores), outcomes.n_pairs())


def _ratio(weights: np.ndarray, numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return the ratio of two sums over pairs of prompts in each sample. *Shape:* ``(sample,)``."""
    above = ((weights @ numerator) * weights).sum(axis=1)
    below = ((weights @ denominator) * weights).sum(axis=1)
    return np.divide(above, below, out=np.full(len(weights), np.nan), where=below > 0)


def average_precision(
    outcomes: Outcomes, scores: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return the mean precision over failed images, each at its own score; ties are one step.

    By chance it is the share of failures. Parameters and shapes are those of `auc`.
    """
    w = np.ones((1, outcomes.n_prompts)) if weights is None else weights
    order = np.argsort(-scores, kind="stable")
    of_image = w[:, outcomes.prompts[order]]
    bad = of_image * outcomes.failed[order]
    last = np.append(np.diff(scores[order]) != 0, True)
    found, seen = bad.cumsum(axis=1)[:, last], of_image.cumsum(axis=1)[:, last]
    gained = np.diff(found, axis=1, prepend=0)
    precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
    total = found[:, -1]
    return np.divide(
        (gained * precision).sum(axis=1), total, out=np.full(len(w), np.nan), where=total > 0
    )


def skill(
    outcomes: Outcomes,
    log_odds: np.ndarray,
    reference: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    kind: str = "brier",
) -> np.ndarray:
    """Return how much smaller the loss of a prediction is than that of a reference, as a share of the latter.

    1 is a perfect prediction, 0 one that is as good as the reference, and negative values are worse.

    Parameters
    ----------
    outcomes
        The images.
    log_odds, reference
        Predicted log odds of a failure. *Shape of each:* ``(image,)``.
    weights
        As for `auc`.
    kind
        "brier" (squared error of the probability; Brier 1950) or "log" (negative log likelihood; Good 1952).
    """
    w = np.ones((1, outcomes.n_prompts)) if weights is None else weights
    sums = [
        w @ np.bincount(outcomes.prompts, _loss(outcomes.failed, each, kind))
        for each in (log_odds, reference)
    ]
    return np.asarray(1 - sums[0] / sums[1])


def _loss(failed: np.ndarray, log_odds: np.ndarray, kind: str) -> np.ndarray:
    if kind == "brier":
        return np.asarray((expit(log_odds) - failed) ** 2)
    return np.logaddexp(0, np.where(failed > 0, -log_odds, log_odds))


def interval(replicates: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Return the percentile interval of bootstrap replicates, those that are undefined left out."""
    known = replicates[np.isfinite(replicates)]
    if len(known) < len(replicates) / 2:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def exchange_p(
    outcomes: Outcomes,
    better: np.ndarray,
    baseline: np.ndarray,
    rng: np.random.Generator,
    n: int = N_EXCHANGES,
) -> float:
    """Test whether scores separate failures better than a baseline: one-sided p of the difference of the AUCs.

    If neither is better, the two scores of a prompt's images can be exchanged. So the ranks of both (Venkatraman and
    Begg 1996) are exchanged in random prompts, always for all images of a prompt.

    Parameters
    ----------
    outcomes
        The images.
    better, baseline
        Scores of the images. *Shape of each:* ``(image,)``.
    rng
        Source of the exchanges.
    n
        Number of exchanges.
    """
    ranks = [_ranks(each) for each in (baseline, better)]
    table = [[outcomes.concordance(a, b) for b in ranks] for a in ranks]
    observed = float(table[1][1].sum() - table[0][0].sum())
    first = (rng.random((n, outcomes.n_prompts)) < 0.5).astype(float)
    swapped = np.zeros(n)
    for sign, chosen in ((1, first), (-1, 1 - first)):
        sides = (1 - chosen, chosen)
        for a, of_wrong in enumerate(sides):
            for b, of_right in enumerate(sides):
                swapped += sign * ((of_wrong @ table[a][b]) * of_right).sum(axis=1)
    return _share_at_least(swapped, observed)


def _ranks(scores: np.ndarray) -> np.ndarray:
    ordered = np.sort(scores)
    return (
        np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    ) / 2


def _share_at_least(values: np.ndarray, observed: float) -> float:
    slack = 1e-9 * max(1.0, abs(observed))
    return float((1 + (values >= observed - slack).sum()) / (1 + len(values)))


@dataclass(frozen=True)
class Within:
    """How scores separate failed from right images of the same prompt.

    Attributes
    ----------
    difference
        Share of such pairs in which the failed image scores higher, minus share in which it scores lower (Somers' D,
        2 AUC - 1): 0 is chance.
    low, high
        Interval by bootstrap of the prompts.
    p
        Two-sided p-value of 0: scores of a prompt's images are permuted among them.
    n_prompts, n_pairs
        Prompts with both kinds of images, and pairs of one of each.
    """

    difference: float
    low: float
    high: float
    p: float
    n_prompts: int
    n_pairs: int


def within_prompts(
    outcomes: Outcomes, scores: np.ndarray, rng: np.random.Generator, n: int = N_EXCHANGES
) -> Within:
    """Compare failed and right images of the same prompt, of which everything that the prompt says is equal.

    Parameters
    ----------
    outcomes, scores
        The images, and a score of each; images without a score (NaN) are left out. *Shape:* ``(image,)``.
    rng
        Source of the samples and permutations.
    n
        Number of permutations.
    """
    known = np.isfinite(scores)
    scores, failed, prompts = scores[known], outcomes.failed[known], outcomes.prompts[known]
    one, other = _pairs_within(prompts)
    order = np.sign(scores[one] - scores[other])
    observed = order * (failed[one] - failed[other])
    counted = np.abs(failed[one] - failed[other])
    k = outcomes.n_prompts
    above, below = (np.bincount(prompts[one], each, minlength=k) for each in (observed, counted))
    mixed = below > 0
    if not mixed.any():
        return Within(nan, nan, nan, nan, 0, 0)
    above, below = above[mixed], below[mixed]
    weights = rng.multinomial(len(above), np.full(len(above), 1 / len(above)), size=N_BOOTSTRAP)
    low, high = interval((weights @ above) / (weights @ below))
    sums = [
        float((order * (permuted[one] - permuted[other])).sum())
        for permuted in _permuted_within(failed, prompts, rng, n)
    ]
    p = _share_at_least(np.abs(sums), abs(float(above.sum())))
    return Within(
        float(above.sum() / below.sum()), low, high, p, int(mixed.sum()), int(below.sum())
    )


def _pairs_within(prompts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of images of the same prompt."""
    order = np.argsort(prompts, kind="stable")
    sorted_prompts = prompts[order]
    one, other = [order[:0]], [order[:0]]
    for lag in range(1, len(order)):
        same = np.flatnonzero(sorted_prompts[lag:] == sorted_prompts[:-lag])
        if not len(same):
            break
        one.append(order[same])
        other.append(order[same + lag])
    return np.concatenate(one), np.concatenate(other)


def _permuted_within(
    values: np.ndarray, prompts: np.ndarray, rng: np.random.Generator, n: int
) -> Iterator[np.ndarray]:
    """Yield values that are permuted at random among the images of each prompt."""
    places = np.argsort(prompts, kind="stable")
    for _ in range(n):
        permuted = np.empty_like(values)
        # Sorting by prompt and then by a random number leaves every value in its prompt.
        permuted[places] = values[np.lexsort((rng.random(len(values)), prompts))]
        yield permuted
