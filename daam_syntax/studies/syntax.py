"""Overlap of the maps of heads and dependents, compared with that of exchanged partners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
from matplotlib.figure import Figure

from daam_syntax.analysis import (
    Estimate,
    Regression,
    dose_table,
    estimate_mean,
    match_pairs,
    measure_pairs,
    prompt_means,
    regress,
    summarize,
    sweep,
    sweep_curves,
)
from daam_syntax.analysis.inference.sample import MIN_CLUSTERS
from daam_syntax.errors import FileError, StudyError
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
        "on the threshold. Differences from unrelated words are not relatedness: the words differ.",
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
_OVERLAPS: Final = ("iod", "ioh", "iou")
_DOSE: Final = ("tree_distance", "log_distance", "linear_distance", "adjacency")
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
    corrected = summarize(every_pair, measure=CORRECTED)
    matching = match_pairs(pairs, caliper=caliper)
    matched = _marked(summarize(matching.pairs, measure=measure, control="matched"))
    return StudyResult.of(
        DESIGN,
        setup,
        [
            _of_all(pairs, measure),
            _of_relations(relations, corrected, measure),
            *_of_tree(pairs, measure),
            _described(pairs, measure),
        ],
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


def is_paper_relation(relation: str) -> bool:
    """Whether a relation of any scheme is one of `PAPER_RELATIONS`, or the basic or ClearNLP form of one."""
    return _BASIC.get(relation, relation) in PAPER_RELATIONS


def read_published(path: str | Path) -> dict[str, dict[str, float]]:
    """Read published values of the relations.

    Raises
    ------
    FileError
        If the file cannot be read, lacks a column, or has a value that is not a share.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise FileError(
            f"Expected a CSV file at {path}, but it cannot be read: {error}."
        ) from error
    missing = [name for name in ("relation", *_OVERLAPS) if name not in table.columns]
    if missing:
        raise FileError(
            f"Expected the columns relation, {', '.join(_OVERLAPS)} in {path}, but it lacks {', '.join(missing)}."
        )
    values = table.set_index("relation")[list(_OVERLAPS)].apply(pd.to_numeric, errors="coerce")
    wrong = values[((values < 0) | (values > 1)).any(axis=1)]
    if len(wrong):
        raise FileError(
            f"Expected values from 0 to 1 in {path}, but got others for {', '.join(map(str, wrong.index))}: divide "
            "percentages by 100."
        )
    return {str(name): row for name, row in values.to_dict("index").items()}


def paper_table(
    pairs: pd.DataFrame,
    known: Mapping[str, Mapping[str, float]],
    source: str | Path | None = None,
) -> pd.DataFrame:
    """Arrange the overlap of the ten relations like the table of Tang et al. (2023), beside published values.

    Parameters
    ----------
    pairs
        A pair table of one scheme and one threshold, with punctuation and unrelated pairs.
    known
        Published values by relation and measure.
    source
        Where they are from.

    Returns
    -------
    pandas.DataFrame
        One row for unrelated pairs, one for all dependencies, and one for each of `PAPER_RELATIONS`. Means over
        prompts of ``iod``, ``ioh`` and ``iou``, and ``difference`` (IoD minus IoH); the published ones in columns that
        begin with ``paper``; ``source`` of the latter.
    """
    basic = pairs["relation"].map(lambda name: _BASIC.get(name, name))
    groups = {
        "unrelated pairs": pairs["kind"] == "unrelated",
        "all head-dependent pairs": pairs["kind"] == "dependency",
        **{name: (basic == name) & (pairs["kind"] == "dependency") for name in PAPER_RELATIONS},
    }
    rows = []
    for name, chosen in groups.items():
        some = pairs[chosen & pairs["iou"].notna()]
        means = {each: float(prompt_means(some, each).mean()) for each in _OVERLAPS}
        published = known.get(name, {})
        row: dict[str, Any] = {
            "relation": name,
            "n_prompts": some["prompt_id"].nunique(),
            "n_pairs": len(some),
            **means,
            "difference": means["iod"] - means["ioh"],
            **{f"paper_{each}": published.get(each, float("nan")) for each in _OVERLAPS},
        }
        row["paper_difference"] = row["paper_iod"] - row["paper_ioh"]
        rows.append(row | {"source": str(source) if published else ""})
    return pd.DataFrame(rows)


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


