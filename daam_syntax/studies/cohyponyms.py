"""Two nouns in a prompt: overlap of their maps, and pictures that show both, by how alike the nouns are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd
from matplotlib.figure import Figure

from daam_syntax.analysis import Estimate, estimate_mean, measure_pairs, regress
from daam_syntax.analysis.inference import MIN_CLUSTERS
from daam_syntax.drawing import DrawingSettings
from daam_syntax.emoji.annotator import Annotator
from daam_syntax.emoji.vocabulary import CATEGORIES, CATEGORY_OF
from daam_syntax.errors import FileError, StudyError
from daam_syntax.figures import similarity_scatter
from daam_syntax.language import Sentence
from daam_syntax.loading import is_emoji
from daam_syntax.maps import parse_threshold
from daam_syntax.studies.common import (
    estimates_table,
    finding,
    parse_prompts,
    provenance,
    require_rows,
)
from daam_syntax.studies.correctness import (
    Judgements,
    Rates,
    annotator_rates,
    in_embedded_world,
    read_sheets,
    shown,
    write_sheet,
)
from daam_syntax.studies.drawings import draw_all, figure_of
from daam_syntax.studies.plots import draw_estimates
from daam_syntax.studies.result import StudyResult

TITLE: Final = "Cohyponyms: nouns of one category in one prompt"
QUESTION: Final = (
    "Do the maps of two nouns overlap more, and does the picture show both less often, when the nouns are of one "
    "category (cohyponyms) than when they are of different ones?"
)
KINDS: Final = {
    "animal": ("pet", "farm animal", "wild animal", "bird", "sea animal"),
    "food": ("fruit", "snack"),
    "artefact": ("vehicle", "household item", "building", "instrument", "garment"),
    "plant": ("plant",),
    "character": ("character",),
}
"""Kind to its categories of the embedded world."""

LEVELS: Final = {"cohyponym": 1.0, "same kind": 0.5, "unrelated": 0.0}
"""Level to its similarity: one category; two categories of one kind; two kinds. The numbers only rank them."""

_CHOSEN: Final = (("pet", "bird"), ("fruit", "snack"), ("vehicle", "household item"))
_MANY: Final = 4


@dataclass(frozen=True)
class WordPair:
    """Two nouns in a prompt.

    Attributes
    ----------
    prompt, first, second
        The prompt and its two nouns, each a token of it.
    similarity
        Of the two, on any scale.
    level, category
        Name of that similarity, and what the nouns belong to.
    """

    prompt: str
    first: str
    second: str
    similarity: float
    level: str
    category: str


def default_pairs() -> tuple[WordPair, ...]:
    """Return twelve pairs of each level, in which each of 24 nouns stands once per level, always in the same place.

    So levels differ in how nouns are combined, in no noun and no order.
    """
    kinds = [[noun for category in pair for noun in CATEGORIES[category]] for pair in _CHOSEN]
    places = [(0, 1), (2, 3), (4, 5), (6, 7), (0, 5), (2, 7), (4, 1), (6, 3)]
    pairs = [(nouns[i], nouns[j]) for nouns in kinds for i, j in places]
    # Nouns of even places stand first, those of odd places second.
    across = [(0, 1, 0), (0, 2, 4), (1, 0, 0), (1, 2, 4), (2, 0, 0), (2, 1, 4)]
    taken = {kind: iter(range(1, 8, 2)) for kind in range(3)}
    for kind, other, start in across:
        for place in (start, start + 2):
            pairs.append((kinds[kind][place], kinds[other][next(taken[other])]))
    return tuple(word_pair(first, second) for first, second in pairs)


def word_pair(first: str, second: str, prompt: str | None = None) -> WordPair:
    """Return two nouns of the embedded world with their level, similarity and category.

    Raises
    ------
    StudyError
        If one is none of them.
    """
    if not in_embedded_world([first, second]):
        raise StudyError(
            f"Expected two nouns of the embedded world, but got {first!r} and {second!r}, whose similarity is not "
            "known; give a file with the columns prompt, first, second, similarity."
        )
    one, other = CATEGORY_OF[first], CATEGORY_OF[second]
    if one == other:
        level, category = "cohyponym", one
    elif _kind(one) == _kind(other):
        level, category = "same kind", _kind(one)
    else:
        level, category = "unrelated", "different kinds"
    text = prompt or f"{_article(first)} {first} and {_article(second)} {second}"
    return WordPair(text, first, second, LEVELS[level], level, category)


def read_pairs(path: str | Path) -> tuple[WordPair, ...]:
    """Read word pairs from a CSV file.

    Parameters
    ----------
    path
        With the columns ``prompt``, ``first``, ``second``, ``similarity``; ``level`` and ``category`` may be there.

    Raises
    ------
    FileError
        If it cannot be read, or columns or values are missing.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise FileError(
            f"Expected a CSV file of word pairs, but {path} cannot be read: {error}."
        ) from error
    needed = ["prompt", "first", "second", "similarity"]
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise FileError(
            f"Expected the columns {', '.join(needed)} in {path}, but it has no {', '.join(missing)}."
        )
    table["similarity"] = pd.to_numeric(table["similarity"], errors="coerce")
    if table.empty or table[needed].isna().any(axis=None):
        raise FileError(
            f"Expected a prompt, two words and a number as similarity in every line of {path}, but some lack one."
        )
    if "level" not in table.columns:
        table["level"] = [f"similarity {value:g}" for value in table["similarity"]]
    if "category" not in table.columns:
        table["category"] = table["level"]
    columns = [*needed, "level", "category"]
    return tuple(WordPair(*row) for row in table[columns].itertuples(index=False, name=None))


