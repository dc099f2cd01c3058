"""The tokens of a sequence in groups, and how attention between tokens becomes attention between groups and words.

Attention goes from a query to keys, and the weights of a query sum to 1. So the attention from a group is the **mean**
over its queries (of each text encoder, then over the encoders, as for heat maps), and the attention to a group is the
**sum** over its keys. Every key is in exactly one group, and the weight of a key that several words share is divided
equally among them, so rows still sum to 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from daam_syntax.language.sentence import Sentence
from daam_syntax.maps.subwords import Subword, WordAlignment, align

GroupKind = Literal["text", "start", "end", "template", "padding", "image", "other"]
"""What the tokens of a group are: those of `daam_syntax.maps.Subword`, "image" (pixels), or "other" (registers, pixels
of reference images, and whatever else a model puts into the sequence)."""

KINDS: Final[tuple[GroupKind, ...]] = get_args(GroupKind)
SPACE: Final = "space"
"""Label of text tokens that belong to no word, such as a line break."""


@dataclass(frozen=True)
class TokenGroup:
    """Tokens that are one row and one column of the attention: a token of the text, or all special ones of a kind.

    Attributes
    ----------
    kind
        See `GroupKind`.
    text
        The token as the tokenizer writes it; for special tokens, the kind.
    positions
        Positions in the sequence, from 0; for the kinds "image" and "other", whose positions depend on the layer,
        empty.
    start, end
        Character offsets into the prompt, end exclusive; equal for special tokens.
    encoder
        Name of the text encoder where the sequence has the tokens of several; "" where there is one.
    """

    kind: GroupKind
    text: str
    positions: tuple[int, ...]
    start: int = 0
    end: int = 0
    encoder: str = ""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TokenGroup:
        """Return the group from the dictionary that `dataclasses.asdict` makes of it."""
        positions = tuple(values["positions"])
        group = cls(**{**values, "positions": positions})
        numbers, texts = (
            (*positions, group.start, group.end),
            (group.kind, group.text, group.encoder),
        )
        if not all(type(n) is int for n in numbers) or not all(isinstance(t, str) for t in texts):
            raise ValueError(f"it has {str(group)[:200]}")
        return group


def group_tokens(subwords: Sequence[Subword]) -> tuple[TokenGroup, ...]:
    """Return one group for each token of the text, in order, and then one for each kind of special token.

    Parameters
    ----------
    subwords
        All tokens of a sequence, including padding.
    """
    groups = [
        TokenGroup(
            "text",
            subword.text,
            (subword.position,),
            subword.start,
            subword.end,
            subword.encoder,
        )
        for subword in subwords
        if subword.kind == "text"
    ]
    for kind in KINDS[1:]:
        positions = tuple(subword.position for subword in subwords if subword.kind == kind)
        if positions:
            groups.append(TokenGroup(kind, kind, positions))
    return tuple(groups)


@dataclass(frozen=True)
class WordAxis:
    """The rows and columns of attention between words: all words of the parse, then special tokens by kind.

    Attributes
    ----------
    words
        Alignment of each word of the parse with the groups of its subwords, and its status.
    labels
        Text of each word, then the names of the other entries.
    as_queries
        Weights that average groups as queries; the row of a word without a subword is zero. *Shape:* ``(entry, group)``
    as_keys
        Weights that sum groups as keys; each column sums to 1. *Shape:* ``(entry, group)``
    """

    words: tuple[WordAlignment, ...]
    labels: tuple[str, ...]
    as_queries: NDArray[np.float64]
    as_keys: NDArray[np.float64]

    @classmethod
    def of(
        cls, sentence: Sentence, groups: Sequence[TokenGroup], truncated_at: int | None
    ) -> WordAxis:
        """Align the words of a parse with groups of tokens."""
        subwords = [
            # Only text is aligned, and its kind is the only one that matters.
            Subword(number, group.text, group.start, group.end, _plain_kind(group))
            for number, group in enumerate(groups)
        ]
        words = align(sentence, subwords, truncated_at)
        entries = [list(word.subwords) for word in words]
        labels = [token.text for token in sentence.tokens]
        aligned = {row for rows in entries for row in rows}
        stray = [n for n, group in enumerate(groups) if group.kind == "text" and n not in aligned]
        if stray:
            entries.append(stray)
            labels.append(SPACE)
        for number, group in enumerate(groups):
            if group.kind != "text":
                entries.append([number])
                labels.append(group.kind)
        member = np.zeros((len(entries), len(groups)))
        as_queries = member.copy()
        for row, own in enumerate(entries):
            member[row, own] = 1.0
            encoders = [groups[number].encoder for number in own]
            for number in own:  # each encoder that has the word counts once
                n_own = encoders.count(groups[number].encoder)
                as_queries[row, number] = 1 / (n_own * len(set(encoders)))
        return cls(words, tuple(labels), as_queries, member / member.sum(axis=0))


def _plain_kind(group: TokenGroup) -> Literal["text", "template"]:
    return "text" if group.kind == "text" else "template"
