"""Which subwords of an encoder make up a word of the parse: by character offsets, never by text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from daam_syntax.language.sentence import Sentence

Status = Literal["mapped", "truncated", "unaligned"]
Kind = Literal["text", "start", "end", "template", "padding"]
SpecialKind = Literal["start", "end", "template", "padding"]


@dataclass(frozen=True)
class Subword:
    """A token of the text encoder.

    Attributes
    ----------
    position
        Its place in the encoder's sequence, as the denoiser sees it, from 0.
    text
        As the tokenizer writes it, for instance ``"cat</w>"``.
    start, end
        Character offsets into the prompt, end exclusive; equal for a special token.
    kind
        "text"; "start" and "end" for the special tokens around it; "template" for what a pipeline writes around
        the prompt (a system prompt, say); "padding" for what fills it up to the encoder's length, where that was
        recorded.
    encoder
        The text encoder, where the model has several whose tokens it attends to; "" where it has one.
    """

    position: int
    text: str
    start: int
    end: int
    kind: Kind = "text"
    encoder: str = ""


@dataclass(frozen=True)
class WordAlignment:
    """Which subwords a word of the parse has.

    Attributes
    ----------
    index
        The word's index in the parse.
    subwords
        Places in the list of subwords (rows of the heat maps), in order.
    status
        "mapped" (it has subwords), "truncated" (the encoder stopped before it), or "unaligned" (no
        subword stands for any of its characters).
    reason
        Why it has no map, or only part of one; "" where all is well.
    """

    index: int
    subwords: tuple[int, ...]
    status: Status
    reason: str = ""


def align(
    sentence: Sentence, subwords: Sequence[Subword], truncated_at: int | None = None
) -> tuple[WordAlignment, ...]:
    """Align every word of the parse with the subwords that share a character with it.

    Overlap, not equality: several subwords may stand for one character (an emoji), a subword may include the
    space before it, and one subword may belong to two words. White space is never a word.

    Parameters
    ----------
    sentence
        The parsed prompt.
    subwords
        The encoder's tokens, with offsets into the same prompt.
    truncated_at
        Character offset from which the encoder read nothing more; None if it read all.

    Returns
    -------
    tuple of WordAlignment
        One per token of the parse, whatever its status.
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
            # Asked first: a subword that includes the space before it is the word's, not the space's.
            alignments.append(
                WordAlignment(token.index, (), "unaligned", "white space has no subword")
            )
        elif rows:
            reason = "the encoder's limit cuts it: its first subwords only" if cut else ""
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
                WordAlignment(token.index, (), "unaligned", "no subword stands for its characters")
            )
    return tuple(alignments)