def _of_all(pairs: pd.DataFrame, measure: str) -> Finding:
    rows = [
        summarize(pairs, by="kind", measure=name, corrected=None)
        .set_index("kind")
        .loc["dependency"]
        for name in with_corrected(measure)
    ]
    tier = rows[0]["tier"] if isinstance(rows[0]["tier"], str) else ""
    return Finding(
        "Heads and their dependents, compared with exchanged partners",
        f"difference of {_names(measure)}",
        tuple(
            _estimate(row.to_dict(), name, "related minus exchanged")
            for row, name in zip(rows, with_corrected(measure), strict=True)
        ),
        notes=(f"The exchange is {tier}, and matches {rows[0]['matched']:.0%} of the pairs.",)
        if tier
        else (),
        side_by_side=len(rows) == 2,
    )


def _of_relations(relations: pd.DataFrame, corrected: pd.DataFrame, measure: str) -> Finding:
    """Report what each relation in enough prompts adds; name the others."""
    rows = relations[relations["kind"] == "dependency"]
    compared = rows[rows["difference"].notna() & (rows["n_paired"] >= MIN_CLUSTERS)]
    beside = corrected[corrected["kind"] == "dependency"].set_index("relation").to_dict("index")
    estimates: list[Estimate] = []
    for row in compared.to_dict("records"):
        name = row["relation"]
        label = name if row["effect"] == "relation" else f"{name} ({row['effect']})"
        estimates.append(_estimate(row, measure, label))
        if len(with_corrected(measure)) == 2:
            estimates.append(_estimate(beside[name], CORRECTED, label))
    few = rows[rows["difference"].notna() & (rows["n_paired"] < MIN_CLUSTERS)]
    without = rows[rows["difference"].isna()]
    notes = []
    if len(few):
        notes.append(
            f"Compared in fewer than {MIN_CLUSTERS} prompts, too few for a test: "
            f"{', '.join(few['relation'])}."
        )
    if len(without):
        notes.append(
            f"Not compared, because no like words are there to exchange with: {', '.join(without['relation'])}."
        )
    seen = {_BASIC.get(relation, relation) for relation in rows["relation"]}
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
        side_by_side=len(with_corrected(measure)) == 2,
    )


def _estimate(row: Mapping[Any, Any], measure: str, label: str) -> Estimate:
    """Return the difference in a row of a summary as an estimate."""
    notes = str(row["note"]).split("; ")
    reasons = [note.removeprefix("difference: ") for note in notes if not note.startswith("not ")]
    untested = [note.removeprefix("not tested: ") for note in notes if note.startswith("not ")]
    return Estimate(
        label,
        measure,
        float(row["difference"]),
        low=float(row["difference_low"]),
        high=float(row["difference_high"]),
        p=float(row["p"]),
        least_p=float(row["least_p"]),
        effect_size=float(row["effect_size"]),
        n_prompts=0 if pd.isna(row["n_paired"]) else int(row["n_paired"]),
        method=f"{row['tier']} exchange of partners" if isinstance(row["tier"], str) else "",
        reason="" if pd.notna(row["difference_low"]) else reasons[-1] if reasons else "",
        untested="; ".join(untested),
    )


def _dose(pairs: pd.DataFrame, measure: str) -> dict[str, pd.DataFrame]:
    """Return the table of doses, unless every two words are joined."""
    return {"dose": dose_table(pairs, measure)} if pairs["kind"].eq("unrelated").any() else {}


def _of_tree(pairs: pd.DataFrame, measure: str) -> list[Finding]:
    """Report the slope on distance in the tree, if the pairs are at several distances."""
    if not pairs["kind"].eq("unrelated").any():
        return []
    known = pairs[pairs["tree_distance"].notna()]
    slopes = [
        _slope(regress(known, name, by=None, covariates=_DOSE), "per edge")
        for name in with_corrected(measure)
    ]
    return [
        Finding(
            "Slope on distance in the tree, at constant distance in the sentence",
            f"change of {_names(measure)} per edge",
            tuple(slopes),
            side_by_side=len(slopes) == 2,
        )
    ]


def _slope(found: Regression, label: str) -> Estimate:
    """Return the slope on tree distance as an estimate."""
    term = found.terms.set_index("term").loc["tree_distance"].to_dict()
    return Estimate(
        label,
        found.measure,
        float(term["estimate"]),
        low=float(term["low"]),
        high=float(term["high"]),
        p=float(term["p"]),
        level=found.level,
        standard_error=float(term["standard_error"]),
        n_prompts=found.n_prompts,
        n_images=found.n_images,
        n_pairs=found.n_pairs,
        method=found.method,
        reason=str(term["reason"]),
    )


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
            estimate_mean(pairs[chosen], name, label=f"{label}, {name_of(name)}")
            for label, chosen in groups.items()
            for name in with_corrected(measure)
        ),
        notes=(
            f"{share:.0%} of the {plural(int(apart.sum()), 'pair')} that no dependency joins contain a function word. "
            "These pairs differ from related ones in their parts of speech, places and areas, so a difference of the "
            "means does not show what a relation does.",
        ),
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
