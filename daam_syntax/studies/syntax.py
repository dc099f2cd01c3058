"""Overlap of the maps of heads and dependents, beside that of words that no edge joins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from daam_syntax.analysis import (
    Estimate,
    Matching,
    dose_table,
    estimate_difference,
    estimate_mean,
    match_pairs,
    measure_pairs,
    summarize,
    sweep,
    sweep_curves,
)
from daam_syntax.analysis.inference.estimation import MIN_CLUSTERS
from daam_syntax.errors import StudyError
from daam_syntax.figures import containment, forest, threshold_sweep
from daam_syntax.figures.tables.table_columns import measure_label
from daam_syntax.maps import parse_threshold
from daam_syntax.maps.measures import DEFAULT_PAIR_MEASURES, PAIR_MEASURES
from daam_syntax.studies.framework.common import CONTENT, best_scheme
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.findings import Finding
from daam_syntax.studies.framework.plots import figure_of
from daam_syntax.studies.framework.result import StudyResult

if TYPE_CHECKING:
    from daam_syntax.studies.framework.setup import Setup
    from daam_syntax.studies.framework.stored_setup import StoredSetup

DESIGN: Final = StudyDesign(
    name="syntax",
    title="Attention overlap along dependency relations",
    question="Do the maps of a head and its dependent overlap more than those of words that no dependency joins, more "
    "than those of such words with the same parts of speech and distance, and the more the nearer words stand in the "
    "tree?",
    method="Every pair of words of a prompt that a dependency joins is measured, and every other pair of words as a "
    "control (unrelated pairs), after section 4 of Tang et al. (2023). Masks are made by the threshold rule below; "
    "the sweep shows what other thresholds give. A matched control takes, for each dependency, an unrelated pair of "
    "the same prompt with the same parts of speech and nearly the same distance in the sentence. Content words are "
    "nouns, adjectives and verbs. The slope on distance in the tree is that of a least-squares fit to each image's own "
    "pairs, with the distance in the sentence held constant.",
    limits="Overlap depends on the areas of the masks: function words have broad maps, which overlap with everything, "
    "and most unrelated pairs have a function word in them. So a difference from all unrelated pairs may be one of "
    "parts of speech: compare content words, or the matched control, though few dependencies of short prompts have a "
    "match (see the rates). Overlap of attention does not show that one word acts on the other.",
    prompts="emoji-relations",
    seeds=2,
    steps=12,
    of_stored="all of it",
    figures={
        "relations": "Mean overlap by relation, for those of at least five prompts, over the line and band of "
        "unrelated pairs.",
        "containment": "Each pair at its overlap over the head's area and over the dependent's: its direction from the "
        "origin is the ratio of the areas, and only its distance from there says how far the masks overlap.",
        "sweep": "Overlap by threshold, for the relations with most pairs: which relation overlaps more may depend on "
        "the rule.",
    },
    tables={
        "relations": "Means by relation against unrelated pairs; in_paper marks the relations of Tang et al. (2023).",
        "relations_matched": "The same against matched pairs.",
        "match_rates": "How many dependencies have a matched pair.",
        "dose": "Overlap by distance in the tree.",
        "sweep": "Overlap by relation and threshold.",
        "pairs": "Every pair of words in every image.",
    },
)
PAPER_RELATIONS: Final = (
    "punct",
    "nmod:of",
    "compound",
    "nsubj",
    "case",
    "det",
    "conj:and",
    "acl",
    "obj",
    "amod",
)
"""The ten enhanced relations that Tang et al. (2023) report on."""

SWEEP: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_BASIC: Final = {"nmod": "nmod:of", "conj": "conj:and", "dobj": "obj"}
_SHOWN: Final = 6


def run(
    setup: Setup | StoredSetup,
    *,
    threshold: str = "relative:0.4",
    measure: str = "iou",
    scheme: str | None = None,
    caliper: int = 2,
    sweep_values: Sequence[float] = SWEEP,
) -> StudyResult:
    """Measure the overlap of all heads with their dependents, and of the controls.

    Parameters
    ----------
    setup
        What is drawn, or a stored run.
    threshold
        Rule that makes masks.
    measure
        The measure that means, intervals and tests are about.
    scheme
        Whose edges; None for enhanced Universal Dependencies, as the paper has them, where the parse does, else
        the parser's own.
    caliper
        By how many tokens the distance of a matched pair may differ.
    sweep_values
        Relative thresholds, two at least, at which IoU is measured too.

    Raises
    ------
    StudyError
        If no word of the prompts depends on another one.
    """
    scheme = scheme or best_scheme(setup.sentences)
    rule = str(parse_threshold(threshold))
    maps = [each.maps for each in setup.drawings()]
    pairs = measure_pairs(maps, schemes=scheme, threshold=rule, measures=_measures(measure))
    if not (pairs["kind"] == "dependency").any():
        raise StudyError(
            "Expected prompts in which a word depends on another one, but none has such; choose other prompts."
        )
    swept = sweep(maps, values=sweep_values, measures="iou", schemes=scheme)
    curves = sweep_curves(swept, method="t")
    relations = _marked(summarize(pairs, measure=measure))
    matching = match_pairs(pairs, caliper=caliper)
    matched = _marked(summarize(matching.pairs, measure=measure, control="matched"))
    dose = dose_table(pairs, measure, bounds=_bounds(measure))
    return StudyResult.of(
        DESIGN,
        setup,
        [
            _of_kinds(pairs, matching, measure),
            _of_content_words(pairs, measure),
            *_of_tree(pairs, dose, measure),
            Finding("By relation", "", notes=_relation_notes(relations)),
        ],
        {
            "relations": relations,
            "relations_matched": matched,
            "match_rates": matching.rates.reset_index(),
            "dose": dose,
            "sweep": curves,
            "pairs": pairs,
        },
        {
            "relations": _draw_relations(relations),
            "containment": figure_of(containment(pairs)),
            "sweep": _draw_sweep(curves),
        },
        threshold=rule,
        measure=measure,
        scheme=scheme,
    )


def is_paper_relation(relation: str) -> bool:
    """Whether a relation, of whichever scheme, is one of `PAPER_RELATIONS`, or its basic or ClearNLP form."""
    return _BASIC.get(relation, relation) in PAPER_RELATIONS


def dose_slopes(pairs: pd.DataFrame, measure: str = "iou") -> pd.DataFrame:
    """Return, for each image, the slope of a measure on tree distance with linear distance held constant.

    Parameters
    ----------
    pairs
        A pair table of one scheme and threshold, with unrelated pairs.
    measure
        The measure.

    Returns
    -------
    pandas.DataFrame
        ``prompt_id``, ``image``, ``slope`` (per edge), and a ``reason`` where it is NaN, because the distances do not
        vary enough to tell the two apart.
    """
    chosen = pairs[pairs["kind"].isin(["dependency", "unrelated"])]
    chosen = chosen.dropna(subset=[measure, "tree_distance"])
    rows = []
    for (prompt, image), group in chosen.groupby(["prompt_id", "image"]):
        tree = group["tree_distance"].to_numpy(float)
        design = np.column_stack([np.ones(len(group)), tree, group["linear_distance"].abs()])
        values = group[measure].to_numpy(float)
        solved, _, rank, _ = np.linalg.lstsq(design.astype(float), values, rcond=None)
        told_apart = rank == design.shape[1]
        rows.append(
            {
                "prompt_id": prompt,
                "image": image,
                "slope": float(solved[1]) if told_apart else float("nan"),
                "reason": "" if told_apart else "tree and linear distance cannot be told apart",
            }
        )
    return pd.DataFrame(rows, columns=["prompt_id", "image", "slope", "reason"])


def _measures(measure: str) -> list[str]:
    return list(dict.fromkeys([measure, *DEFAULT_PAIR_MEASURES]))


def _bounds(measure: str) -> tuple[float, float]:
    return PAIR_MEASURES[measure].low, PAIR_MEASURES[measure].high


def _of_kinds(pairs: pd.DataFrame, matching: Matching, measure: str) -> Finding:
    with_match, control = (
        matching.pairs[matching.pairs["kind"] == kind] for kind in ("dependency", "matched")
    )
    n, n_matched = matching.rates["n_pairs"].sum(), matching.rates["n_matched"].sum()
    return Finding(
        "Related and unrelated words",
        measure_label(measure),
        (
            *_related_and_unrelated(pairs, measure),
            estimate_difference(
                with_match,
                control,
                measure,
                label="related minus matched",
                bounds=_bounds(measure),
            ),
        ),
        notes=(f"{n_matched} of {n} dependencies have a matched pair in their prompt.",),
    )


def _of_content_words(pairs: pd.DataFrame, measure: str) -> Finding:
    """Compare nouns, adjectives and verbs only: the broad maps of function words overlap with everything."""
    among = pairs[pairs["head_pos"].isin(CONTENT) & pairs["dependent_pos"].isin(CONTENT)]
    return Finding(
        "Among content words", measure_label(measure), _related_and_unrelated(among, measure)
    )


def _related_and_unrelated(pairs: pd.DataFrame, measure: str) -> tuple[Estimate, ...]:
    """Estimate the overlap of either kind of pair, and the difference."""
    joined, unrelated = (pairs[pairs["kind"] == kind] for kind in ("dependency", "unrelated"))
    bounds = _bounds(measure)
    return (
        estimate_mean(joined, measure, label="head and dependent", bounds=bounds),
        estimate_mean(unrelated, measure, label="unrelated words", bounds=bounds),
        estimate_difference(
            joined, unrelated, measure, label="related minus unrelated", bounds=bounds
        ),
    )


def _of_tree(pairs: pd.DataFrame, dose: pd.DataFrame, measure: str) -> list[Finding]:
    names = [field.name for field in fields(Estimate)]
    at = tuple(Estimate(*row) for row in dose[names].itertuples(index=False, name=None))
    slope = estimate_mean(dose_slopes(pairs, measure), "slope", label="per edge")
    return [
        Finding("By distance in the tree", measure_label(measure), at),
        Finding(
            "Slope on distance in the tree, distance in the sentence held constant",
            f"change of {measure} per edge",
            (slope,),
        ),
    ]


def _marked(summary: pd.DataFrame) -> pd.DataFrame:
    """Add the column ``in_paper`` to a summary; what is known of how it was made stays."""
    summary.insert(
        list(summary.columns).index("relation") + 1,
        "in_paper",
        [is_paper_relation(relation) for relation in summary["relation"]],
    )
    return summary


def _relation_notes(relations: pd.DataFrame) -> tuple[str, ...]:
    """Say how many relations differ from the control, and which of the paper's were not found."""
    rows = relations[relations["kind"] == "dependency"]
    differ = rows[rows["p_adjusted"] < 0.05]
    tested = int(rows["p_adjusted"].notna().sum())
    names = ", ".join(
        f"{row.relation} {row.difference:+.3f} (n = {row.n_paired})".replace("-", "\N{MINUS SIGN}")
        for row in differ.itertuples(index=False)
    )
    said = [
        f"{len(differ)} of {tested} relations differ from unrelated pairs (Holm-adjusted p < 0.05 among relations)"
        + (f": {names}." if names else ".")
    ]
    few = int((rows["n_prompts"] < MIN_CLUSTERS).sum())
    if few:
        said.append(
            f"{few} relations occur in fewer than {MIN_CLUSTERS} prompts: too few for an interval."
        )
    seen = {_BASIC.get(relation, relation) for relation in rows["relation"]}
    absent = [name for name in PAPER_RELATIONS if name not in seen]
    if absent:
        said.append(f"Relations of Tang et al. (2023) that these parses lack: {', '.join(absent)}.")
    return tuple(said)


def _draw_relations(relations: pd.DataFrame) -> Figure:
    """Draw the relations that have an interval, or all where none has."""
    enough = (relations["n_prompts"] >= MIN_CLUSTERS) | (relations["kind"] != "dependency")
    shown = relations[enough] if (enough & (relations["kind"] == "dependency")).any() else relations
    return figure_of(forest(shown))


def _draw_sweep(curves: pd.DataFrame) -> Figure:
    """Draw the curves of the relations with most pairs, and of the control: more cannot be told apart."""
    counts = curves[curves["kind"] == "dependency"].groupby("relation")["n_pairs"].max()
    shown = counts.sort_values(ascending=False, kind="stable").index[:_SHOWN]
    ax = threshold_sweep(curves[curves["relation"].isin([*shown, "unrelated"])])
    ax.set_ylim(-0.02, 1.02)
    return figure_of(ax)
