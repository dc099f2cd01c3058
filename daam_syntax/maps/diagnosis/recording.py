"""Words without a meaning for the model, special tokens that take all attention, few steps, and black images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from daam_syntax.maps.diagnosis.examination import Examination
from daam_syntax.maps.diagnosis.findings import Finding, Kind
from daam_syntax.maps.measures.arrays import ratio

UNKNOWN_TOKENS: Final = frozenset({"<unk>", "[UNK]"})
"""What tokenizers write for text that they have no token for; byte-level ones have none."""

SATURATED: Final = 0.01
"""Limit of the words' share of a pixel's attention to the text, where it is largest.

The start token of many models gets most of the attention, and maps of words are useful all the same, so the limit is
low. The released notebook of Tang et al. (2023) cuts the map of one word at a mean attention of 0.005. Where all words
together get less than twice that at every pixel, no two words can reach the cut at one place.
"""

FEW_STEPS: Final = 0.25
"""Limit of the share of the steps that were recorded.

In the embedded model, maps of every fourth step correlate with those of all steps at 0.99, and maps of the first step
at 0.55.
"""

HALF: Final = 0.5
"""Progress before which steps are early, and from which they are late.

Early steps lay out the image, and late ones work out details. In the embedded model, maps of the first half correlate
with those of all steps at 0.92, and maps of the first third at 0.84.
"""

FEWEST_STEPS: Final = 5
"""Limit of the number of steps with guidance; most models that were distilled to fewer steps run without it.

