"""The models of `regress`: a design and an outcome in, coefficients out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.inference.sample import MIN_CLUSTERS, too_few
from daam_syntax.analysis.statistics.cluster_robust import Fit, least_squares


class NotFittedError(Exception):
    """A fit gives no estimate; the message is the reason."""


@dataclass(frozen=True)
class ModelData:
    """Input of a model.

    Attributes
    ----------
    outcome
        *Shape:* ``(row,)``.
    design
        One column per term.
    clusters
        Cluster of each row as codes from 0, one kind or two. *Shape:* ``(row,)`` each.
    prompts, images, groups
        Prompt, image, and group of each row as codes, for random intercepts. *Shape:* ``(row,)`` each.
    """

    outcome: np.ndarray
    design: pd.DataFrame
    clusters: tuple[np.ndarray, ...]
    prompts: np.ndarray
    images: np.ndarray
    groups: np.ndarray

    @property
    def n_clusters(self) -> int:
        """Number of clusters, of the kind with fewer."""
        return min(len(np.unique(codes)) for codes in self.clusters)


def fit_model(model: str, data: ModelData) -> tuple[Fit, str]:
    """Return the coefficients of a model and its warnings.

    Raises
    ------
    NotFittedError
        If there are none.
    """
    if data.n_clusters < MIN_CLUSTERS:
        raise NotFittedError(too_few(data.n_clusters, "cluster", "a regression"))
    if data.design.shape[1] == 0:
        raise NotFittedError("no term is left")
    _check_rank(data.design)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fit = MODELS[model](data)
        except (np.linalg.LinAlgError, ValueError, FloatingPointError) as error:
            raise NotFittedError(f"the fit failed: {error}") from error
    usable = np.isfinite(fit.estimates) & np.isfinite(fit.errors) & (fit.errors > 0)
    if not usable.all():
        raise NotFittedError("the fit gave no finite standard errors")
    return fit, "; ".join(dict.fromkeys(str(w.message) for w in caught))


def _check_rank(design: pd.DataFrame) -> None:
    scale = np.abs(design.to_numpy()).max(axis=0, initial=0.0)
    rank = int(np.linalg.matrix_rank(design / np.where(scale > 0, scale, 1.0)))
    if rank == design.shape[1]:
        return
    constant = [
        str(name)
        for name, values in design.items()
        if name != "intercept" and np.ptp(values) <= 1e-12
    ]
    if constant:
        raise NotFittedError(
            f"{' and '.join(constant)} {'does' if len(constant) == 1 else 'do'} not vary: leave "
            f"{'it' if len(constant) == 1 else 'them'} out of the covariates"
        )
    raise NotFittedError(
        f"{design.shape[1]} terms, but only {rank} can be distinguished: leave out one of "
        f"{', '.join(str(name) for name in design.columns if name != 'intercept')}"
    )


def _ols(data: ModelData) -> Fit:
    return least_squares(data.design.to_numpy(), data.outcome, data.clusters)


def _gee(data: ModelData) -> Fit:
    import statsmodels.api as sm

    model = sm.GEE(
        data.outcome,
        data.design.to_numpy(),
        groups=data.clusters[0],
        family=sm.families.Binomial(),
        cov_struct=sm.cov_struct.Independence(),
    )
    fit = model.fit(cov_type="bias_reduced")
    if not fit.converged:
        raise NotFittedError("the estimating equations did not converge")
    return Fit(fit.params, fit.bse, _degrees(data))


def _mixed(data: ModelData) -> Fit:
    import statsmodels.api as sm

    # Neutral column names, because the design is passed through a formula.
    names = [f"x{i}" for i in range(data.design.shape[1])]
    frame = pd.DataFrame(data.design.to_numpy(), columns=names)
    # The optimizer's tolerances suit outcomes whose deviation is about 1.
    scale = float(data.outcome.std()) or 1.0
    frame = frame.assign(
        y=data.outcome / scale,
        cluster=data.clusters[0],
        prompt=data.prompts,
        image=data.images,
        cell=np.unique(np.stack([data.prompts, data.groups]), axis=1, return_inverse=True)[1],
    )
    n = frame.nunique()
    above = {"prompt": n["cluster"], "cell": n["prompt"], "image": n["prompt"]}
    # A level gets a variance only if it divides the level above it and does not coincide with the rows.
    levels = {x: f"0 + C({x})" for x, divided in above.items() if divided < n[x] < len(frame)}
    model = sm.MixedLM.from_formula(
        f"y ~ 0 + {' + '.join(names)}",
        groups="cluster",
        re_formula="1",  # without it, the cluster itself has no random intercept
        vc_formula=levels or None,
        data=frame,
    )
    fit = model.fit(reml=True, method=["powell", "lbfgs"])
    if not fit.converged:
        raise NotFittedError("the likelihood did not converge")
    estimates, errors = fit.fe_params.to_numpy(), fit.bse_fe.to_numpy()
    return Fit(estimates * scale, errors * scale, _degrees(data))


def _degrees(data: ModelData) -> np.ndarray:
    """Return clusters - 1 degrees of freedom for every term; fewer for a term that occurs in fewer clusters."""
    codes = data.clusters[0]
    varies = [
        len(np.unique(codes[np.abs(values - np.median(values)) > 1e-12]))
        for values in data.design.to_numpy().T
    ]
    n = data.n_clusters
    informative = np.array([count if 0 < count < n else n for count in varies], float)
    return np.maximum(informative - 1, 1.0)


MODELS: Final[dict[str, Callable[[ModelData], Fit]]] = {"ols": _ols, "gee": _gee, "mixed": _mixed}
"""Models by name."""
