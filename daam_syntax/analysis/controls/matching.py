"""Control: unrelated pairs matched with dependency pairs by parts of speech and linear distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.checks import check_columns
from daam_syntax.analysis.tables.pairs import exchange_roles
from daam_syntax.util.arguments.checks import checked, whole

_WORDS: Final = ["prompt_id", "scheme", "head_index", "dependent_index"]


@dataclass(frozen=True, eq=False, repr=False)
class Matching:
    """Dependency pairs with matched controls.

    Attributes
    ----------
    pairs
        Rows of the dependency pairs that have a match, and of their controls. A control has the kind "matched" and the
        relation of the pair that it stands for.
    rates
        ``n_pairs``, ``n_matched``, and ``rate`` by scheme and relation. Each pair of a prompt counts once, regardless
        of the number of images.
    """

    pairs: pd.DataFrame
    rates: pd.DataFrame

    def __repr__(self) -> str:
        n, matched = self.rates["n_pairs"].sum(), self.rates["n_matched"].sum()
        return f"Matching({matched} of {n} dependency pairs have a match)\n{self.rates.to_string()}"


@checked(caliper=whole(0), seed=whole(0))
def match_pairs(pairs: pd.DataFrame, *, caliper: int = 0, seed: int = 0) -> Matching:
    """Match every dependency pair with an unrelated pair of its prompt by parts of speech and linear distance.

    A match has the roles of the dependency: its head has the part of speech of the head, its dependent that of the
    dependent. Tree distance is never matched, since it is 1 for dependencies and larger for all other pairs (see
    `dose_table`). A match is drawn once per prompt and applies to all its images and thresholds. One unrelated pair can
    match several dependencies.

    Parameters
    ----------
    pairs
        A pair table with unrelated pairs; see `measure_pairs`.
    caliper
        Number of tokens by which distances can differ. The nearest pair is chosen, with ties broken at random.
    seed
        Seed of the random choices.

    Returns
    -------
    Matching
        Pairs with their matches. Pairs without a match count only in its rates.

    Raises
    ------
    ValueError
        If the table has a measure with a direction without its mirror image, such as IoD without IoH.
    """
    check_columns(pairs, ("kind", "prompt_id", "head_index", "dependent_index"))
    pairs = pairs.reset_index(drop=True)
    dependencies, unrelated = (pairs[pairs["kind"] == kind] for kind in ("dependency", "unrelated"))
    # The table names the earlier word of an unrelated pair its head, but either word can stand for a head.
    unrelated = pd.concat([unrelated, exchange_roles(unrelated)], ignore_index=True)
    links = _links(dependencies, unrelated, caliper, np.random.default_rng(seed))
    rates = links.groupby(["scheme", "relation"]).agg(
        n_pairs=("matched", "size"), n_matched=("matched", "sum"), rate=("matched", "mean")
    )
    links = links[links["matched"]].drop(columns="matched")
    matched = dependencies.merge(links[["relation", *_WORDS]])
    places = {"match_head": "head_index", "match_dependent": "dependent_index"}
    links = links.drop(columns=list(places.values())).rename(columns=places)
    # One row per link: an unrelated pair that matches two dependencies appears twice.
    controls = unrelated.drop(columns="relation").merge(links).assign(kind="matched")
    return Matching(pd.concat([matched, controls[pairs.columns]], ignore_index=True), rates)


def _links(
    dependencies: pd.DataFrame, unrelated: pd.DataFrame, caliper: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Return every dependency of every prompt once, with the unrelated pair that it is matched with."""
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
    """Return distinct pairs with their absolute distance and the parts of speech of head and dependent."""
    pairs = pairs.drop_duplicates(["relation", *_WORDS]).sort_values(_WORDS, kind="stable")
    types = pairs["head_pos"] + " " + pairs["dependent_pos"]
    return pairs.assign(types=types, distance=pairs["linear_distance"].abs())
