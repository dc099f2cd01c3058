"""Overlap of the maps of heads and dependents, beside that of words that no edge joins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from daam_syntax.analysis import (
    Estimate,
    dose_table,
    estimate_difference,
    estimate_mean,
    match_pairs,
    measure_pairs,
    summarize,
    sweep,
    sweep_curves,
)
from daam_syntax.drawing import DrawingSettings
from daam_syntax.errors import StudyError
from daam_syntax.figures import containment, forest, threshold_sweep
from daam_syntax.maps import parse_threshold
from daam_syntax.maps.measures import PAIR_MEASURES
from daam_syntax.studies.common import estimates_table, finding, parse_prompts, provenance
from daam_syntax.studies.drawings import best_scheme, draw_all, figure_of
from daam_syntax.studies.plots import draw_estimates
from daam_syntax.studies.result import StudyResult

TITLE: Final = "Attention overlap along dependency relations"
QUESTION: Final = (
    "Do the maps of a head and its dependent overlap more than those of words that no dependency joins, more than "
    "those of such words with the same parts of speech and distance, and the more the nearer words stand in the tree?"
)
PROMPTS: Final = (
    "a red cat and a blue car",
    "a small owl on a green bed",
    "a dog chasing a yellow duck",
    "a pink house next to a big tree",
    "a penguin is holding a banana in the snow",
    "a robot riding a black horse in a field",
    "a purple hat and a white shirt, on a chair",
    "a castle and a truck at night",
    "a tiger wearing a red hat",
    "a strawberry, a guitar and a drum",
    "a picture of an orange fish",
    "a huge sheep that is chasing a mouse",
    "a farm animal next to a household item",
    "there is a green octopus above a crab",
    "a giraffe rides a tiny bicycle",
    "a sea animal on a beach",
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
    pipe: Any,
    *,
    prompts: str | Iterable[str] | None = None,
    seeds: int = 2,
    steps: int | None = 12,
    guidance: float | None = None,
    threshold: str = "relative:0.4",
    measure: str = "iou",
    scheme: str | None = None,
    caliper: int = 2,
    sweep_values: Sequence[float] = SWEEP,
    parser: Any = None,
    progress: bool = False,
) -> StudyResult:
    """Measure the overlap of all heads with their dependents, and of the controls.

    After section 4 of Tang et al. (2023), with controls: all unrelated pairs of the prompt; of those, pairs matched on
    parts of speech and linear distance (`match_pairs`); and distance in the tree as a dose. The dose's slope is that
    of a least-squares fit to each image's own pairs, with the linear distance held constant, averaged over prompts.

    Parameters
    ----------
    pipe
        A pipeline that can be traced.
    prompts
        None for `PROMPTS`.
    seeds
        Images per prompt.
    steps, guidance
        How to draw; None leaves it to the pipeline.
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
    parser
        As for `trace`.
    progress
        Whether to show a progress bar.

    Returns
    -------
    StudyResult
        Tables "estimates"; "relations" (`summarize` against unrelated pairs; ``in_paper`` marks `PAPER_RELATIONS`);
        "relations_matched" (against matched ones); "match_rates"; "dose"; "sweep"; "pairs".

    Raises
    ------
    StudyError
        If no word of the prompts depends on another one.
    """
    sentences = parse_prompts(prompts, PROMPTS, parser)
    scheme = scheme or best_scheme(sentences)
    settings = DrawingSettings(steps, guidance).for_pipeline(pipe)
    rule = str(parse_threshold(threshold))
    maps = [each.maps for each in draw_all(pipe, sentences, seeds, settings, progress=progress)]
    pairs = measure_pairs(maps, schemes=scheme, threshold=rule)
    if not (pairs["kind"] == "dependency").any():
        raise StudyError(
            "Expected prompts in which a word depends on another one, but none has such; choose other prompts."
        )
    swept = sweep(maps, values=sweep_values, measures="iou", schemes=scheme)
    curves = sweep_curves(swept, method="t")
    relations = _marked(summarize(pairs, measure=measure))
    matching = match_pairs(pairs, caliper=caliper)
    matched = _marked(summarize(matching.pairs, measure=measure, control="matched"))
    dose = dose_table(pairs, measure)
    estimates = estimates_table(found := _estimates(pairs, matching.pairs, measure))
    return StudyResult(
        "syntax",
        TITLE,
        QUESTION,
        (*(finding(estimate) for estimate in found), *_relation_findings(relations)),
        {
            "estimates": estimates,
            "relations": relations,
            "relations_matched": matched,
            "match_rates": matching.rates.reset_index(),
            "dose": dose,
            "sweep": curves,
            "pairs": pairs,
        },
        {
            "relations": _draw_relations(relations, measure),
            "dose": draw_estimates(dose, unit=f"{measure}, head-dependent and unrelated pairs"),
            "containment": figure_of(containment(pairs)),
            "sweep": _draw_sweep(curves),
        },
        tuple(sentence.text for sentence in sentences),
        provenance(
            pipe, settings, seeds, sentences, threshold=rule, measure=measure, scheme=scheme
        ),
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


def _estimates(pairs: pd.DataFrame, matched: pd.DataFrame, measure: str) -> list[Estimate]:
    joined, unrelated = (pairs[pairs["kind"] == kind] for kind in ("dependency", "unrelated"))
    with_match, control = (matched[matched["kind"] == kind] for kind in ("dependency", "matched"))
    name = f"attention overlap ({measure})"
    return [
        estimate_mean(joined, measure, label=f"{name}, head and dependent"),
        estimate_mean(unrelated, measure, label=f"{name}, unrelated words"),
        estimate_difference(joined, unrelated, measure, label=f"{name}, related minus unrelated"),
        estimate_difference(with_match, control, measure, label=f"{name}, related minus matched"),
        estimate_mean(
            dose_slopes(pairs, measure), "slope", label=f"{name}, change per edge of the tree"
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


def _relation_findings(relations: pd.DataFrame) -> list[str]:
    """Say how many relations differ from the control, and which of the paper's were not found."""
    rows = relations[relations["kind"] == "dependency"]
    differ = rows[rows["p_adjusted"] < 0.05]
    tested = int(rows["p_adjusted"].notna().sum())
    names = ", ".join(
        f"{row.relation} {row.difference:+.3f}" for row in differ.itertuples(index=False)
    )
    said = [
        f"{len(differ)} of {tested} tested relations differ from unrelated pairs (Holm-adjusted p < 0.05)"
        + (f": {names}." if names else ".")
    ]
    seen = {_BASIC.get(relation, relation) for relation in rows["relation"]}
    absent = [name for name in PAPER_RELATIONS if name not in seen]
    if absent:
        said.append(f"Relations of Tang et al. (2023) that these parses lack: {', '.join(absent)}.")
    return said


def _draw_relations(relations: pd.DataFrame, measure: str) -> Figure:
    """Draw means and intervals; intervals over few prompts may reach beyond what a measure can be."""
    ax = forest(relations)
    low, high = PAIR_MEASURES[measure].low, PAIR_MEASURES[measure].high
    if np.isfinite([low, high]).all():
        margin = (high - low) / 50
        ax.set_xlim(low - margin, high + margin)
    return figure_of(ax)


def _draw_sweep(curves: pd.DataFrame) -> Figure:
    """Draw the curves of the relations with most pairs, and of the control: more cannot be told apart."""
    counts = curves[curves["kind"] == "dependency"].groupby("relation")["n_pairs"].max()
    shown = counts.sort_values(ascending=False, kind="stable").index[:_SHOWN]
    ax = threshold_sweep(curves[curves["relation"].isin([*shown, "unrelated"])])
    ax.set_ylim(-0.02, 1.02)
    return figure_of(ax)
