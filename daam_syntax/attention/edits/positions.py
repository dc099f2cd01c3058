"""Which tokens of a text encoder are a word, and which are padding."""

from __future__ import annotations

from collections.abc import Sequence

from daam_syntax.attention.texts.token_spans import TokenizedPrompt
from daam_syntax.errors import WordError
from daam_syntax.language import Sentence
from daam_syntax.maps.subwords import align


def positions_of(tokens: TokenizedPrompt, sentence: Sentence, word: int, encoder: str) -> list[int]:
    """Return the positions of a word's subwords.

    Parameters
    ----------
    tokens
        The prompt, as the encoder reads it.
    sentence
        Its parse.
    word
        Index of the word.
    encoder
        Name of the encoder in messages.

    Raises
    ------
    WordError
        If the encoder did not read the word, or one of its subwords belongs to another word, too.
    """
    words = align(sentence, tokens.subwords, tokens.truncated_at)
    text = sentence[word].text
    if words[word].status != "mapped" or words[word].reason:
        raise WordError(
            f"Expected a word that {encoder} reads, but {text!r} (index {word}) of {sentence.text!r} is "
            f"{words[word].status}: {words[word].reason}. Choose another word, or an encoder that reads it, "
            "encoders=(...)."
        )
    rows = words[word].subwords
    shared = next((w for w in words if w.index != word and set(w.subwords) & set(rows)), None)
    if shared is not None:
        raise WordError(
            f"Expected a word with subwords of its own, but {encoder} reads {text!r} and "
            f"{sentence[shared.index].text!r} of {sentence.text!r} as one, so neither can be changed alone: write them "
            "apart, or choose another word."
        )
    return [tokens.subwords[row].position for row in rows]


def other_words(tokens: TokenizedPrompt, kept: Sequence[int]) -> list[int]:
    """Return the positions of all text except some."""
    return [s.position for s in tokens.subwords if s.kind == "text" and s.position not in kept]


def padding_at(tokens: TokenizedPrompt, places: Sequence[int]) -> list[int]:
    """Return the position of padding that is nearest to each place, the later one of two; empty if there is none."""
    read = {subword.position for subword in tokens.subwords if subword.kind != "padding"}
    padding = [position for position in range(tokens.length) if position not in read]
    if not padding:
        return []
    return [min(padding, key=lambda p, at=at: (abs(p - at), -p)) for at in places]  # type: ignore[misc]
