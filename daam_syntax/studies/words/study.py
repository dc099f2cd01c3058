"""What each word of a prompt does to the image: every word is deleted in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from daam_syntax.emoji.model import annotator_for
from daam_syntax.maps import HeatMaps
from daam_syntax.studies.framework.comparisons import correlation, inside_and_outside
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.framework.setup import Setup
from daam_syntax.studies.framework.table_rows import image_row, require_rows
from daam_syntax.studies.framework.word_classes import color_words, places_of, word_class
from daam_syntax.studies.words.contents import Contents, see
from daam_syntax.studies.words.deletions import (
    ATTENTION,
    Deletion,
    attention_to,
    delete_words,
    words_of,
)
from daam_syntax.studies.words.figures import Strip, draw_effects, draw_strip
from daam_syntax.studies.words.findings import make_findings

if TYPE_CHECKING:
    from daam_syntax.emoji.annotator import Annotator

DESIGN: Final = StudyDesign(
    name="words",
    title="What words do",
    question="How far does the image change, and where, if one word of the prompt is deleted, and does the attention "
    "that a word receives show what it does?",
    method="Every word of every prompt is deleted in turn, and the image is drawn again from the same noise: once its "
    "attention weights are set to 0 in all layers and steps (“its attention deleted”), once the prompt is drawn "
    "without it (“left out of the text”), so that the text encoder does not read it either. As a control, as much "
    "attention as the word receives is taken from all other keys in proportion to theirs (“equal mass”). The change "
    "is the mean absolute difference of the image values, 0 to 1. The attention to a word is the summed probability of "
    "its subwords, averaged over pixels. The rank correlation of attention and change, over the words of an "
    "image, measures whether attention shows what words do; if the words of an image were exchangeable, its mean would "
    "be 0. The correlation of a word's map with the change, over pixels, measures whether the map shows where the "
    "image changes; it is compared with the mean correlation of the maps of the image's other words with the same "
    "change. For images of the embedded model, the annotator counts objects and reads their colors. If the attention "
    "to a color word and to all special tokens is deleted and the object keeps its color, the tokens of other words "
    "hold the color.",
    limits="Deleting attention puts the model in a state that it was not trained for; equal mass shows how much of a "
    "change this explains. A word whose attention does nothing may still do much: the text encoder has written it into "
    "the tokens of other words, and leaving it out of the text shows that. Leaving out a word also moves the words "
    "after it to other positions. The annotator counts objects that touch as one, and was measured on exact scenes.",
    prompts="scenes",
    seeds=1,
    steps=10,
    figures={
        "strip": "The first prompt: the map of each word, the image with the attention to it deleted, and the image of "
        "the prompt without it, all from the same noise.",
        "effects": "Attention to each word, and change of the image if it is deleted; each point is a word.",
    },
    tables={
        "classes": "Means by class of word (part of speech, nouns of places apart), relation, and condition.",
        "words": "Every word in every condition: attention, change of the image, and what is left.",
    },
    printed=("classes",),
)


def run(
    setup: Setup,
    *,
    threshold: str = "relative:0.4",
    renormalize: bool = False,
    batch_size: int = 8,
) -> StudyResult:
    """Delete every word of every prompt in turn, and measure what changes.

    Parameters
    ----------
    setup
        The setup.
    threshold
        Threshold rule for the masks inside and outside which the change is averaged.
    renormalize
        Whether each pixel's weights are divided by their sum after a word's are deleted.
    batch_size
        Number of images drawn together.
    """
    annotator, places = annotator_for(setup.pipe), places_of(setup.pipe)
    rows: list[dict[str, Any]] = []
    strip: Strip | None = None
    for sentence, seed in setup.images_of(setup.sentences):
        original, maps = setup.trace(sentence, seed, padding=True)
        colors = color_words(sentence) if annotator else {}
        deletions = list(
            delete_words(setup, maps, seed, colors, renormalize=renormalize, batch_size=batch_size)
        )
        before, *after = _contents(annotator, original, deletions, maps)
        for deletion, seen in zip(deletions, after, strict=True):
            row = image_row(sentence, seed) | _word_columns(maps, deletion.word, places)
            row |= {"condition": deletion.condition} | _change_columns(maps, deletion, threshold)
            if before and seen:
                row |= _content_columns(before, seen, maps, deletion.word, colors)
            rows.append(row)
        strip = strip or Strip.of(maps, original, deletions)
    table = require_rows(rows, "a word with a map")
    assert strip is not None, "a row has an image"
    return StudyResult.of(
        DESIGN,
        setup,
        make_findings(table),
        {"classes": _classes(table), "words": table},
        {
            "strip": draw_strip(strip),
            "effects": draw_effects(table[table["condition"] == ATTENTION]),
        },
        threshold=threshold,
        renormalize=renormalize,
    )


def _contents(
    annotator: Annotator | None,
    original: np.ndarray,
    deletions: Sequence[Deletion],
    maps: HeatMaps,
) -> Sequence[Contents | None]:
    """Return what the original and then each other image shows; None where no annotator can say."""
    if annotator is None:
        return [None] * (1 + len(deletions))
    return see(annotator, [original, *(d.image for d in deletions)], maps.sentence)


def _word_columns(maps: HeatMaps, word: int, places: frozenset[str]) -> dict[str, Any]:
    sentence = maps.sentence
    relation = next((e.relation for e in sentence.edges_of("ud") if e.dependent == word), "root")
    return {
        "word_index": word,
        "word": sentence[word].text,
        "class": word_class(sentence, word, places),
        "relation": relation,
        "attention": attention_to(maps, word),
    }


def _change_columns(maps: HeatMaps, deletion: Deletion, threshold: str) -> dict[str, Any]:
    """Return the change of an image, and how it lies beside the maps of the word and of the image's other words."""
    shape = deletion.change.shape
    mask = maps[deletion.word].mask(threshold, shape)
    agreement = {
        word: correlation(maps[word].resize(shape), deletion.change) for word in words_of(maps)
    }
    own = agreement.pop(deletion.word)
    others = [value for value in agreement.values() if not np.isnan(value)]
    place = inside_and_outside(deletion.change, mask)
    return {
        "change": place["whole"],
        "inside": place["inside"],
        "outside": place["outside"],
        "own_map": own,
        "other_maps": float(np.mean(others)) if others else float("nan"),
    }


