"""Overlap of the maps of heads and dependents, compared with that of exchanged partners."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd
from matplotlib.figure import Figure

from daam_syntax.analysis import (
    Estimate,
    dose_table,
    estimate_mean,
    estimate_relations,
    match_pairs,
    measure_pairs,
    regress,
    summarize,
    sweep,
    sweep_curves,
)
from daam_syntax.analysis.inference.sample import MIN_CLUSTERS
from daam_syntax.errors import StudyError
from daam_syntax.figures import containment, forest, threshold_sweep
from daam_syntax.figures.shared.styles import figure_of
from daam_syntax.language import Sentence, check_schemes
from daam_syntax.maps import parse_threshold
from daam_syntax.maps.measures import DEFAULT_PAIR_MEASURES, PAIR_MEASURES
from daam_syntax.studies.framework.bounds import CORRECTED, measure_bounds, with_corrected
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.findings import Finding, name_of
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.framework.word_classes import CONTENT
from daam_syntax.studies.syntax.paper import (
    PAPER_RELATIONS,
    basic_name,
    is_paper_relation,
    paper_table,
    read_published,
)
from daam_syntax.util.wording import plural

if TYPE_CHECKING:
    from daam_syntax.studies.framework.setup import Setup
    from daam_syntax.studies.framework.stored_setup import StoredSetup

DESIGN: Final = StudyDesign(
    name="syntax",
    title="Attention overlap along dependency relations",
    question="Do the maps of a head and its dependent overlap more than they would if the two words were not related, "
    "for which relations, and does the overlap increase as words get closer in the tree?",
    method="Every pair of words of a prompt that a dependency joins is compared with exchanged partners: unrelated "
    "pairs of the same image in which the head, the dependent, or both are replaced by words with the same parts of "
    "speech, in the same roles. In “a red cat and a blue car”, the overlap of the related words (red and cat, blue and "
    "car) is compared with that of the exchanged ones (red and car, blue and cat), so the areas, places and parts of "
    "speech of the words cancel. Related words are usually nearer to each other in the sentence; unrelated pairs, "
    "treated in the same way, show what distance does, and it is adjusted for. Where that is not possible, an effect "
    "is called “relation plus distance” and is not tested. Differences are averaged over the images of a prompt, and "
    "prompts are the sample. Each is given by two measures: one that depends on the areas of the masks, such as IoU, "
    "and phi, the correlation of the masks, which is 0 for independent masks of any areas. Masks are made by the "
    "threshold rule below; the sweep shows other thresholds.",
    limits="Maps that favor the same place, such as the center, overlap more than chance by any measure; exchanging "
    "partners takes that out only as far as it adds up over the two words. Pairs of words of all kinds that no "
    "dependency joins are described, not compared: most of them contain a function word, and function words have "
    "broad maps. Punctuation is in no comparison, because unrelated pairs leave it out. Overlap of attention does not "
    "show that one word acts on the other.",
    prompts="emoji-relations",
    seeds=2,
    steps=12,
    of_stored="all of it",
    figures={
        "relations": "What each relation adds to the overlap of its words, compared with exchanged partners, for "
        "relations in at least five prompts: by the chosen measure and by phi.",
        "containment": "Each pair by its overlap relative to the area of the head and to that of the dependent. The "
        "direction from the origin shows the ratio of the areas; only the distance shows how much the masks overlap.",
        "sweep": "Overlap by threshold, for the relations with the most pairs; the order of the relations may depend "
        "on the threshold. Unrelated words differ from the others in more than that, so the distance from their curve "
        "does not show what a relation adds.",
    },
    tables={
        "paper": "The table of relations of Tang et al. (2023, ACL) beside this run: means of overlap relative to the "
        "dependent (IoD), to the head (IoH) and to both (IoU), and IoD minus IoH. Columns that begin with paper have "
        "the published values of the file that the option published names, which are for Stable Diffusion, other "
        "prompts and the rule of the paper.",
        "relations": "What each relation adds, compared with exchanged partners, and means by relation; in_paper marks "
        "the relations of Tang et al. (2023).",
        "relations_matched": "Means by relation, compared with matched pairs: for each dependency an unrelated pair "
        "from the same prompt with the same parts of speech in the same roles, at nearly the same distance.",
        "match_rates": "Numbers of dependencies with a matched pair.",
        "dose": "Overlap by distance in the tree: what pairs have more than the same words would have at the farthest "
        "distance, with the distance in the sentence held constant.",
        "sweep": "Overlap by relation and threshold.",
        "pairs": "Every pair of words in every image.",
    },
    printed=("paper",),
)
SWEEP: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_DOSE: Final = ("tree_distance", "log_distance", "linear_distance", "adjacency")
_SHOWN: Final = 6


def run(
    setup: Setup | StoredSetup,
    *,
    threshold: str = "relative:0.4",
    measure: str = "iou",
    scheme: str | None = None,
    caliper: int = 2,
    sweep_values: Sequence[float] = SWEEP,
    published: str | Path | None = None,
) -> StudyResult:
    """Measure the overlap of all heads with their dependents, and of the controls.

    Parameters
    ----------
    setup
        The setup, or a stored run.
    threshold
        Threshold rule for masks.
    measure
        Measure of overlap for means, intervals and tests; phi stands beside it.
    scheme
        Dependency scheme: ud, enhanced or native. Unless given, enhanced if the parses have it, as in the paper, else
        native.
    caliper
        Maximum difference, in tokens, between the distances of a dependency and its matched pair.
    sweep_values
        Relative thresholds, at least two, for the sweep of IoU.
    published
        CSV file with the columns relation, iod, ioh and iou: published values of the
        table of the paper, 0 to 1, to stand beside those of this run.

    Raises
    ------
    StudyError
        If no word of the prompts depends on another word.
    FileError
        If the file of published values cannot be read.
    """
    measure_bounds(measure)  # before anything is drawn
    known = {} if published is None else read_published(published)
    (scheme,) = check_schemes([scheme or _best_scheme(setup.sentences)])
    rule = str(parse_threshold(threshold))
    maps = [each.maps for each in setup.traced_images()]
    every_pair = measure_pairs(maps, schemes=scheme, threshold=rule, measures=_measures(measure))
    # Unrelated pairs have no punctuation, so no comparison has it.
    words = ~(every_pair["head_pos"].eq("PUNCT") | every_pair["dependent_pos"].eq("PUNCT"))
    pairs = every_pair[words]
    if not (pairs["kind"] == "dependency").any():
        raise StudyError(
            "Expected prompts in which a word depends on another word, but got none: choose other prompts."
        )
    swept = sweep(maps, values=sweep_values, measures="iou", schemes=scheme)
    curves = sweep_curves(swept, method="t")
    relations = _marked(summarize(every_pair, measure=measure))
    matching = match_pairs(pairs, caliper=caliper)
    matched = _marked(summarize(matching.pairs, measure=measure, control="matched"))
    return StudyResult.of(
        DESIGN,
        setup,
        [*make_findings(pairs, relations, measure), _described(pairs, measure)],
        {
            "paper": paper_table(every_pair, known, published),
            "relations": relations,
            "relations_matched": matched,
            "match_rates": matching.rates.reset_index(),
            **_dose(pairs, measure),
            "sweep": curves,
            "pairs": every_pair,
        },
        {
            "relations": _draw_relations(relations),
            "containment": figure_of(containment(every_pair)),
            "sweep": _draw_sweep(curves),
        },
        threshold=rule,
        measure=measure,
        scheme=scheme,
    )


def _best_scheme(sentences: Sequence[Sentence]) -> str:
    """Return "enhanced", the dependency scheme of Tang et al. (2023), if all parses have it, else "native"."""
    enhanced = all("enhanced" in sentence.edges for sentence in sentences)
    return "enhanced" if enhanced else "native"


def _measures(measure: str) -> list[str]:
    """Return the measures of the pair table; one with a direction comes with its mirror image."""
    chosen = [measure, str(PAIR_MEASURES[measure].mirror), CORRECTED, *DEFAULT_PAIR_MEASURES]
    return list(dict.fromkeys(chosen))


def _names(measure: str) -> str:
    return " and ".join(map(name_of, with_corrected(measure)))


def make_findings(pairs: pd.DataFrame, relations: pd.DataFrame, measure: str) -> list[Finding]:
    """Return the findings that compare pairs with exchanged partners.

    Parameters
    ----------
    pairs
        Pairs of words, without punctuation.
    relations
        Summary of the pairs by relation.
    measure
        Measure of overlap.
    """
    return [
        _of_all(pairs, measure),
        _of_relations(relations, pairs, measure),
        *_of_tree(pairs, measure),
    ]


def _of_all(pairs: pd.DataFrame, measure: str) -> Finding:
    label = "related minus exchanged"
    found = [
        estimate_relations(pairs, "kind", name)["dependency"] for name in with_corrected(measure)
    ]
    tier, matched = found[0].tier, found[0].matched
    return Finding(
        "Heads and their dependents, compared with exchanged partners",
        f"difference of {_names(measure)}",
        tuple(replace(each.estimate, label=label) for each in found),
        notes=(f"The exchange is {tier}, and matches {matched:.0%} of the pairs.",) if tier else (),
        side_by_side=len(found) == 2,
    )


def _of_relations(relations: pd.DataFrame, pairs: pd.DataFrame, measure: str) -> Finding:
    """Report what each relation in enough prompts adds; name the others."""
    every = [estimate_relations(pairs, "relation", name) for name in with_corrected(measure)]
    names = relations.loc[relations["kind"] == "dependency", "relation"].tolist()
    estimates: list[Estimate] = []
    few, without = [], []
    for name in names:
        first = every[0].get(name)
        if first is None or math.isnan(first.estimate.estimate):
            without.append(name)
        elif first.estimate.n_prompts < MIN_CLUSTERS:
            few.append(name)
        else:
            label = name if first.effect == "relation" else f"{name} ({first.effect})"
            estimates += [replace(each[name].estimate, label=label) for each in every]
    notes = []
    if few:
        notes.append(
            f"Compared in fewer than {MIN_CLUSTERS} prompts, too few for a test: {', '.join(few)}."
        )
    if without:
        notes.append(
            "Not compared, because there are no words of the same parts of speech to exchange with: "
            f"{', '.join(without)}."
        )
    seen = {basic_name(relation) for relation in names}
    absent = [name for name in PAPER_RELATIONS if name not in seen]
    if absent:
        notes.append(
            f"Relations of Tang et al. (2023) missing from these parses: {', '.join(absent)}."
        )
    return Finding(
        "What each relation adds",
        f"difference of {_names(measure)}",
        tuple(estimates),
        notes=tuple(notes),
        side_by_side=len(every) == 2,
    )


def _dose(pairs: pd.DataFrame, measure: str) -> dict[str, pd.DataFrame]:
    """Return the table of doses, unless no unrelated pair is measured."""
    return {"dose": dose_table(pairs, measure)} if _has_control(pairs, measure) else {}


def _has_control(pairs: pd.DataFrame, measure: str) -> bool:
    """Whether any unrelated pair at a known distance in the tree has a value of a measure."""
    known = pairs["tree_distance"].notna() & pairs[measure].notna()
    return bool((known & pairs["kind"].eq("unrelated")).any())


def _of_tree(pairs: pd.DataFrame, measure: str) -> list[Finding]:
    """Report the slope on distance in the tree, if the pairs are at several distances."""
    if not pairs["kind"].eq("unrelated").any():
        return []
    known = pairs[pairs["tree_distance"].notna()]
    measured = [name for name in with_corrected(measure) if _has_control(pairs, name)]
    without = [name_of(name) for name in with_corrected(measure) if name not in measured]
    slopes = [
        regress(known, name, by=None, covariates=_DOSE).estimate("tree_distance", "per edge")
        for name in measured
    ]
    return [
        Finding(
            "Slope on distance in the tree, at constant distance in the sentence",
            f"change of {_names(measure)} per edge",
            tuple(slopes),
            notes=(
                f"No slope of {' and '.join(without)}, which is undefined for every pair of words that no dependency "
                "joins: study more prompts, or longer ones.",
            )
            if without
            else (),
            side_by_side=len(slopes) == 2,
        )
    ]


def _described(pairs: pd.DataFrame, measure: str) -> Finding:
    """Describe the overlap of related words and of any other words; they are other words, so nothing is claimed."""
    is_content = pairs["head_pos"].isin(CONTENT) & pairs["dependent_pos"].isin(CONTENT)
    related, apart = (pairs["kind"] == kind for kind in ("dependency", "unrelated"))
    groups = {
        "head and dependent": related,
        "any two words that no dependency joins": apart,
        "head and dependent, content words": related & is_content,
        "content words that no dependency joins": apart & is_content,
    }
    n_function = int((apart & ~is_content).sum())
    share = n_function / max(int(apart.sum()), 1)
    return Finding(
        "Means of related and of other words (described, not compared)",
        _names(measure),
        tuple(
            estimate_mean(pairs[chosen], name, label=label)
            for label, chosen in groups.items()
            for name in with_corrected(measure)
        ),
        notes=(
            f"{share:.0%} of the {plural(int(apart.sum()), 'pair')} that no dependency joins contain a function word. "
            "These pairs differ from related ones in their parts of speech, places and areas, so a difference of the "
            "means does not show what a relation does.",
        ),
        side_by_side=True,
    )


def _marked(summary: pd.DataFrame) -> pd.DataFrame:
    """Add the column ``in_paper`` to a summary in place, which keeps its attributes."""
    summary.insert(
        list(summary.columns).index("relation") + 1,
        "in_paper",
        [is_paper_relation(relation) for relation in summary["relation"]],
    )
    return summary


def _draw_relations(relations: pd.DataFrame) -> Figure:
    """Plot the relations in enough prompts for a test, or all relations if there are none."""
    counts = relations["n_paired"].where(relations["difference"].notna(), relations["n_prompts"])
    enough = (counts >= MIN_CLUSTERS).fillna(False) & (relations["kind"] == "dependency")
    shown = relations[enough] if enough.any() else relations
    return figure_of(forest(shown))


def _draw_sweep(curves: pd.DataFrame) -> Figure:
    """Plot the curves of the control and of the relations with the most pairs; more would be hard to distinguish."""
    counts = curves[curves["kind"] == "dependency"].groupby("relation")["n_pairs"].max()
    shown = counts.sort_values(ascending=False, kind="stable").index[:_SHOWN]
    ax = threshold_sweep(curves[curves["relation"].isin([*shown, "unrelated"])])
    ax.set_ylim(-0.02, 1.02)
    return figure_of(ax)
