"""Overlap of the maps of heads and dependents, compared with that of unrelated words."""

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
from daam_syntax.analysis.inference.sample import MIN_CLUSTERS
from daam_syntax.errors import StudyError
from daam_syntax.figures import containment, forest, threshold_sweep
from daam_syntax.figures.shared.measure_labels import measure_label
from daam_syntax.figures.shared.styles import figure_of
from daam_syntax.language import Sentence, check_schemes
from daam_syntax.maps import parse_threshold
from daam_syntax.maps.measures import DEFAULT_PAIR_MEASURES
from daam_syntax.studies.framework.bounds import measure_bounds
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.findings import Finding, means_and_difference
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.framework.word_classes import CONTENT

if TYPE_CHECKING:
    from daam_syntax.studies.framework.setup import Setup
    from daam_syntax.studies.framework.stored_setup import StoredSetup

DESIGN: Final = StudyDesign(
    name="syntax",
    title="Attention overlap along dependency relations",
    question="Do the maps of a head and its dependent overlap more than those of words not joined by a dependency, and "
    "more than those of such words with the same parts of speech and distance, and does the overlap increase as words "
    "get closer in the tree?",
    method="Every pair of words of a prompt that a dependency joins is measured; all other pairs of words serve as a "
    "control (unrelated pairs), after section 4 of Tang et al. (2023). Masks are made by the threshold rule below, and "
    "the sweep shows the results for other thresholds. The matched control consists, for each dependency, of an "
    "unrelated pair from the same prompt with the same parts of speech and nearly the same distance in the sentence. "
    "Content words are nouns, adjectives and verbs. The slope on distance in the tree is estimated by least squares "
    "from the pairs of each image, holding the distance in the sentence constant.",
    limits="Overlap depends on the areas of the masks: function words have broad maps, which overlap with everything, "
    "and most unrelated pairs contain a function word. A difference from all unrelated pairs may therefore be due to "
    "parts of speech: compare content words, or use the matched control, although few dependencies of short prompts "
    "have a match (see the match rates). Overlap of attention does not show that one word acts on the other.",
    prompts="emoji-relations",
    seeds=2,
    steps=12,
    of_stored="all of it",
    figures={
        "relations": "Mean overlap by relation, for relations in at least five prompts; the line and the band show "
        "unrelated pairs.",
        "containment": "Each pair by its overlap relative to the area of the head and to that of the dependent. The "
        "direction from the origin shows the ratio of the areas; only the distance shows how much the masks overlap.",
        "sweep": "Overlap by threshold, for the relations with the most pairs; the order of the relations may depend "
        "on the threshold.",
    },
    tables={
        "relations": "Means by relation, compared with unrelated pairs; in_paper marks the relations of Tang et al. "
        "(2023).",
        "relations_matched": "Means by relation, compared with matched pairs.",
        "match_rates": "Numbers of dependencies with a matched pair.",
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
"""The ten enhanced relations that Tang et al. (2023) report."""

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
        The setup, or a stored run.
    threshold
        Threshold rule for masks.
    measure
        Measure of overlap for means, intervals and tests.
    scheme
        Dependency scheme: ud, enhanced or native. Unless given, enhanced if the parses have it, as in the paper, else
        native.
    caliper
        Maximum difference, in tokens, between the distances of a dependency and its matched pair.
    sweep_values
        Relative thresholds, at least two, for the sweep of IoU.

    Raises
    ------
    StudyError
        If no word of the prompts depends on another word.
    """
    bounds = measure_bounds(measure)
    (scheme,) = check_schemes([scheme or _best_scheme(setup.sentences)])
    rule = str(parse_threshold(threshold))
    maps = [each.maps for each in setup.traced_images()]
    pairs = measure_pairs(maps, schemes=scheme, threshold=rule, measures=_measures(measure))
    if not (pairs["kind"] == "dependency").any():
        raise StudyError(
            "Expected prompts in which a word depends on another word, but got none: choose other prompts."
        )
    swept = sweep(maps, values=sweep_values, measures="iou", schemes=scheme)
    curves = sweep_curves(swept, method="t")
    relations = _marked(summarize(pairs, measure=measure))
    matching = match_pairs(pairs, caliper=caliper)
    matched = _marked(summarize(matching.pairs, measure=measure, control="matched"))
    dose = dose_table(pairs, measure, bounds=bounds)
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
    """Whether a relation of any scheme is one of `PAPER_RELATIONS`, or the basic or ClearNLP form of one."""
    return _BASIC.get(relation, relation) in PAPER_RELATIONS


def dose_slopes(pairs: pd.DataFrame, measure: str = "iou") -> pd.DataFrame:
    """Return, for each image, the slope of a measure on tree distance, with linear distance held constant.

    Parameters
    ----------
    pairs
        Pair table of one scheme and one threshold, with unrelated pairs.
    measure
        Column of the measure.

    Returns
    -------
    pandas.DataFrame
        ``prompt_id``, ``image``, ``slope`` (per edge), and a ``reason`` if the slope is NaN because the distances vary
        too little to distinguish their effects.
    """
    chosen = pairs[pairs["kind"].isin(["dependency", "unrelated"])]
    chosen = chosen.dropna(subset=[measure, "tree_distance"])
    rows = []
    for (prompt, image), group in chosen.groupby(["prompt_id", "image"]):
        tree = group["tree_distance"].to_numpy(float)
        design = np.column_stack([np.ones(len(group)), tree, group["linear_distance"].abs()])
        values = group[measure].to_numpy(float)
        solved, _, rank, _ = np.linalg.lstsq(design.astype(float), values, rcond=None)
        is_identified = rank == design.shape[1]
        rows.append(
            {
                "prompt_id": prompt,
                "image": image,
                "slope": float(solved[1]) if is_identified else float("nan"),
                "reason": "" if is_identified else "tree and linear distance are collinear",
            }
        )
    return pd.DataFrame(rows, columns=["prompt_id", "image", "slope", "reason"])


def _best_scheme(sentences: Sequence[Sentence]) -> str:
    """Return "enhanced", the dependency scheme of Tang et al. (2023), if all parses have it, else "native"."""
    enhanced = all("enhanced" in sentence.edges for sentence in sentences)
    return "enhanced" if enhanced else "native"


def _measures(measure: str) -> list[str]:
    return list(dict.fromkeys([measure, *DEFAULT_PAIR_MEASURES]))


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
                bounds=measure_bounds(measure),
            ),
        ),
        notes=(f"{n_matched} of {n} dependencies have a matched pair in their prompt.",),
    )


def _of_content_words(pairs: pd.DataFrame, measure: str) -> Finding:
    """Compare only nouns, adjectives and verbs: the broad maps of function words overlap with everything."""
    among = pairs[pairs["head_pos"].isin(CONTENT) & pairs["dependent_pos"].isin(CONTENT)]
    return Finding(
        "Among content words", measure_label(measure), _related_and_unrelated(among, measure)
    )


def _related_and_unrelated(pairs: pd.DataFrame, measure: str) -> tuple[Estimate, ...]:
    """Estimate the overlap of both kinds of pairs, and the difference."""
    joined, unrelated = (pairs[pairs["kind"] == kind] for kind in ("dependency", "unrelated"))
    labels = ("head and dependent", "unrelated words", "related minus unrelated")
    return means_and_difference(joined, unrelated, measure, labels, measure_bounds(measure))


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
    """Add the column ``in_paper`` to a summary in place, which keeps its attributes."""
    summary.insert(
        list(summary.columns).index("relation") + 1,
        "in_paper",
        [is_paper_relation(relation) for relation in summary["relation"]],
    )
    return summary


def _relation_notes(relations: pd.DataFrame) -> tuple[str, ...]:
    """Report how many relations differ from the control, and which relations of the paper are missing."""
    rows = relations[relations["kind"] == "dependency"]
    differ = rows[rows["p_adjusted"] < 0.05]
    tested = int(rows["p_adjusted"].notna().sum())
    names = ", ".join(
        f"{row.relation} {row.difference:+.3f} (n = {row.n_paired})".replace("-", "\N{MINUS SIGN}")
        for row in differ.itertuples(index=False)
    )
    notes = [
        f"{len(differ)} of {tested} relations differ from unrelated pairs (p < 0.05, Holm-adjusted over relations)"
        + (f": {names}." if names else ".")
    ]
    few = int((rows["n_prompts"] < MIN_CLUSTERS).sum())
    if few:
        notes.append(
            f"{few} relations occur in fewer than {MIN_CLUSTERS} prompts, too few for an interval."
        )
    seen = {_BASIC.get(relation, relation) for relation in rows["relation"]}
    absent = [name for name in PAPER_RELATIONS if name not in seen]
    if absent:
        notes.append(
            f"Relations of Tang et al. (2023) missing from these parses: {', '.join(absent)}."
        )
    return tuple(notes)


def _draw_relations(relations: pd.DataFrame) -> Figure:
    """Plot the relations that have an interval, or all relations if none has one."""
    enough = (relations["n_prompts"] >= MIN_CLUSTERS) | (relations["kind"] != "dependency")
    shown = relations[enough] if (enough & (relations["kind"] == "dependency")).any() else relations
    return figure_of(forest(shown))


def _draw_sweep(curves: pd.DataFrame) -> Figure:
    """Plot the curves of the control and of the relations with the most pairs; more would be hard to distinguish."""
    counts = curves[curves["kind"] == "dependency"].groupby("relation")["n_pairs"].max()
    shown = counts.sort_values(ascending=False, kind="stable").index[:_SHOWN]
    ax = threshold_sweep(curves[curves["relation"].isin([*shown, "unrelated"])])
    ax.set_ylim(-0.02, 1.02)
    return figure_of(ax)