def run(
    pipe: Any,
    *,
    prompts: str | Iterable[str] | None = None,
    pairs: Sequence[WordPair] | str | Path | None = None,
    seeds: int = 2,
    steps: int | None = 20,
    guidance: float | None = None,
    threshold: str = "relative:0.4",
    measure: str = "iou",
    rates: Rates | None = None,
    sheet: str | Path | None = None,
    judgements: Sequence[str | Path] = (),
    parser: Any = None,
    progress: bool = False,
) -> StudyResult:
    """Measure the overlap of two nouns' maps, and whether the picture shows both, by how alike the nouns are.

    After section 5.1 of Tang et al. (2023), with graded similarity. Word pairs are the sample, and where there are
    enough of them categories too; where nouns recur, errors of contrasts and slopes are clustered by both nouns.

    Parameters
    ----------
    pipe
        A pipeline that can be traced.
    prompts
        Prompts with two nouns of the embedded world, or None.
    pairs
        Instead of them, word pairs, or a file for `read_pairs`; None for `default_pairs`.
    seeds
        Images per prompt.
    steps, guidance
        How to draw; None leaves it to the pipeline.
    threshold
        Rule that makes masks.
    measure
        Which symmetric measure of the two maps.
    rates
        How often the annotator is right; None to measure it, for each level apart, by `annotator_rates`. Their own
        uncertainty is not in the intervals.
    sheet
        Folder into which pictures and a blind sheet are written, see `write_sheet`.
    judgements
        Filled-in sheets of that folder: what people saw counts then, not the annotator.
    parser
        As for `trace`.
    progress
        Whether to show a progress bar.

    Returns
    -------
    StudyResult
        Tables "estimates"; "images"; "word_pairs" (means over seeds); "judge" (its rates by level, or agreement).
        Correctness is judged by the annotator for pictures of the embedded model, else only by people; without
        either it is missing.

    Raises
    ------
    StudyError
        If prompts lack the nouns, or sheets are given without their folder.
    """
    if judgements and sheet is None:
        raise StudyError("Expected the folder of the sheet with the judgements, but got none.")
    chosen, sentences = _choose_pairs(prompts, pairs, parser)
    settings = DrawingSettings(steps, guidance).for_pipeline(pipe)
    people = read_sheets(sheet, judgements) if sheet is not None and judgements else None
    annotator = _annotator(pipe, chosen) if people is None else None
    places = [_places(sentence, pair) for sentence, pair in zip(sentences, chosen, strict=True)]
    by_prompt = {pair.prompt: (pair, both) for pair, both in zip(chosen, places, strict=True)}
    drawings = list(draw_all(pipe, sentences, seeds, settings, progress=progress))
    maps = [drawing.maps for drawing in drawings]
    overlaps = _overlaps(maps, by_prompt, str(parse_threshold(threshold)), measure)
    rows, pictures = [], []
    for number, drawing in enumerate(drawings):
        pair, _ = by_prompt[drawing.maps.prompt]
        name = f"{drawing.prompt_id}-{drawing.seed}"
        pictures.append((name, drawing.image, pair.first, pair.second))
        row: dict[str, Any] = {"prompt_id": drawing.prompt_id, "prompt": pair.prompt, "image": name}
        row |= {"seed": drawing.seed, "first": pair.first, "second": pair.second}
        row |= {"similarity": pair.similarity, "level": pair.level, "category": pair.category}
        row |= overlaps.loc[number].to_dict()
        if annotator is not None:
            (seen,) = shown(annotator, [drawing.image], (pair.first, pair.second))
            row |= {"first_shown": seen[0], "second_shown": seen[1], "correct": float(all(seen))}
        elif people is not None:
            row["correct"] = people.correct.get(name, float("nan"))
        rows.append(row)
    if sheet is not None and not judgements:
        write_sheet(pictures, sheet)
    images = require_rows(rows, "two nouns")
    judge = _judge(annotator, people, rates, chosen)
    if annotator is not None:
        of_level = {row["level"]: Rates(row["sensitivity"], row["specificity"]) for row in judge}
        images["correct_adjusted"] = [
            of_level[level].correct(said)
            for level, said in zip(images["level"], images["correct"], strict=True)
        ]
    found = list(_estimates(images, measure))
    estimates = estimates_table(found)
    means = _pair_means(images, measure)
    tables = {"estimates": estimates, "images": images, "word_pairs": means}
    if judge:
        tables["judge"] = pd.DataFrame(judge)
    return StudyResult(
        "cohyponyms",
        TITLE,
        QUESTION,
        tuple(finding(estimate) for estimate in found),
        tables,
        _figures(estimates, means, measure),
        tuple(pair.prompt for pair in chosen),
        provenance(
            pipe,
            settings,
            seeds,
            sentences,
            threshold=threshold,
            measure=measure,
            judge="people" if people else "annotator" if annotator else "none",
        ),
    )


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _kind(category: str) -> str:
    return next(kind for kind, categories in KINDS.items() if category in categories)


