"""Which words carry color, number, and place: their vectors are replaced, and the image is drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from daam_syntax.emoji.model import annotator_for
from daam_syntax.emoji.vocabulary import COLORS
from daam_syntax.language import Sentence
from daam_syntax.studies.contextless.conditions import (
    ColoredNoun,
    Placed,
    colored_nouns,
    conditions_of,
    joined_nouns,
    placed,
)
from daam_syntax.studies.contextless.contents import Seen, see
from daam_syntax.studies.contextless.drawing import Drawn, draw_conditions
from daam_syntax.studies.contextless.figures import Strip, draw_strips, draw_summary
from daam_syntax.studies.contextless.findings import make_findings, means_of
from daam_syntax.studies.contextless.outcomes import rows_of
from daam_syntax.studies.framework.design import StudyDesign
from daam_syntax.studies.framework.result import StudyResult
from daam_syntax.studies.framework.setup import Setup
from daam_syntax.studies.framework.table_rows import image_row, require_rows

if TYPE_CHECKING:
    from daam_syntax.emoji.annotator import Annotator

DESIGN: Final = StudyDesign(
    name="contextless",
    title="What words carry",
    question="Does a noun's vector carry the color of its adjective, and which words carry that there are two things, "
    "and where they are?",
    method="A text encoder writes into the vector of each word what it has read elsewhere in the prompt. Here, "
    "vectors of words at the output of the text encoder are replaced, and the image is drawn again from the same "
    "noise. A vector is replaced by that of the word alone (the encoder reads it at its place, with all other words "
    "hidden), by padding of the empty prompt, or by that of a word in another prompt, which has another color or the "
    "opposite word of place. Vectors of the start token, the end token and padding are never replaced; they have read "
    "the whole prompt if the encoder lets them, and are the remainder between “all words’ vectors from the other "
    "prompt” and “the other prompt drawn”. Colors: both nouns of a prompt are edited in turn, and each edit is also "
    "judged at the prompt's other noun, the control. Number: words of a coordination get padding; the control of “and” "
    "is the second article, a function word that has also read the first noun, and that of a noun is the other noun. "
    "Place: the word of place and the last noun get the vectors of the mirrored prompt, padding, or of the noun alone; "
    "the control is the same edit of the last article, which has also read the word of place, or of the first noun. In "
    "an encoder that reads from left to right, the first noun has not read the word of place, so its mirrored vector "
    "must change nothing. As a check, every word's vector is replaced by itself. For images of the embedded model, the "
    "annotator says which nouns are shown, in which color, and where. Only what the unedited image shows as the prompt "
    "says is counted. For other models, only the change of the image is measured, in the masks of both nouns.",
    limits="An edit gives the denoiser a set of vectors that no prompt has, to which it was not trained to respond; "
    "that edits of the same kind elsewhere leave an object as it was shows how much of an effect this explains. What "
    "an edit takes away, the edited vector was needed for, given all others; several vectors may carry the same, and "
    "then none of them is needed. What it brings, the vector carries enough of. Color, number, and place are those of "
    "one small world. Colors and places are counted among nouns that are still shown, so an edit that makes a thing "
    "disappear says nothing of its color or place; how many disappear is reported. The annotator was measured on exact "
    "scenes.",
    prompts="contextless",
    seeds=1,
    steps=6,
    figures={
        "summary": "Above: shares of the objects still shown that keep their color, or take the color of the other "
        "prompt, by what was edited; filled: the edited noun, hollow: the prompt's other noun, which the edit does not "
        "name. Below: images that still show both nouns, and images in which the first noun is on the side that the "
        "prompt names, or on the other. Lines: 95% intervals over prompts (Clopper and Pearson 1934).",
        "strip": "The first prompt of each kind: the image, and the images after edits, all from the same noise.",
    },
    tables={
        "means": "Means by question, condition, and the noun that is looked at.",
        "images": "Every image and every noun that is looked at.",
    },
    printed=("means",),
)


def run(
    setup: Setup,
    *,
    colors: Sequence[str] = tuple(COLORS),
    threshold: str = "relative:0.4",
    batch_size: int = 8,
) -> StudyResult:
    """Replace vectors of words, and measure what changes.

    Parameters
    ----------
    setup
        The setup.
    colors
        Color words. A color is replaced by the next one in this order that the prompt lacks.
    threshold
        Threshold rule for the masks in which the change is averaged.
    batch_size
        Number of images drawn together.
    """
    annotator = annotator_for(setup.pipe)
    rows: list[dict[str, Any]] = []
    strips: dict[str, Strip] = {}
    for sentence, seed in setup.images_of(setup.sentences):
        conditions = list(conditions_of(sentence, colors))
        if not conditions:
            continue
        original, maps = setup.trace(sentence, seed)
        drawn = list(draw_conditions(setup, sentence, seed, conditions, batch_size))
        pairs, nouns, place = (
            colored_nouns(sentence, colors),
            joined_nouns(sentence),
            placed(sentence),
        )
        looked_at = _nouns(sentence, pairs, nouns, place)
        before, *after = _seen(annotator, [original, *_images(drawn)], looked_at)
        seen = iter(after)
        for each in drawn:
            now = next(seen) if each.image is not None else None
            found = rows_of(maps, each, before, now, pairs, nouns, place, threshold)
            rows += [image_row(sentence, seed) | row for row in found]
        question = conditions[0].question
        if question not in strips:
            strips[question] = Strip.of(sentence.text, original, drawn, pairs)
    wanted = (
        "a color and a noun, nouns joined by “and”, or nouns left, right, above, or below another"
    )
    table = require_rows(rows, wanted)
    return StudyResult.of(
        DESIGN,
        setup,
        make_findings(table),
        {"means": means_of(table, ["question", "condition", "role"]), "images": table},
        {"summary": draw_summary(table), "strip": draw_strips(list(strips.values()))},
        colors=list(colors),
        threshold=threshold,
    )


def _nouns(
    sentence: Sentence,
    pairs: Sequence[ColoredNoun],
    nouns: tuple[int, int] | None,
    place: Placed | None,
) -> list[str]:
    """Return the nouns that are looked at."""
    indices = [pair.noun for pair in pairs] + list(nouns or ())
    if place is not None:
        indices += [place.first, place.last]
    return [sentence[index].text for index in indices]


def _images(drawn: Sequence[Drawn]) -> list[Any]:
    return [each.image for each in drawn if each.image is not None]


def _seen(
    annotator: Annotator | None, images: Sequence[Any], nouns: Sequence[str]
) -> Sequence[Seen | None]:
    """Return what each image shows; None where no annotator can say."""
    if annotator is None:
        return [None] * len(images)
    return see(annotator, images, nouns)
