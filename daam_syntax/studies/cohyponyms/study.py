"""Two nouns in a prompt: overlap of their maps, and pictures that show both, by how alike the nouns are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from daam_syntax.analysis import measure_pairs
from daam_syntax.drawing.traced_images import check_prompts
from daam_syntax.errors import StudyError
from daam_syntax.figures import similarity_scatter
from daam_syntax.language import Sentence
from daam_syntax.language import prompts as shipped_prompts
from daam_syntax.maps import parse_threshold
from daam_syntax.pipelines.loading import is_emoji
from daam_syntax.studies.cohyponyms.correctness import (
    Judgements,
    Rates,
    annotator_rates,
    check_pictures,
    in_embedded_world,
    read_sheets,
    refuse_second_sheet,
    shown,
    write_sheet,
)
from daam_syntax.studies.cohyponyms.findings import MANY, answers
from daam_syntax.studies.cohyponyms.similarity import Similarity, find_similarity
from daam_syntax.studies.cohyponyms.word_pairs import WordPair, read_pairs, word_pair
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.framework.stored_setup import StoredImage, StoredSetup

if TYPE_CHECKING:
    from daam_syntax.drawing.traced_images import TracedImage
    from daam_syntax.emoji.annotator import Annotator
    from daam_syntax.studies.framework.setup import Setup

DESIGN: Final = StudyDesign(
    name="cohyponyms",
    title="Cohyponyms: nouns of one category in one prompt",
    question="Do the maps of two nouns overlap more, and does the picture show both less often, when the nouns are of "
    "one category (cohyponyms) than when they are of different ones?",
    method="Each prompt has two nouns: of one category (cohyponyms), of two categories of one kind, or of two kinds "
    "(unrelated). Every noun stands once in each level, always in the same place, so that levels differ in how nouns "
    "are combined and in nothing else. The overlap is that of the masks of the two nouns' maps, after section 5.1 of "
    "Tang et al. (2023). Whether a picture shows both nouns is judged by the annotator of the embedded model, whose "
    "own errors are measured on drawn scenes and corrected for (Rogan and Gladen 1978), or by people, on blind "
    "sheets. Word pairs are the sample, and where there are enough of them categories too; since nouns recur, errors "
    "of contrasts and slopes are clustered by both nouns.",
    limits="The similarities of the embedded world are ranks of three levels and no distances; a WordNet gives graded "
    "ones. The annotator was measured on drawn scenes, which are sharper than pictures of a model, and the "
    "uncertainty of its own rates is not in the intervals.",
    prompts="cohyponyms",
    seeds=2,
    steps=12,
    of_stored="the overlap",
    figures={
        "similarity": "Each pair of words at its similarity and the overlap of its maps, with a least-squares line.",
    },
    tables={
        "images": "Overlap and judgement of each picture.",
        "word_pairs": "Means of each pair of words over seeds.",
        "judge": "How often the annotator is right by level, or how far people agree.",
    },
)


def run(
    setup: Setup | StoredSetup,
    *,
    pairs: Sequence[WordPair] | str | Path | None = None,
    similarity: str | Path | None = None,
    threshold: str = "relative:0.4",
    measure: str = "iou",
    rates: Rates | None = None,
    sheet: str | Path | None = None,
    judgements: Sequence[str | Path] = (),
) -> StudyResult:
    """Measure the overlap of two nouns' maps, and whether the picture shows both, by how alike the nouns are.

    Correctness is judged by the annotator for pictures of the embedded model, else only by people; without either, and
    of a stored run, it is missing.

    Parameters
    ----------
    setup
        What is drawn, or a stored run. Its prompts have two nouns each: of the embedded world, or any where
        `similarity` is given.
    pairs
        Instead of prompts: word pairs, or a file for `read_pairs`.
    similarity
        A WordNet for `find_similarity`, whose values replace those of the embedded world or the file; None for these.
    threshold
        Rule that makes masks.
    measure
        Which symmetric measure of the two maps.
    rates
        How often the annotator is right; None to measure it, for each level apart, by `annotator_rates`.
    sheet
        Folder into which pictures and a blind sheet are written, see `write_sheet`.
    judgements
        Filled-in sheets of that folder: what people saw counts then, not the annotator.

    Raises
    ------
    StudyError
        If prompts lack the nouns, sheets are given without their folder, or other pictures were judged.
    FileError
        If a file cannot be read, or there is a sheet in the folder already.
    """
    if isinstance(setup, StoredSetup) and sheet is not None:
        raise StudyError("Expected a model that draws the sheet's pictures, but got a stored run.")
    if judgements and sheet is None:
        raise StudyError("Expected the folder of the sheet with the judgements, but got none.")
    people = read_sheets(sheet, judgements) if sheet is not None and judgements else None
    if sheet is not None and people is None:
        refuse_second_sheet(sheet)
    setup, chosen = _choose(setup, pairs, similarity)
    annotator = _annotator(setup, chosen) if people is None else None
    places = [_places(*each) for each in zip(setup.sentences, chosen, strict=True)]
    by_prompt = {pair.prompt: (pair, both) for pair, both in zip(chosen, places, strict=True)}
    drawings: list[TracedImage | StoredImage] = [*setup.drawings()]
    maps = [drawing.maps for drawing in drawings]
    overlaps = _overlaps(maps, by_prompt, str(parse_threshold(threshold)), measure)
    rows, pictures = [], []
    for number, drawing in enumerate(drawings):
        pair, _ = by_prompt[drawing.maps.prompt]
        name = f"{drawing.prompt_id}-{drawing.seed}"
        if not isinstance(drawing, StoredImage):
            pictures.append((name, drawing.image, pair.first, pair.second))
        row: dict[str, Any] = {"prompt_id": drawing.prompt_id, "prompt": pair.prompt, "image": name}
        row |= {"seed": drawing.seed, "first": pair.first, "second": pair.second}
        row |= {"similarity": pair.similarity, "level": pair.level, "category": pair.category}
        row |= overlaps.loc[number].to_dict()
        if annotator is not None and not isinstance(drawing, StoredImage):
            (seen,) = shown(annotator, [drawing.image], (pair.first, pair.second))
            row |= {"first_shown": seen[0], "second_shown": seen[1], "correct": float(all(seen))}
        rows.append(row)
    images = pd.DataFrame(rows)
    if people is not None and sheet is not None:
        check_pictures(sheet, {name: picture for name, picture, *_ in pictures})
        images["correct"] = images["image"].map(people.correct)
    elif sheet is not None:
        write_sheet(pictures, sheet)
    judge = _judge(annotator, people, rates, chosen)
    if annotator is not None:
        of_level = {row["level"]: Rates(row["sensitivity"], row["specificity"]) for row in judge}
        images["correct_adjusted"] = [
            of_level[level].correct(said)
            for level, said in zip(images["level"], images["correct"], strict=True)
        ]
    means = _pair_means(images, measure)
    return StudyResult.of(
        DESIGN,
        setup,
        answers(images, measure, judge),
        {"images": images, "word_pairs": means} | ({"judge": pd.DataFrame(judge)} if judge else {}),
        {"similarity": _draw_similarity(means, measure)},
        threshold=threshold,
        measure=measure,
        similarity=str(similarity or "levels"),
        judge="people" if people else "annotator" if annotator else "none",
    )


def _choose(
    setup: Setup | StoredSetup,
    pairs: Sequence[WordPair] | str | Path | None,
    similarity: str | Path | None,
) -> tuple[Setup | StoredSetup, list[WordPair]]:
    """Return the setup with the prompts of the word pairs, and the pairs with their similarity."""
    alike = find_similarity(similarity) if similarity is not None else None
    if pairs is not None:
        if isinstance(setup, StoredSetup):
            raise StudyError("Expected a model that draws the word pairs, but got a stored run.")
        if setup.prompts != shipped_prompts(DESIGN.prompts).texts:
            raise StudyError("Expected prompts or word pairs, but got both.")
        given = read_pairs(pairs) if isinstance(pairs, str | Path) else pairs
        setup = replace(setup, prompts=tuple(check_prompts(pair.prompt for pair in given)))
        chosen = list(given)
    else:
        chosen = [_pair_of(sentence, alike) for sentence in setup.sentences]
    if alike is None:
        return setup, chosen
    return setup, [replace(p, similarity=alike(p.first, p.second)) for p in chosen]


def _pair_of(sentence: Sentence, alike: Similarity | None) -> WordPair:
    """Return the two nouns of a prompt: of the embedded world, or, where their similarity can be had, any."""
    known = [token.text for token in sentence.tokens if in_embedded_world([token.text])]
    if len(known) == 2:
        return word_pair(known[0], known[1], prompt=sentence.text)
    nouns = [token.text for token in sentence.tokens if token.pos == "NOUN"]
    if alike is None or len(nouns) != 2:
        raise StudyError(
            f"Expected a prompt with two nouns of the embedded world, but {sentence.text!r} has {len(known)} (and "
            f"{len(nouns)} nouns in all); give a file with the columns prompt, slot.first, slot.second, "
            "metadata.similarity for other words, or a WordNet for the similarity of any two nouns."
        )
    first, second = nouns
    value = alike(first, second)
    return WordPair(sentence.text, first, second, value, f"similarity {value:.2f}", "unknown")


def _places(sentence: Sentence, pair: WordPair) -> tuple[int, int]:
    """Return the indices of the two nouns; of a noun that stands there twice, both."""
    first = [token.index for token in sentence.tokens if token.text == pair.first]
    second = [token.index for token in sentence.tokens if token.text == pair.second]
    second = [index for index in second if index not in first[:1]]
    if not first or not second:
        word = pair.second if first else pair.first
        raise StudyError(f"Expected the word {word!r} in {sentence.text!r}, but it is no token.")
    return first[0], second[0]


def _annotator(setup: Setup | StoredSetup, pairs: Sequence[WordPair]) -> Annotator | None:
    """Return the annotator where it can judge: it has seen nothing but the embedded world, and needs torch."""
    if isinstance(setup, StoredSetup) or not is_emoji(setup.pipe):
        return None
    from daam_syntax.emoji.annotator import Annotator

    known = in_embedded_world(noun for pair in pairs for noun in (pair.first, pair.second))
    return Annotator.load() if known else None


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


def _pair_means(images: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return the means over seeds of every word pair."""
    keys = ["prompt_id", "prompt", "first", "second", "similarity", "level", "category"]
    columns = [name for name in (measure, "correct", "correct_adjusted") if name in images.columns]
    means = images.groupby(keys, sort=False)[columns].mean()
    return means.assign(n_images=images.groupby(keys, sort=False).size()).reset_index()


def _draw_similarity(means: pd.DataFrame, measure: str) -> Figure:
    """Draw the pairs, coloured by level where there are few."""
    levels = means["level"] if means["level"].nunique() <= MANY else "pairs of words"
    figure, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    similarity_scatter(means.assign(group=levels), measure=measure, category="group", ax=ax)
    return figure