def _choose_pairs(
    prompts: str | Iterable[str] | None, pairs: Sequence[WordPair] | str | Path | None, parser: Any
) -> tuple[list[WordPair], list[Sentence]]:
    """Return word pairs and their parsed prompts."""
    if prompts is not None and pairs is not None:
        raise StudyError("Expected prompts or word pairs, but got both.")
    if prompts is not None:
        sentences = parse_prompts(prompts, (), parser)
        return [_pair_of(sentence) for sentence in sentences], sentences
    chosen = read_pairs(pairs) if isinstance(pairs, str | Path) else (pairs or default_pairs())
    return list(chosen), parse_prompts([pair.prompt for pair in chosen], (), parser)


def _pair_of(sentence: Sentence) -> WordPair:
    nouns = [token.text for token in sentence.tokens if in_embedded_world([token.text])]
    if len(nouns) != 2:
        raise StudyError(
            f"Expected a prompt with two nouns of the embedded world, but {sentence.text!r} has {len(nouns)}; give "
            "a file with the columns prompt, first, second, similarity for other words."
        )
    first, second = nouns
    return word_pair(first, second, prompt=sentence.text)


def _places(sentence: Sentence, pair: WordPair) -> tuple[int, int]:
    """Return the indices of the two nouns; of a noun that stands there twice, both."""
    first = [token.index for token in sentence.tokens if token.text == pair.first]
    second = [token.index for token in sentence.tokens if token.text == pair.second]
    second = [index for index in second if index not in first[:1]]
    if not first or not second:
        word = pair.second if first else pair.first
        raise StudyError(f"Expected the word {word!r} in {sentence.text!r}, but it is no token.")
    return first[0], second[0]


def _annotator(pipe: Any, pairs: Sequence[WordPair]) -> Annotator | None:
    """Return the annotator where it can judge: it has seen nothing but the embedded world."""
    known = in_embedded_world(noun for pair in pairs for noun in (pair.first, pair.second))
    return Annotator.load() if is_emoji(pipe) and known else None