def _content_columns(
    before: Contents, after: Contents, maps: HeatMaps, word: int, colors: dict[int, int]
) -> dict[str, Any]:
    """Return what was there and is left; NaN where an object or a color cannot be lost."""
    columns: dict[str, Any] = {
        "seen_before": str(before),
        "seen": str(after),
        "objects_before": before.objects,
        "objects": after.objects,
        "fewer": float(after.objects < before.objects) if before.objects > 1 else float("nan"),
        "color_kept": float("nan"),
        "noun_is_last": False,
    }
    if word in colors:
        noun, color = (maps.sentence[index].text for index in (colors[word], word))
        columns["noun_is_last"] = colors[word] == words_of(maps)[-1]
        if before.colors.get(noun) == color:
            columns["color_kept"] = float(after.colors.get(noun) == color)
    return columns


def _classes(table: pd.DataFrame) -> pd.DataFrame:
    """Return means over images, then over prompts, by class, relation, and condition."""
    by = ["class", "relation", "condition"]
    measures = ["attention", "change", "inside", "outside", "own_map", "other_maps"]
    measures += [name for name in ("fewer", "color_kept") if name in table]
    in_image = table.groupby([*by, "prompt_id", "image"], sort=False)[measures].mean()
    in_prompt = in_image.groupby(level=[*by, "prompt_id"], sort=False).mean()
    means = in_prompt.groupby(level=by, sort=False).mean()
    means.insert(0, "n_prompts", in_prompt.groupby(level=by, sort=False).size())
    means = means.reset_index()
    order = means[means["condition"] == ATTENTION].sort_values("change", ascending=False)
    ranks = {key: i for i, key in enumerate(zip(order["class"], order["relation"], strict=True))}
    ranked = [ranks[key] for key in zip(means["class"], means["relation"], strict=True)]
    sorted_rows = means.assign(rank=ranked).sort_values("rank", kind="stable", ignore_index=True)
    return sorted_rows.drop(columns="rank")
