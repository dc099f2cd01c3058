"""Contrasts of an exchange of partners, adjusted for distance in the sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from daam_syntax.analysis.exchange.matrices import DISTANCES, ORDERS
from daam_syntax.analysis.inference.contributions import Contributions, nested_weights
from daam_syntax.analysis.statistics.sign_flips import MIN_FLIPPED, Nuisance

ROUNDING: Final = 1e-9
"""Differences of covariates up to this size are rounding error."""


def adjusted_for(names: Sequence[str]) -> list[str]:
    """Return the covariates of an exchange that are adjusted for: distance, and the order if the measure has one."""
    return [name for name in (*DISTANCES, *ORDERS) if name in names]


@dataclass(frozen=True)
class Contrasts:
    """Rows of one tier of an exchange of partners, as arrays.

    Attributes
    ----------
    prompts, images
        Prompt and image of each row as codes. *Shape:* ``(row,)`` each.
    clusters
        Its clusters as codes, see `Contributions`.
    contrast
        What the pair has more of the measure than its exchanged pairs. *Shape:* ``(row,)``.
    covariates
        What it has more of each covariate. *Shape:* ``(row, covariate)``.
    names
        Names of the covariates.
    """

    prompts: np.ndarray
    images: np.ndarray
    clusters: tuple[np.ndarray, ...]
    contrast: np.ndarray
    covariates: np.ndarray
    names: tuple[str, ...]

    def where(self, chosen: np.ndarray) -> Contrasts:
        """Return some of the rows."""
        return Contrasts(
            self.prompts[chosen],
            self.images[chosen],
            tuple(codes[chosen] for codes in self.clusters),
            self.contrast[chosen],
            self.covariates[chosen],
            self.names,
        )

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def weights(self) -> np.ndarray:
        """Weights with which prompts, their images, and the pairs of an image count the same. *Shape:* ``(row,)``."""
        return nested_weights(self.prompts, self.images)

    @property
    def distances(self) -> np.ndarray:
        """The covariates of `adjusted_for`. *Shape:* ``(row, covariate)``."""
        return self.covariates[:, [self.names.index(name) for name in adjusted_for(self.names)]]

    def by_prompt(self, values: np.ndarray) -> np.ndarray:
        """Return weighted means over each prompt. *Shape:* ``(prompt, ...)``."""
        order, codes = np.unique(self.prompts, return_inverse=True)
        found = np.zeros((len(order), *values.shape[1:]))
        weights = self.weights.reshape(-1, *(1 for _ in values.shape[1:]))
        np.add.at(found, codes, weights * values)
        return found


@dataclass(frozen=True)
class Adjusted:
    """What a relation adds to the overlap of its words.

    Attributes
    ----------
    contributions
        Contributions to the difference. If it was adjusted, unrelated pairs contribute too.
    adjusted
        Whether distance in the sentence was adjusted for.
    balanced
        Whether there is nothing to adjust for, because exchanged pairs are as far apart as related ones.
    """

    contributions: Contributions
    adjusted: bool
    balanced: bool


def adjust_for_distance(related: Contrasts, unrelated: Contrasts) -> Adjusted:
    """Average contrasts over prompts, net of what distance in the sentence does among unrelated words.

    Parameters
    ----------
    related, unrelated
        Contrasts of related pairs, and of unrelated pairs that were treated in the same way.

    Returns
    -------
    Adjusted
        Images have the same weight in a prompt, and pairs in an image. Without adjustment, the difference is the mean
        of the prompts' contrasts. With it, both kinds of pairs are regressed on relatedness and on what their contrasts
        have in distance; the effective scores of relatedness are the contributions, so flipping their signs tests
        relatedness alone (Hemerik, Goeman and Finos 2020, doi:10.1111/rssb.12369). The scores that are flipped have
        residuals from a fit without their cluster, as in the cluster jackknife (Bell and McCaffrey 2002): with few
        prompts, residuals of a common fit are too small.

    Notes
    -----
    The inverse is a pseudoinverse, because a few prompts may not distinguish the forms of distance.
    """
    weights = related.weights
    balanced = bool(np.abs(related.by_prompt(related.distances)).max(initial=0.0) < ROUNDING)
    differ = np.abs(unrelated.distances).max(axis=1, initial=0.0) > ROUNDING
    if balanced or len(np.unique(unrelated.prompts[differ])) < MIN_FLIPPED:
        sums = weights * related.contrast
        return Adjusted(Contributions(sums, weights, related.clusters), False, balanced)
    weights = np.concatenate([weights, unrelated.weights])
    is_related = np.repeat([1.0, 0.0], [len(related), len(unrelated)])
    contrast = np.concatenate([related.contrast, unrelated.contrast])
    nuisance = np.concatenate([related.distances, unrelated.distances])
    root = np.sqrt(weights)[:, None]
    columns = np.column_stack([is_related, contrast])
    slopes = np.linalg.lstsq(root * nuisance, root * columns, rcond=None)[0]
    kept, outcome = (columns - nuisance @ slopes).T
    clusters = tuple(
        np.concatenate(parts) for parts in zip(related.clusters, unrelated.clusters, strict=True)
    )
    sums, counts = weights * kept * outcome, weights * kept**2
    weighted = weights[:, None] * nuisance
    moments = Nuisance(
        cross=weighted[:, :, None] * nuisance[:, None, :],
        regressor=weighted * is_related[:, None],
        outcome=weighted * contrast[:, None],
        left_regressor=weights * kept * is_related,
        left_outcome=weights * kept * contrast,
    )
    return Adjusted(Contributions(sums, counts, clusters, moments), True, False)