In the embedded model, maps of images that were drawn in 2, 4, and 6 steps correlate with those of 20 steps, from the
same noise, at 0.78, 0.93, and 0.97. The annotator finds the noun in 81 %, 94 %, and 94 % of the images.
"""

BLACK: Final = 8 / 255
"""Limit of the brightest pixel of a black image, which is 0 unless it was compressed."""


def find_truncated(examined: Examination) -> Iterator[Finding]:
    """Find words that a text encoder did not read, or read in part."""
    for encoder, limit in examined.truncated_by.items():
        words = tuple(
            token.index
            for token in examined.sentence.tokens
            if limit is not None and token.end > limit and token.text.strip()
        )
        if words:
            yield _truncated(examined, encoder, words)


def _truncated(examined: Examination, encoder: str, words: tuple[int, ...]) -> Finding:
    limit, prompt = examined.truncated_by[encoder], examined.sentence.text
    assert limit is not None, "an encoder that read everything truncated nothing"
    others = [name for name, other in examined.truncated_by.items() if other is None]
    return Finding(
        "truncated",
        words,
        examined.texts(words),
        "characters that were read",
        (float(limit),),
        len(prompt),
        f"The text encoder{f' {encoder}' if encoder else ''} stopped before the end of the prompt. "
        + (
            f"The maps of these words are those of {' and '.join(others)} alone."
            if others
            else "What it did not read has no map, and is in the image only by chance."
        ),
        f"a prompt that ends before these words, such as {prompt[: examined.sentence[words[0]].start].strip()!r}; "
        "daam_syntax.overflow(prompts, pipe) finds such prompts before anything is drawn.",
    )


def find_unknown(examined: Examination) -> Iterator[Finding]:
    """Find words that the tokenizer replaced or left out."""
    counts = {
        word.index: sum(examined.subwords[row].text in UNKNOWN_TOKENS for row in word.subwords)
        for word in examined.words
        if word.status == "mapped"
    }
    left_out = [
        word.index
        for word in examined.words
        if word.status == "unaligned" and examined.sentence[word.index].text.strip()
    ]
    counts = {word: n for word, n in counts.items() if n} | dict.fromkeys(left_out, 1)
    if counts:
        words = tuple(sorted(counts))
        yield Finding(
            "unknown",
            words,
            examined.texts(words),
            "pieces that the tokenizer does not know",
            tuple(float(counts[word]) for word in words),
            0,
            "The tokenizer has no token for these characters: it replaced them by its token for anything unknown, "
            "whose map says nothing about the word, or left them out.",
            "other characters: the word as the model's training data spell it, without emoji and rare symbols.",
        )


def find_untrained(examined: Examination) -> Iterator[Finding]:
    """Find words that the model was not trained on."""
    known = set(examined.provenance.get("untrained", ()))
    words = tuple(
        token.index
        for token in examined.sentence.tokens
        if known.intersection(re.findall(r"\w+", token.text.lower()))
    )
    if words:
        yield Finding(
            "untrained",
            words,
            examined.texts(words),
            "occurrences in the captions that the model was trained on",
            (0.0,),
            1,
            "The model never saw the word. It reads pieces of other words in it, so neither the image nor the map "
            "says anything about its meaning.",
            "words that the model was trained on; for the embedded model, daam_syntax.emoji.known_words() has them.",
        )


def find_special_tokens(examined: Examination) -> Iterator[Finding]:
    """Find out whether start, end, padding, and template leave nothing to the words."""
    share = words_share(examined)
    if share is not None and share < SATURATED:
        words = tuple(examined.word_maps)
        yield Finding(
            "special tokens",
            words,
            examined.texts(words),
            "largest share of the words in the attention of a pixel to the text",
            (share,),
            SATURATED,
            "Special tokens get nearly all attention to the text at every pixel. The values of words are small "
            "everywhere, and differences between them may be rounding errors.",
            "shares among the words (daam_syntax.analysis.normalize_over_tokens(maps)), or layers in which words get "
            "more (trace with keep=('layer',), and diagnose maps.select(layers=path) for each).",
        )


def words_share(examined: Examination) -> float | None:
    """Return the words' share of the attention to all recorded tokens at the pixel where it is largest.

    None if no special token was recorded, or no word.
    """
    is_text = [subword.kind == "text" for subword in examined.subwords]
    if all(is_text) or not any(is_text):
        return None
    maps = examined.token_maps.astype(float)
    share = ratio(maps[is_text].sum(axis=0), maps.sum(axis=0))
    return float(np.nanmax(share, initial=0.0))  # NaN where no token gets attention


def find_few_steps(examined: Examination) -> Iterator[Finding]:
    """Find out whether the maps are of few steps, or of one end of the drawing."""
    total = n_steps(examined)
    if total is None:
        return
    if examined.steps is not None and len(examined.steps) < total:
        yield from _unlike_all(examined.steps, total)
    if examined.provenance.get("guided") and total < FEWEST_STEPS:
        yield _steps_finding(
            "denoising steps with guidance",
            total,
            FEWEST_STEPS,
            "Unless the model was distilled to so few steps, the image is unfinished, and its maps differ from those "
            "of more steps.",
            "more steps, such as num_inference_steps=20.",
        )


def _unlike_all(steps: Sequence[int], total: int) -> Iterator[Finding]:
    """Report recorded steps that do not stand for all of them."""
    everything = (
        "a trace of all steps (without steps=), or of every fourth one (steps=range(0, 20, 4))."
    )
    if len(steps) < FEW_STEPS * total:
        yield _steps_finding(
            "share of the steps that was recorded",
            len(steps) / total,
            FEW_STEPS,
            f"The maps are of {len(steps)} of {total} steps. Attention moves while an image is drawn, so they need "
            "not resemble the mean of all steps.",
            everything,
        )
    elif max(steps) < HALF * total or min(steps) >= HALF * total:
        end = "early" if max(steps) < HALF * total else "late"
        last = max(steps) if end == "early" else min(steps)
        work = "lay out the image" if end == "early" else "work out details"
        yield _steps_finding(
            f"progress of the {'last' if end == 'early' else 'first'} recorded step",
            last / total,
            HALF,
            f"The maps are of {end} steps alone, which {work}. The mean of all steps can be different.",
            everything,
        )


def _steps_finding(measure: str, value: float, limit: float, meaning: str, remedy: str) -> Finding:
    return Finding("steps", (), (), measure, (value,), limit, meaning, remedy)


def n_steps(examined: Examination) -> int | None:
    """Return how many steps the pipeline made with the prompt; None if it is unknown."""
    known = examined.provenance.get("denoiser_calls", examined.provenance.get("steps"))
    return known if isinstance(known, int) and known > 0 else None


def find_blacked_out(examined: Examination) -> Iterator[Finding]:
    """Find out whether the image is black."""
    brightest = None if examined.image is None else float(examined.image.max(initial=0))
    by_checker = bool(examined.provenance.get("blacked_out"))
    if by_checker or (brightest is not None and brightest < BLACK):
        yield Finding(
            "blacked out",
            (),
            (),
            "brightest pixel",
            (0.0 if brightest is None else brightest,),
            BLACK,
            "The pipeline's safety checker replaced the image by a black one. The maps are of the image before that."
            if by_checker
            else "The image is black: a safety checker replaced it, or the model overflowed its number format. The "
            "maps are not of what the image shows.",
            "another seed or prompt, or a pipeline without the checker where its license allows that "
            "(pipe.safety_checker = None); after an overflow, another number format (pipe.to(torch.float32)).",
        )


def reasons_not_checked(examined: Examination) -> Iterator[tuple[Kind, str]]:
    """Yield the kinds of this module that cannot be checked, each with the reason."""
    if "untrained" not in examined.provenance:
        yield "untrained", "the words that the model was trained on are not known"
    if words_share(examined) is None:
        yield "special tokens", "no special token was recorded"
    if n_steps(examined) is None:
        yield "steps", "the provenance does not say how many steps there were"
    if examined.image is None and "blacked_out" not in examined.provenance:
        yield "blacked out", "the image is not known: pass it, maps.diagnose(image)"
