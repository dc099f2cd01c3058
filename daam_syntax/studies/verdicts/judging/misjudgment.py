"""Errors of a judge, and the AUC that a judge without errors would give.

A judge that errs mixes right images into those that it calls failures, and failures into those that it calls right.
If its errors do not depend on the score, with P and N the shares of its failures and of its right images that are
what it calls them, the AUC of its verdicts is 0.5 + (P + N - 1) (AUC - 0.5) (Menon et al. 2015, "Learning from
Corrupted Binary Labels via Class-Probability Estimation").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

LEAST: Final = 0.2
"""Smallest factor of the attenuation from which an AUC is corrected; below, the correction is mostly noise."""


@dataclass(frozen=True)
class ErrorRates:
    """How often a judge is right about one kind of failure.

    Attributes
    ----------
    sensitivity
        Share of images with the failure in which the judge finds it.
    specificity
        Share of images without it in which the judge does not find it.
    n_failed, n_right
        Images of each kind that the rates were measured on; 0 if they come from elsewhere.
    """

    sensitivity: float
    specificity: float
    n_failed: int = 0
    n_right: int = 0

    def draw(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw sensitivities and specificities that fit the images they were measured on. *Shape of each:* ``(draw,)``.

        They come from the beta distributions of Jeffreys' prior. Rates that come from elsewhere are taken as exact.
        """
        drawn = []
        for rate, size in ((self.sensitivity, self.n_failed), (self.specificity, self.n_right)):
            right = rate * size
            drawn.append(rng.beta(right + 0.5, size - right + 0.5, n) if size else np.full(n, rate))
        return drawn[0], drawn[1]


def attenuation(
    share: np.ndarray | float, sensitivity: np.ndarray | float, specificity: np.ndarray | float
) -> np.ndarray:
    """Return P + N - 1, the factor by which errors of a judge draw an AUC toward 0.5.

    Parameters
    ----------
    share
        Share of the images that the judge calls failures.
    sensitivity, specificity
        Error rates of the judge, see `ErrorRates`.

    Returns
    -------
    numpy.ndarray
        1 for a judge without errors; 0 if the verdicts could all be errors. The true share of failures comes from
        Rogan and Gladen (1978), within 0 and 1.
    """
    share, sensitivity, specificity = np.broadcast_arrays(
        *(np.asarray(each, dtype=float) for each in (share, sensitivity, specificity))
    )
    informed = sensitivity + specificity - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        true = np.clip((share + specificity - 1) / informed, 0, 1)
        are_failures = sensitivity * true / share
        are_right = specificity * (1 - true) / (1 - share)
        factor = are_failures + are_right - 1
    return np.where((informed > 0) & np.isfinite(factor), np.clip(factor, 0, 1), 0.0)


def corrected(values: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return the AUCs that a judge without errors would give, 0 to 1; NaN where the factor is below `LEAST`."""
    usable = factors >= LEAST
    ratio = np.divide(values - 0.5, factors, out=np.full(values.shape, np.nan), where=usable)
    return np.clip(0.5 + ratio, 0, 1)
