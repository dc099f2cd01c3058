"""Least squares with cluster-robust errors that hold for few clusters and for terms that occur in few of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

_EXHAUSTED: Final = 1e-9
"""Where 1 minus the leverage is smaller, a cluster determines a combination of coefficients by itself."""


@dataclass(frozen=True)
class Fit:
    """Coefficients of a regression.

    Attributes
    ----------
    estimates, errors, degrees
        Estimates, standard errors, and degrees of freedom of Student's t. *Shape:* ``(term,)`` each.
    """

    estimates: np.ndarray
    errors: np.ndarray
    degrees: np.ndarray


def least_squares(design: np.ndarray, outcome: np.ndarray, clusters: tuple[np.ndarray, ...]) -> Fit:
    """Fit least squares with errors clustered in one way or in two.

    Parameters
    ----------
    design
        *Shape:* ``(row, term)``, of full rank.
    outcome
        *Shape:* ``(row,)``.
    clusters
        Cluster of each row as codes from 0, one kind or two crossed kinds. *Shape:* ``(row,)`` each.

    Returns
    -------
    Fit
        With one kind: CR2 errors (Bell and McCaffrey 2002) with Satterthwaite degrees of freedom (Pustejovsky and
        Tipton 2018, doi:10.1080/07350015.2016.1247004). With two: of each term the largest of both one-way errors and
        the two-way error of Cameron, Gelbach and Miller (2011), with the smaller degrees of freedom (MacKinnon, Nielsen
        and Webb 2024).
    """
    fits = [_cr2(design, outcome, codes) for codes in clusters]
    if len(fits) == 1:
        return fits[0]
    bread = np.linalg.inv(design.T @ design)
    residuals = outcome - design @ fits[0].estimates
    influence = design @ bread * residuals[:, None]  # (row, term)
    first, second = clusters
    crossed = np.array([two_way_error(column, first, second) for column in influence.T])
    errors = np.maximum(np.maximum(fits[0].errors, fits[1].errors), crossed)
    return Fit(fits[0].estimates, errors, np.minimum(fits[0].degrees, fits[1].degrees))


def within_groups(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return values minus the means of their groups, which absorbs a fixed effect of each group.

    Parameters
    ----------
    values
        *Shape:* ``(row, ...)``.
    groups
        Group of each row as codes from 0. *Shape:* ``(row,)``.
    """
    columns = values.reshape(len(values), -1)
    n_rows = np.bincount(groups)
    means = np.stack([np.bincount(groups, column) / n_rows for column in columns.T], axis=1)
    return np.asarray((columns - means[groups]).reshape(values.shape))


def two_way_error(
    contributions: ArrayLike, first: ArrayLike, second: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Return the standard error of a linear estimate with two-way clustered rows.

    The variance is that of the first kind of clusters, plus that of the second, minus that of their intersections
    (Cameron, Gelbach and Miller 2011). In small samples this can fall below a one-way variance, even below 0. Therefore
    the largest of the three variances is used. Each is that of the cluster jackknife: the deviation of a cluster that
    has the share h of the weight is divided by 1 - h, the squares are summed and multiplied by (n - 1) / n (MacKinnon,
    Nielsen and Webb 2024). With clusters of the same weight, this is n / (n - 1) times the sum of squares.

    Parameters
    ----------
    contributions
        Each row's weight times its deviation from the mean. *Shape:* ``(row,)``. They sum to 0.
    first, second
        Cluster of each row, of the first and of the second kind, as codes from 0. *Shape:* ``(row,)``.
    weights
        Weight of each row in the estimate, not negative; if None, all clusters of a kind count as having the same.
        *Shape:* ``(row,)``.

    Returns
    -------
    float
        NaN if either kind has only one cluster with weight.
    """
    values = np.asarray(contributions, dtype=float)
    first, second = np.asarray(first), np.asarray(second)
    both = np.unique(np.stack([first, second]), axis=1, return_inverse=True)[1].ravel()

    def variance(codes: np.ndarray) -> float:
        present, codes = np.unique(codes, return_inverse=True)
        n = len(present)
        if n < 2:
            return float("nan")
        shares = np.full(n, 1 / n)
        if weights is not None:
            shares = np.bincount(codes, np.asarray(weights, dtype=float))
            shares = shares / shares.sum()
        if shares.max() >= 1:
            return float("nan")
        sums = np.bincount(codes, weights=values) / (1 - shares)
        return (n - 1) / n * float((sums**2).sum())

    one, other = variance(first), variance(second)
    return float(np.sqrt(np.max([one, other, one + other - variance(both)])))


def effective_clusters(weights: np.ndarray, codes: np.ndarray) -> float:
    """Return how many clusters of the same weight would be as informative (Carter, Schnepel and Steigerwald 2017).

    Parameters
    ----------
    weights
        Weight of each row, not negative. *Shape:* ``(row,)``.
    codes
        Cluster of each row as codes from 0. *Shape:* ``(row,)``.

    Returns
    -------
    float
        From 1 to the number of clusters: 1 divided by the sum of the squared shares of the weight.
    """
    shares = np.bincount(codes, weights) / weights.sum()
    return float(1 / (shares**2).sum())


def _cr2(design: np.ndarray, outcome: np.ndarray, clusters: np.ndarray) -> Fit:
    bread = np.linalg.inv(design.T @ design)
    estimates = bread @ (design.T @ outcome)
    residuals = outcome - design @ estimates
    half = np.linalg.cholesky(bread)
    order = np.argsort(clusters, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(clusters[order])) + 1)
    n_terms = design.shape[1]
    scores = np.empty((len(parts), n_terms))
    norms = np.empty((len(parts), n_terms))
    loads = np.empty((len(parts), n_terms, n_terms))  # (cluster, coefficient, term)
    for i, rows in enumerate(parts):
        x = design[rows]
        # The adjustment (I - H)^(-1/2) of a cluster, from the singular values of its hat matrix's root.
        left, singular, _ = np.linalg.svd(x @ half, full_matrices=False)
        remaining = 1 - singular**2
        root = np.sqrt(np.maximum(remaining, _EXHAUSTED))
        factor = np.where(remaining > _EXHAUSTED, 1 / root, 0.0) - 1
        adjusted = x + left @ (factor[:, None] * (left.T @ x))
        scores[i] = bread @ (adjusted.T @ residuals[rows])
        weights = adjusted @ bread  # (row, coefficient)
        norms[i] = (weights**2).sum(axis=0)
        loads[i] = (x.T @ weights).T
    errors = np.sqrt((scores**2).sum(axis=0))
    degrees = np.empty(n_terms)
    for term in range(n_terms):
        projected = loads[:, term] @ half
        covariance = -(projected @ projected.T)
        covariance[np.diag_indices_from(covariance)] += norms[:, term]
        square = (covariance**2).sum()
        degrees[term] = np.trace(covariance) ** 2 / square if square > 0 else 0.0
    return Fit(estimates, errors, degrees)
