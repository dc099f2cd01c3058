"""Ways from a pair table to a claim, as the documentation describes them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd

from benchmarks.null_worlds.claims import POOLED, Claim, Claims, Recipe
from benchmarks.null_worlds.map_worlds import heat_maps
from benchmarks.null_worlds.prompts import THRESHOLD
from benchmarks.null_worlds.studies import Study
from daam_syntax.analysis import (
    cross_prompt_pairs,
    dose_table,
    estimate_difference,
    match_pairs,
    measure_pairs,
    normalize_over_tokens,
    permuted_pairs,
    regress,
    shifted_pairs,
    summarize,
)

N_RESAMPLES: Final = 999


def _summary_claims(table: pd.DataFrame, by: str, kind: str = "dependency") -> Claims:
    rows = table[table["kind"] == kind]
    measure = table.attrs["measure"]
    for row in rows.to_dict("records"):
        name = POOLED if by == "kind" else row["relation"]
        if np.isnan(row["difference"]):
            continue
        yield Claim(
            measure,
            name,
            row["difference"],
            row["difference_low"],
            row["difference_high"],
            row["p"],
            row["p_adjusted"],
            bool(np.isnan(row["p"])),
        )
        if table.attrs["corrected"] and not np.isnan(row["corrected"]):
            yield Claim(
                table.attrs["corrected"],
                name,
                row["corrected"],
                row["corrected_low"],
                row["corrected_high"],
                row["corrected_p"],
                row["corrected_p_adjusted"],
                bool(np.isnan(row["corrected_p"])),
            )


def _summary(
    by: str,
    pairs_of: Callable[[Study], pd.DataFrame] = lambda study: study.pairs,
    clustered: bool = True,
    **options: Any,
) -> Callable[[Study], Claims]:
    def make(study: Study) -> Claims:
        cluster = study.world.cluster if clustered else "prompt_id"
        chosen = {"cluster": cluster, "n_resamples": N_RESAMPLES} | options
        table = summarize(pairs_of(study), by, **chosen)
        yield from _summary_claims(table, by)

    return make


def _matched(study: Study) -> pd.DataFrame:
    return match_pairs(study.pairs).pairs


def _with(control: Callable[..., pd.DataFrame]) -> Callable[[Study], pd.DataFrame]:
    def pairs(study: Study) -> pd.DataFrame:
        maps = heat_maps(study.maps(), study.layout)
        more = {"n": 2} if control is not cross_prompt_pairs else {}
        rows = control(maps, size="grid", **more)
        own = study.pairs[study.pairs["kind"] == "dependency"]
        return pd.concat([own, rows[[c for c in rows.columns if c in own.columns]]])

    return pairs


def _normalized(study: Study) -> pd.DataFrame:
    maps = [normalize_over_tokens(m) for m in heat_maps(study.maps(), study.layout)]
    return measure_pairs(maps, size="grid", threshold=THRESHOLD)


def _difference(
    sides: Callable[[Study], tuple[str, pd.DataFrame, pd.DataFrame]],
    measures: tuple[str, ...] = ("iou", "phi"),
    **options: Any,
) -> Callable[[Study], Claims]:
    def make(study: Study) -> Claims:
        row, first, second = sides(study)
        if not len(first) or not len(second):
            return
        cluster = study.world.cluster
        if options.get("paired_by", "image") is None and not isinstance(cluster, str):
            cluster = "prompt_id"
        for measure in measures:
            found = estimate_difference(
                first, second, measure, cluster=cluster, n_resamples=N_RESAMPLES, **options
            )
            if not np.isnan(found.estimate):
                yield Claim(
                    measure,
                    row,
                    found.estimate,
                    found.low,
                    found.high,
                    found.p,
                    found.p,
                    bool(found.untested),
                )

    return make


def _amod_and_unrelated(study: Study) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    pairs = study.pairs
    name = "amod" if (pairs["relation"] == "amod").any() else "det"
    return name, pairs[pairs["relation"] == name], pairs[pairs["kind"] == "unrelated"]


def _two_relations(study: Study) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    pairs = study.pairs
    names = ("nmod", "obj")
    return "nothing", *(pairs[pairs["relation"] == name] for name in names)


def _groups(study: Study, *names: str) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """Return relations in different halves of the prompts, so that no prompt is on both sides."""
    pairs = study.pairs
    unit = study.world.cluster if study.world.cluster == "template" else "prompt_id"
    half = pd.factorize(pairs[unit])[0] % 2
    sides = (pairs[(pairs["relation"] == n) & (half == k)] for k, n in enumerate(names))
    return "nothing", *sides


def _halves(study: Study) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """Return two random halves of the unrelated pairs of each prompt."""
    pairs, number = study.pairs, study.layout.couples
    side = np.random.default_rng(study.seed).integers(0, 2, number.max() + 1)[number]
    unrelated = pairs["kind"] == "unrelated"
    return "nothing", pairs[unrelated & (side == 0)], pairs[unrelated & (side == 1)]


def _regression(
    model: str, measures: tuple[str, ...] = ("iou", "phi"), **options: Any
) -> Callable[[Study], Claims]:
    def make(study: Study) -> Claims:
        cluster = study.world.cluster
        if model != "ols" and not isinstance(cluster, str):
            cluster = "prompt_id"
        by = options.get("by", "relation")
        chosen = {"model": model, "cluster": cluster} | options
        for measure in measures:
            found = regress(study.pairs, measure, **chosen)
            for term in found.terms.to_dict("records"):
                name = term["term"]
                if by and name.startswith(f"{by}["):
                    row = POOLED if by == "kind" else name.removeprefix(f"{by}[")[:-1]
                elif name == "tree_distance":
                    row = POOLED
                else:
                    continue  # covariates may well have effects
                if not np.isnan(term["estimate"]):
                    yield Claim(
                        measure,
                        row,
                        term["estimate"],
                        term["low"],
                        term["high"],
                        term["p"],
                        term["p_adjusted"],
                        "not tested" in (term["reason"] or ""),
                    )

    return make


def _dose(study: Study, **options: Any) -> Claims:
    for measure in ("iou", "phi"):
        table = dose_table(study.pairs, measure, cluster=study.world.cluster, **options)
        for row in table.to_dict("records"):
            # Farther words are not related, but at a distance of 2 they can share a head.
            name = POOLED if row["tree_distance"] == 1 else f"distance {row['tree_distance']}"
            if not np.isnan(row["difference"]):
                yield Claim(
                    measure,
                    name,
                    row["difference"],
                    row["low"],
                    row["high"],
                    row["p"],
                    row["p_adjusted"],
                    "not tested" in (row["reason"] or ""),
                )


_LEMMAS: Final = ("head_lemma", "dependent_lemma")
_DOSE: Final = {"by": None, "covariates": ["tree_distance", "log_distance", "adjacency"]}

RECIPES: Final = (
    Recipe("summarize", _summary("relation"), cost="default", exchanged=True),
    Recipe("summarize, by kind", _summary("kind"), cost="default", exchanged=True),
    Recipe("summarize, one-sided", _summary("relation", tier="one-sided")),
    Recipe("summarize, one-sided, by kind", _summary("kind", tier="one-sided"), cost="slow"),
    Recipe("summarize, IoD", _summary("relation", measure="iod", corrected=None)),
    Recipe(
        "summarize, log area ratio", _summary("relation", measure="log_area_ratio"), cost="slow"
    ),
    Recipe(
        "summarize, plus distance",
        _summary("relation", accept="distance"),
        accepts=True,
        cost="slow",
    ),
    Recipe("summarize, by prompt only", _summary("relation", clustered=False), clustered=False),
    Recipe("unrelated", _summary("relation", control="unrelated"), cost="slow"),
    Recipe("unrelated, by kind", _summary("kind", control="unrelated")),
    Recipe(
        "unrelated, all accepted",
        _summary("relation", control="unrelated", accept="all"),
        cost="slow",
        accepts=True,
    ),
    Recipe("matched", _summary("relation", _matched, control="matched"), cost="slow"),
    Recipe("matched, by kind", _summary("kind", _matched, control="matched")),
    Recipe(
        "matched, log area ratio",
        _summary("relation", _matched, control="matched", measure="log_area_ratio"),
        cost="slow",
    ),
    Recipe(
        "permuted",
        _summary("relation", _with(permuted_pairs), control="permuted"),
        cost="slow",
        needs_maps=True,
    ),
    Recipe(
        "permuted, by kind",
        _summary("kind", _with(permuted_pairs), control="permuted"),
        cost="slow",
        needs_maps=True,
    ),
    Recipe(
        "shifted",
        _summary("relation", _with(shifted_pairs), control="shifted"),
        cost="slow",
        needs_maps=True,
    ),
    Recipe(
        "cross-prompt",
        _summary("relation", _with(cross_prompt_pairs), control="cross-prompt"),
        cost="slow",
        needs_maps=True,
    ),
    Recipe(
        "summarize, token-normalized",
        _summary("relation", _normalized),
        cost="slow",
        needs_maps=True,
    ),
    Recipe("difference, amod and unrelated", _difference(_amod_and_unrelated)),
    Recipe("difference, two relations", _difference(_two_relations)),
    Recipe(
        "difference, halves of unrelated pairs",
        _difference(_halves),
        balanced=True,
    ),
    Recipe(
        "between prompts, one relation",
        _difference(lambda study: _groups(study, "det", "det"), paired_by=None),
        balanced=True,
    ),
    Recipe(
        "between prompts, two relations",
        _difference(lambda study: _groups(study, "nmod", "det"), paired_by=None),
    ),
    Recipe("regress", _regression("ols")),
    Recipe("regress, by kind", _regression("ols", by="kind"), cost="slow"),
    Recipe("regress, lemmas of both words", _regression("ols", cluster=_LEMMAS), recurring=True),
    Recipe("regress, one-sided", _regression("ols", tier="one-sided"), cost="slow"),
    Recipe("regress, unrelated", _regression("ols", reference="unrelated"), cost="slow"),
    Recipe(
        "regress, unrelated, all accepted",
        _regression("ols", reference="unrelated", accept="all"),
        accepts=True,
        cost="slow",
    ),
    Recipe("regress, gee", _regression("gee", ("iou",)), cost="slow", scaled=False),
    Recipe("regress, mixed", _regression("mixed", ("iou",)), cost="slow", scaled=False),
    Recipe("regress, tree distance", _regression("ols", **_DOSE), scaled=False, cost="slow"),
    Recipe("dose_table", _dose, scaled=False),
    Recipe("dose_table, one-sided", partial(_dose, tier="one-sided"), scaled=False, cost="slow"),
)
"""Recipes of the page on inference."""
