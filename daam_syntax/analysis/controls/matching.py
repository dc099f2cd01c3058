"""Controls that need no maps: unrelated pairs matched with dependencies, and distance in the tree as a dose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.inference.estimation import estimate_mean

_WORDS: Final = ["prompt_id", "scheme", "head_index", "dependent_index"]


@dataclass(frozen=True, eq=False, repr=False)
class Matching:
    """Dependency pairs with matched controls.

    Attributes
    ----------
    pairs
        Rows of the dependency pairs that have a match, and of their controls: kind "matched", with the relation of
        the pair they stand for.
    rates
        Per scheme and relation: ``n_pairs`` (of prompts, whatever the images), ``n_matched``, ``rate``.
    """

    pairs: pd.DataFrame
    rates: pd.DataFrame

    def __repr__(self) -> str:
        n, matched = self.rates["n_pairs"].sum(), self.rates["n_matched"].sum()
        return f"Matching({matched} of {n} dependency pairs have a match)\n{self.rates.to_string()}"


def match_pairs(pairs: pd.DataFrame, *, caliper: int = 0, seed: int = 0) -> Matching:
    """Give every dependency pair an unrelated pair of its prompt with its parts of speech and linear distance.

    Parts of speech are compared in the order of the words, whichever is the head. Tree distance is never matched: it is
    1 for dependencies and more for all others, see `dose_table`. A match is drawn once per prompt, and holds in
    all its images and at all thresholds; one unrelated pair may match several dependencies.

    Parameters
    ----------
    pairs
        A pair table with unrelated pairs, see `measure_pairs`.
    caliper
        By how many tokens distances may differ; the nearest are taken, at random among equals.
    seed
        Of the draws.

    Returns
    -------
    Matching
        Pairs without a match are not in its table, but in its rates.
    """
    pairs = pairs.reset_index(drop=True)
    dependencies, unrelated = (pairs[pairs["kind"] == kind] for kind in ("dependency", "unrelated"))
    links = _links(dependencies, unrelated, caliper, np.random.default_rng(seed))
    rates = links.groupby(["scheme", "relation"]).agg(
        n_pairs=("matched", "size"), n_matched=("matched", "sum"), rate=("matched", "mean")
    )
    links = links[links["matched"]].drop(columns="matched")
    matched = dependencies.merge(links[["relation", *_WORDS]])
    places = {"match_head": "head_index", "match_dependent": "dependent_index"}
    links = links.drop(columns=list(places.values())).rename(columns=places)
    # One row per link: an unrelated pair that matches two dependencies stands there twice.
    controls = unrelated.drop(columns="relation").merge(links).assign(kind="matched")
    return Matching(pd.concat([matched, controls[pairs.columns]], ignore_index=True), rates)


def _links(
    dependencies: pd.DataFrame, unrelated: pd.DataFrame, caliper: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Return every dependency of every prompt once, and which unrelated pair it is matched with."""
    pool = dict(list(_described(unrelated).groupby(["prompt_id", "scheme", "types"])))
    links = []
    for pair in _described(dependencies).to_dict("records"):
        link = {name: pair[name] for name in ("relation", *_WORDS)} | {"matched": False}
        candidates = pool.get((pair["prompt_id"], pair["scheme"], pair["types"]))
        if candidates is not None:
            off = (candidates["distance"] - pair["distance"]).abs()
            nearest = candidates[(off == off.min()) & (off <= caliper)]
            if len(nearest):
                match = nearest.iloc[int(rng.integers(len(nearest)))]
                link |= {"match_head": match["head_index"], "matched": True}
                link |= {"match_dependent": match["dependent_index"]}
        links.append(link)
    columns = ["relation", *_WORDS, "matched", "match_head", "match_dependent"]
    table = pd.DataFrame(links, columns=columns)
    return table.astype({"matched": bool})


def _described(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the different pairs with absolute distance and the parts of speech of earlier and later word."""
    pairs = pairs.drop_duplicates(["relation", *_WORDS]).sort_values(_WORDS, kind="stable")
    forward = pairs["linear_distance"] > 0
    first = pairs["head_pos"].where(forward, pairs["dependent_pos"])
    second = pairs["dependent_pos"].where(forward, pairs["head_pos"])
    return pairs.assign(types=first + " " + second, distance=pairs["linear_distance"].abs())


def dose_table(pairs: pd.DataFrame, measure: str = "iou", **options: Any) -> pd.DataFrame:
    """Tabulate a measure by the distance of the words in the tree: the dose of relatedness.

    Parameters
    ----------
    pairs
        A pair table of one scheme and threshold, with unrelated pairs.
    measure
        The measure.
    **options
        What else `estimate_mean` takes.

    Returns
    -------
    pandas.DataFrame
        One row per ``tree_distance`` (missing: no path joins the words), with the fields of `Estimate`. For the slope
        with linear distance held constant, take
        ``regress(pairs, by=None, covariates=["tree_distance", "linear_distance", "subwords"])``.
    """
    chosen = pairs[pairs["kind"].isin(["dependency", "unrelated"])]
    rows = [
        {"tree_distance": distance}
        | estimate_mean(group, measure, label=f"tree distance {distance}", **options).as_dict()
        for distance, group in chosen.groupby("tree_distance", dropna=False)
    ]
    return pd.DataFrame(rows)
