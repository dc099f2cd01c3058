"""Findings of the study of cohyponyms: overlap of the maps, and correct images, by level of similarity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from daam_syntax.analysis import Estimate, estimate_mean, regress
from daam_syntax.analysis.inference.sample import MIN_CLUSTERS
from daam_syntax.figures.tables.similarity_plots import clusters_of
from daam_syntax.studies.framework.bounds import SHARE, measure_bounds, with_corrected
from daam_syntax.studies.framework.findings import Finding, name_of

MANY: Final = 4
"""Maximum number of levels that are compared one by one."""


def make_findings(
    images: pd.DataFrame, measure: str, judge: Sequence[Mapping[str, Any]]
) -> list[Finding]:
    """Return the findings.

    Parameters
    ----------
    images
        Overlap for each image and, if known, whether it shows both nouns.
    measure
        Column of the overlap.
    judge
        Who judged the images, and how often the judgments are right.
    """
    measures = with_corrected(measure)
    names = " and ".join(map(name_of, measures))
    both = len(measures) == 2
    overlaps = [
        (*_level_means(images, name, measure_bounds(name)), *_contrasts(images, name))
        for name in measures
    ]
    slopes = [tuple(_slopes(images, name)) for name in measures]
    findings = [
        Finding("Overlap of the two nouns' maps", names, _alternating(overlaps), side_by_side=both),
        Finding(
            "Slope of the overlap on similarity",
            f"change of {names} from similarity 0 to 1",
            _alternating(slopes),
            side_by_side=both,
        ),
    ]
    if "correct" not in images.columns:
        unknown = (
            "Not judged: the annotator knows only the embedded world and judges images as they are drawn, and no "
            "filled-in sheets were given."
        )
        return [*findings, Finding("Images that show both nouns", "", notes=(unknown,))]
    by = "people" if judge[0]["judge"] == "people" else "the annotator"
    title = f"Images that show both nouns, judged by {by}"
    findings.append(of_correctness(images, "correct", title))
    if "correct_adjusted" in images.columns and images["correct"].nunique() > 1:
        title = "The same, corrected for the annotator's errors"
        if np.allclose(images["correct_adjusted"], images["correct"]):
            n = sum(row["n_with"] + row["n_without"] for row in judge)
            same = (
                f"The annotator judged all {n} rendered scenes correctly, so the correction changes nothing. These "
                "scenes show whole objects: how the annotator judges chimeras, images that blend the two nouns, was "
                "not measured."
            )
            findings.append(Finding(title, "", notes=(same,)))
        else:
            findings.append(of_correctness(images, "correct_adjusted", title))
    return findings


def _alternating(estimates: Sequence[Sequence[Estimate]]) -> tuple[Estimate, ...]:
    """Return the first estimate by each measure, then the second by each, and so on."""
    return tuple(estimate for row in zip(*estimates, strict=True) for estimate in row)


def of_correctness(images: pd.DataFrame, column: str, title: str) -> Finding:
    """Estimate shares and their contrasts; if all images have the same judgment, say so and bound the share."""
    values = images[column]
    unit = "share of the images"
    counts = tuple(
        f"{str(level).capitalize()}: {rows[column].sum():g} of {len(rows)} images."
        for level, rows in images.groupby("level", sort=False)
        if column == "correct" and images["level"].nunique() <= MANY
    )
    if values.nunique() > 1:
        means = (_inside(each) for each in _level_means(images, column, SHARE))
        estimates = (*means, *_contrasts(images, column), *_slopes(images, column))
        return Finding(title, unit, estimates, notes=counts)
    n = images["prompt_id"].nunique()
    share = float(values.iloc[0])
    low, high = proportion_confint(round(share * n), n, method="beta")
    return Finding(
        title,
        unit,
        notes=(
            f"The outcome does not vary: {values.sum():g} of {len(values)} images, of {n} prompts, are judged to show "
            f"both nouns (95% interval of the share of such prompts {low:.3f} to {high:.3f}, Clopper and Pearson "
            "1934). Its differences between levels, and its correlations with overlap and similarity, are therefore "
            "undefined.",
        ),
    )


def _inside(estimate: Estimate) -> Estimate:
    """Clip a corrected share to the range 0 to 1."""
    low, value, high = np.clip([estimate.low, estimate.estimate, estimate.high], 0, 1).tolist()
    return replace(estimate, low=low, estimate=value, high=high)


def _levels(images: pd.DataFrame) -> list[str]:
    """Return the levels from the most to the least similar nouns, or none if there are too many to compare."""
    levels = images.drop_duplicates("level").sort_values("similarity", ascending=False)["level"]
    return list(levels) if len(levels) <= MANY else []


def _level_means(
    images: pd.DataFrame, column: str, bounds: tuple[float, float]
) -> Iterator[Estimate]:
    levels = _levels(images)
    for level in levels:
        rows = images[images["level"] == level]
        yield estimate_mean(rows, column, label=level, bounds=bounds)
        if MIN_CLUSTERS <= rows["category"].nunique() < rows["prompt_id"].nunique():
            label = f"{level}, over categories"
            yield estimate_mean(rows, column, cluster="category", label=label, bounds=bounds)
    if not levels:
        yield estimate_mean(images, column, label="all pairs", bounds=bounds)


def _contrasts(images: pd.DataFrame, column: str) -> Iterator[Estimate]:
    *more, least = _levels(images) or [""]
    for level in more:
        rows = images[images["level"].isin([level, least])]
        rows = rows.assign(_high=(rows["level"] == level) * 1.0)
        yield _slope(rows, column, "_high", f"{level} minus {least}")


def _slopes(images: pd.DataFrame, column: str) -> Iterator[Estimate]:
    if images["similarity"].nunique() > 1:
        yield _slope(images, column, "similarity", "slope on similarity")


def _slope(images: pd.DataFrame, column: str, covariate: str, label: str) -> Estimate:
    """Return a regression's slope over pairs of nouns, with errors clustered by both nouns if nouns recur."""
    keys = ["prompt_id", "first", "second", covariate]
    pairs = images.groupby(keys, sort=False, as_index=False)[column].mean()
    pairs["image"] = pairs["prompt_id"]
    known = pairs[pairs[column].notna()]
    cluster: Any = clusters_of(known, ("first", "second"))
    found = regress(known, column, by=None, covariates=[covariate], cluster=cluster, within=None)
    n_images = int(images[column].notna().sum())
    return replace(found.estimate(covariate, label), n_images=n_images)
