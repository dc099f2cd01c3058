"""Two nouns in a prompt: how their similarity relates to the overlap of their maps, and to images that show both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from daam_syntax.analysis import measure_pairs
from daam_syntax.emoji.model import annotator_for
from daam_syntax.errors import StudyError
from daam_syntax.figures import similarity_scatter
from daam_syntax.language import Sentence
from daam_syntax.language import prompts as shipped_prompts
from daam_syntax.language.prompt_sets.prompt_lists import check_prompts
from daam_syntax.maps import parse_threshold
from daam_syntax.studies.cohyponyms.correctness import (
    Judgments,
    Rates,
    annotator_rates,
    check_images,
    in_embedded_world,
    read_sheets,
    refuse_second_sheet,
    shown,
    write_sheet,
)
from daam_syntax.studies.cohyponyms.findings import MANY, make_findings
from daam_syntax.studies.cohyponyms.similarity import Similarity, find_similarity
from daam_syntax.studies.cohyponyms.word_pairs import WordPair, read_pairs, word_pair
from daam_syntax.studies.framework.bounds import measure_bounds, with_corrected
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
    question="Do the maps of two nouns overlap more, and does the image show both nouns less often, if the nouns "
    "belong to the same category (cohyponyms) rather than to different ones?",
    method="Each prompt has two nouns: from the same category (cohyponyms), from two categories of the same kind, or "
    "from two kinds (unrelated). Every noun occurs once at each level, always in the same position, so the levels "
    "differ only in how the nouns are combined. The overlap is that of the masks of the two nouns' maps, after section "
    "5.1 of Tang et al. (2023); phi, which the areas of masks cannot move, stands beside it. Whether an image shows "
    "both nouns is judged either by the annotator of the embedded model, whose error rates are measured on rendered "
    "scenes and corrected for (Rogan and Gladen 1978), or by people on blind sheets. Word pairs are the sample and, if "
    "there are enough of them, categories as well. Because nouns recur, errors of contrasts and slopes are clustered "
    "by both nouns.",
    limits="In the embedded world, similarity is a rank with three levels, not a distance; a WordNet gives graded "
    "similarities. The annotator was measured on rendered scenes, which are sharper than images drawn by a model and "
    "show whole objects: its errors on chimeras, images that blend the two nouns, are not known. The "
    "intervals do not include the uncertainty of its error rates.",
    prompts="cohyponyms",
    seeds=2,
    steps=12,
    of_stored="the overlap",
    figures={
        "similarity": "Overlap of the maps of each word pair by its similarity, with a least-squares line.",
    },
    tables={
        "images": "Overlap and judgment for each image.",
        "word_pairs": "Means over seeds for each word pair.",
        "judge": "Error rates of the annotator by level, or agreement between annotators.",
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
    judgments: Sequence[str | Path] = (),
) -> StudyResult:
    """Relate the similarity of two nouns to the overlap of their maps, and to whether the image shows both.

    The annotator judges the images of the embedded model; images of other models are judged only by people. Without
    either, and for a stored run, the judgments are missing.

    Parameters
    ----------
    setup
        The setup, or a stored run. Each prompt has two nouns: of the embedded world or, if `similarity` is given, any.
    pairs
        Word pairs instead of prompts, or a file with the columns prompt, slot.first, slot.second, metadata.similarity.
    similarity
        WordNet that replaces the similarities of the embedded world or of the file: a folder of WNDB files, or a
        lexicon of the library wn such as wn:oewn:2024.
    threshold
        Threshold rule for masks.
    measure
        Symmetric measure of the overlap.
    rates
        Error rates of the annotator; unless given, they are measured for each level.
    sheet
        Folder for images and a blind sheet for annotators to fill in.
    judgments
        Filled-in sheets of that folder, one per annotator; they replace the judgments of the shipped annotator.

    Raises
    ------
    StudyError
        If a prompt lacks the nouns, if filled-in sheets are given without their folder, or if other images were judged.
    FileError
        If a file cannot be read, or if the folder already has a sheet.
    """
    measure_bounds(measure)  # before anything is drawn
    if isinstance(setup, StoredSetup) and sheet is not None:
        raise StudyError(
            "Expected a model that draws the images of the sheet, but got a stored run: give a model instead."
        )
    if judgments and sheet is None:
        raise StudyError(
            "Expected the folder of the sheet along with the judgments, but got none: give sheet as well."
        )
    people = read_sheets(sheet, judgments) if sheet is not None and judgments else None
    if sheet is not None and people is None:
        refuse_second_sheet(sheet)
    setup, chosen = _choose(setup, pairs, similarity)
    annotator = _annotator(setup, chosen) if people is None else None
    places = [_places(*each) for each in zip(setup.sentences, chosen, strict=True)]
    by_prompt = {pair.prompt: (pair, both) for pair, both in zip(chosen, places, strict=True)}
    traced_images: list[TracedImage | StoredImage] = [*setup.traced_images()]
    maps = [traced.maps for traced in traced_images]
    overlaps = _overlaps(maps, by_prompt, str(parse_threshold(threshold)), measure)
    rows, drawn = [], []
    for number, traced in enumerate(traced_images):
        pair, _ = by_prompt[traced.maps.prompt]
        name = f"{traced.prompt_id}-{traced.seed}"
        if not isinstance(traced, StoredImage):
            drawn.append((name, traced.image, pair.first, pair.second))
        row: dict[str, Any] = {"prompt_id": traced.prompt_id, "prompt": pair.prompt, "image": name}
        row |= {"seed": traced.seed, "first": pair.first, "second": pair.second}
        row |= {"similarity": pair.similarity, "level": pair.level, "category": pair.category}
        row |= overlaps.loc[number].to_dict()
        if annotator is not None and not isinstance(traced, StoredImage):
            (seen,) = shown(annotator, [traced.image], (pair.first, pair.second))
            row |= {"first_shown": seen[0], "second_shown": seen[1], "correct": float(all(seen))}
        rows.append(row)
    images = pd.DataFrame(rows)
    if people is not None and sheet is not None:
        check_images(sheet, {name: image for name, image, *_ in drawn})
        images["correct"] = images["image"].map(people.correct)
    elif sheet is not None:
        write_sheet(drawn, sheet)
    judge = _judge(annotator, people, rates, chosen)
    if annotator is not None:
        of_level = {row["level"]: Rates(row["sensitivity"], row["specificity"]) for row in judge}
        images["correct_adjusted"] = [
            of_level[level].correct(share)
            for level, share in zip(images["level"], images["correct"], strict=True)
        ]
    means = _pair_means(images, measure)
    return StudyResult.of(
        DESIGN,
        setup,
        make_findings(images, measure, judge),
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
    similarity_of = find_similarity(similarity) if similarity is not None else None
    if pairs is not None:
        if isinstance(setup, StoredSetup):
            raise StudyError(
                "Expected a model that draws the word pairs, but got a stored run: give a model instead."
            )
        if setup.prompts != shipped_prompts(DESIGN.prompts).texts:
            raise StudyError("Expected prompts or word pairs, but got both: give one of them.")
        given = read_pairs(pairs) if isinstance(pairs, str | Path) else pairs
        setup = replace(setup, prompts=tuple(check_prompts(pair.prompt for pair in given)))
        chosen = list(given)
    else:
        chosen = [_pair_of(sentence, similarity_of) for sentence in setup.sentences]
    if similarity_of is None:
        return setup, chosen
    return setup, [replace(p, similarity=similarity_of(p.first, p.second)) for p in chosen]


def _pair_of(sentence: Sentence, similarity_of: Similarity | None) -> WordPair:
    """Return the two nouns of a prompt: of the embedded world or, if there is a similarity for them, any."""
    known = [token.text for token in sentence.tokens if in_embedded_world([token.text])]
    if len(known) == 2:
        return word_pair(known[0], known[1], prompt=sentence.text)
    nouns = [token.text for token in sentence.tokens if token.pos == "NOUN"]
    if similarity_of is None or len(nouns) != 2:
        raise StudyError(
            f"Expected a prompt with two nouns of the embedded world, but {sentence.text!r} has {len(known)} (of "
            f"{len(nouns)} nouns): for other nouns, give a WordNet as similarity, or word pairs in a file with the "
            "columns prompt, slot.first, slot.second, metadata.similarity."
        )
    first, second = nouns
    value = similarity_of(first, second)
    return WordPair(sentence.text, first, second, value, f"similarity {value:.2f}", "unknown")


def _places(sentence: Sentence, pair: WordPair) -> tuple[int, int]:
    """Return the indices of the two nouns, which may be the same noun twice."""
    first = [token.index for token in sentence.tokens if token.text == pair.first]
    second = [token.index for token in sentence.tokens if token.text == pair.second]
    second = [index for index in second if index not in first[:1]]
    if not first or not second:
        word = pair.second if first else pair.first
        raise StudyError(
            f"Expected the word {word!r} as a token of {sentence.text!r}, but it is not: correct the word pair."
        )
    return first[0], second[0]


def _annotator(setup: Setup | StoredSetup, pairs: Sequence[WordPair]) -> Annotator | None:
    """Return the annotator where it can judge: it has seen nothing but the embedded world, and needs torch."""
    if isinstance(setup, StoredSetup):
        return None
    known = in_embedded_world(noun for pair in pairs for noun in (pair.first, pair.second))
    return annotator_for(setup.pipe) if known else None


def _overlaps(maps: Sequence[Any], by_prompt: dict[str, Any], rule: str, measure: str) -> Any:
    """Return the overlap of the two nouns by number of the image, with the reason if it is undefined."""
    measures = with_corrected(measure)
    pairs = measure_pairs(maps, schemes="native", threshold=rule, measures=measures)
    wanted = [set(by_prompt[prompt][1]) for prompt in pairs["prompt"]]
    joined = zip(pairs["head_index"], pairs["dependent_index"], wanted, strict=True)
    rows = pairs[[{head, dependent} == both for head, dependent, both in joined]]
    return rows.set_index("image")[["threshold", *measures, "reason"]]


def _judge(
    annotator: Annotator | None,
    people: Judgments | None,
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
    """Return the means over seeds for every word pair."""
    keys = ["prompt_id", "prompt", "first", "second", "similarity", "level", "category"]
    wanted = (*with_corrected(measure), "correct", "correct_adjusted")
    columns = [name for name in wanted if name in images.columns]
    means = images.groupby(keys, sort=False)[columns].mean()
    return means.assign(n_images=images.groupby(keys, sort=False).size()).reset_index()


def _draw_similarity(means: pd.DataFrame, measure: str) -> Figure:
    """Plot the word pairs, colored by level if there are few levels."""
    levels = means["level"] if means["level"].nunique() <= MANY else "pairs of words"
    figure, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    similarity_scatter(means.assign(group=levels), measure=measure, category="group", ax=ax)
    return figure
