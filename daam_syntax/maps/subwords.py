"""Subwords of a text encoder, and their alignment with words: by character offsets, never by text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from daam_syntax.language.sentence import Sentence
from daam_syntax.util.arguments.checks import checked

Status = Literal["mapped", "truncated", "unaligned"]
Kind = Literal["text", "start", "end", "template", "padding"]
SpecialKind = Literal["start", "end", "template", "padding"]

MISSING_KIND_REASONS: Final[Mapping[Kind, str]] = {
    "text": "no token covers any text of the prompt",
    "start": "the text encoder is given no start token",
    "end": "the text encoder is given no end token, or stopped before it",
    "template": "the pipeline writes nothing around the prompt",
    "padding": "the prompt leaves no padding that reaches the denoiser",
}
"""Maps each kind of token to the reason why a recording lacks it."""


@dataclass(frozen=True)
class Subword:
    """A token of the text encoder.

    Attributes
    ----------
    position
        Position in the encoder's sequence as the denoiser receives it, from 0.
    text
        Text as the tokenizer writes it, such as ``"cat</w>"``.
    start, end
        Character offsets into the prompt, end exclusive. They are equal for a special token.
    kind
        "text"; "start" or "end" for the special tokens around the text; "template" for text that a pipeline adds
        around the prompt, such as a system prompt; or "padding", the tokens that fill the encoder's sequence, where
        they were recorded.
    encoder
        Name of the text encoder where the denoiser attends to the tokens of several; "" where there is one.
    """

    position: int
    text: str
    start: int
    end: int
    kind: Kind = "text"
    encoder: str = ""


@dataclass(frozen=True)
class WordAlignment:
    """The subwords of one word of the parse.

    Attributes
    ----------
    index
        Index of the word in the parse.
    subwords
        Positions in the list of subwords, which are the rows of the heat maps, in order.
    status
        "mapped" (the word has subwords), "truncated" (the encoder stopped before it), or "unaligned" (no subword
        covers any of its characters).
    reason
        Why the word has no map or only part of one; "" if its map is complete.
    """

    index: int
    subwords: tuple[int, ...]
    status: Status
    reason: str = ""


@checked
def align(
    sentence: Sentence, subwords: Sequence[Subword], truncated_at: int | None = None
) -> tuple[WordAlignment, ...]:
    """Align every word of the parse with the subwords that share a character with it.

    Overlap is enough; the offsets need not be equal. Several subwords can cover one character (an emoji), a subword
    can include the space before it, and one subword can belong to two words. White space is never a word.

    Parameters
    ----------
    sentence
        The parsed prompt.
    subwords
        The encoder's tokens, with offsets into the same prompt.
    truncated_at
        Character offset at which the encoder stopped reading; None if it read the whole prompt.

    Returns
    -------
    tuple of WordAlignment
        One alignment per token of the parse, including those without a map.
    """
    alignments = []
    for token in sentence.tokens:
        rows = tuple(
            row
            for row, subword in enumerate(subwords)
            if subword.kind == "text" and subword.start < token.end and subword.end > token.start
        )
        cut = truncated_at is not None and token.end > truncated_at
        if not token.text.strip():
            # First, because a subword that includes the space before it belongs to the word, not to the space.
            alignments.append(
                WordAlignment(token.index, (), "unaligned", "white space has no subword")
            )
        elif rows:
            reason = (
                "the encoder's limit cuts it off: only its first subwords have maps" if cut else ""
            )
            alignments.append(WordAlignment(token.index, rows, "mapped", reason))
        elif cut:
            alignments.append(
                WordAlignment(
                    token.index,
                    (),
                    "truncated",
                    f"the encoder read only the first {truncated_at} characters of the prompt",
                )
            )
        else:
            alignments.append(
                WordAlignment(token.index, (), "unaligned", "no subword covers its characters")
            )
    return tuple(alignments)


def mean_by_encoder(values: np.ndarray, encoders: Sequence[str]) -> np.ndarray:
    """Average the maps of subwords over each text encoder's subwords, then over the encoders.

    Parameters
    ----------
    values
        Maps of the subwords. *Shape:* ``(subword, ...)``.
    encoders
        Name of the text encoder of each subword. *Shape:* ``(subword,)``.

    Returns
    -------
    numpy.ndarray
        *Shape:* ``(...)``.
    """
    rows: dict[str, list[int]] = {}
    for row, encoder in enumerate(encoders):
        rows.setdefault(encoder, []).append(row)
    return np.asarray(np.mean([values[own].mean(axis=0) for own in rows.values()], axis=0))