def _overlaps(maps: Sequence[Any], by_prompt: dict[str, Any], rule: str, measure: str) -> Any:
    """Return the overlap of the two nouns in every image, by the image's number, with the reason if there is none."""
    pairs = measure_pairs(maps, schemes="native", threshold=rule, measures=measure)
    wanted = [set(by_prompt[prompt][1]) for prompt in pairs["prompt"]]
    joined = zip(pairs["head_index"], pairs["dependent_index"], wanted, strict=True)
    rows = pairs[[{head, dependent} == both for head, dependent, both in joined]]
    return rows.set_index("image")[["threshold", measure, "reason"]]


def _judge(
    annotator: Annotator | None,
    people: Judgements | None,
    rates: Rates | None,
    pairs: Sequence[WordPair],
) -> list[dict[str, Any]]:
    if people is not None:
        return [{"judge": "people", "n_annotators": people.n_annotators, "kappa": people.kappa}]
    if annotator is None:
        return []
    rows = []
    for level in dict.fromkeys(pair.level for pair in pairs):
        nouns = [(pair.first, pair.second) for pair in pairs if pair.level == level]
        found = rates or annotator_rates(annotator, nouns)
        rows.append({"judge": "annotator", "level": level} | vars(found))
    return rows


def _estimates(images: pd.DataFrame, measure: str) -> Iterator[Estimate]:
    names = {
        measure: f"attention overlap ({measure})",
        "correct": "share of pictures judged to show both",
        "correct_adjusted": "share showing both, corrected for the annotator",
    }
    levels = images.drop_duplicates("level").sort_values("similarity", ascending=False)["level"]
    for column, name in names.items():
        if column not in images.columns or images[column].isna().all():
            continue
        if len(levels) <= _MANY:
            for level in levels:
                rows = images[images["level"] == level]
                yield estimate_mean(rows, column, label=f"{name}, {level}")
                if MIN_CLUSTERS <= rows["category"].nunique() < rows["prompt_id"].nunique():
                    label = f"{name}, {level}, over categories"
                    yield estimate_mean(rows, column, cluster="category", label=label)
            for level in levels[:-1]:
                label = f"{name}, {level} minus {levels.iloc[-1]}"
                rows = images[images["level"].isin([level, levels.iloc[-1]])]
                yield _slope(
                    rows.assign(_high=(rows["level"] == level) * 1.0), column, "_high", label
                )
        if len(levels) > 1:
            yield _slope(images, column, "similarity", f"{name}, slope on similarity")


def _slope(images: pd.DataFrame, column: str, covariate: str, label: str) -> Estimate:
    """Return a regression's slope as an estimate, errors clustered by both nouns where nouns recur."""
    n_prompts = images["prompt_id"].nunique()
    fewest = min(images["first"].nunique(), images["second"].nunique())
    recur = max(images["first"].nunique(), images["second"].nunique()) < n_prompts
    cluster: Any = ("first", "second") if recur and fewest >= MIN_CLUSTERS else "prompt_id"
    found = regress(images, column, by=None, covariates=[covariate], cluster=cluster)
    term = found.terms.set_index("term").loc[covariate].to_dict()
    return Estimate(
        label,
        column,
        float(term["estimate"]),
        low=float(term["low"]),
        high=float(term["high"]),
        p=float(term["p"]),
        standard_error=float(term["standard_error"]),
        n_prompts=found.n_prompts,
        n_images=found.n_images,
        n_pairs=found.n_pairs,
        n_clusters=fewest if isinstance(cluster, tuple) else n_prompts,
        method=found.method,
        reason="" if found.converged else found.reason,
    )


def _pair_means(images: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return the means over seeds of every word pair."""
    keys = ["prompt_id", "prompt", "first", "second", "similarity", "level", "category"]
    columns = [name for name in (measure, "correct", "correct_adjusted") if name in images.columns]
    means = images.groupby(keys, sort=False)[columns].mean()
    return means.assign(n_images=images.groupby(keys, sort=False).size()).reset_index()


def _figures(estimates: pd.DataFrame, means: pd.DataFrame, measure: str) -> dict[str, Figure]:
    figures = {"similarity": figure_of(similarity_scatter(means, measure=measure))}
    overlap = estimates["measure"] == measure
    figures["overlap"] = draw_estimates(estimates[overlap], unit=measure)
    if (~overlap).any():
        figures["correctness"] = draw_estimates(estimates[~overlap], unit="share of the pictures")
    return figures


PROMPTS: Final = tuple(pair.prompt for pair in default_pairs())
"""The prompts of `default_pairs`."""
