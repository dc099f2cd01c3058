"""Which text keys belong to which word, and to which kind of token."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, get_args

from daam_syntax.attention.pipeline_call.call import PipelineCall, TextBlock
from daam_syntax.errors import WordError
from daam_syntax.language import Sentence
from daam_syntax.maps.subwords import MISSING_KIND_REASONS, Kind, align

KINDS: Final = get_args(Kind)
"""Kinds of tokens, see `daam_syntax.maps.Subword`."""


def keys_by_word(
    blocks: Iterable[TextBlock], prompt: int, sentence: Sentence
) -> dict[int, list[int]]:
    """Return the text keys of every word of a prompt, separately for each word.

    Parameters
    ----------
    blocks
        The tokens of one or several text encoders.
    prompt
        Index of the prompt.
    sentence
        The prompt's parse.

    Returns
    -------
    dict
        Positions among the text keys, sorted, by the word's index in the parse. The list is empty for a word
        without subwords.
    """
    keys: dict[int, list[int]] = {index: [] for index in range(len(sentence))}
    for block in blocks:
        tokens = block.prompts[prompt]
        for word in align(sentence, tokens.subwords, tokens.truncated_at):
            positions = {tokens.subwords[row].position for row in word.subwords}
            keys[word.index] += sorted(block.start + position for position in positions)
    return keys


def keys_by_kind(blocks: Iterable[TextBlock], prompt: int) -> dict[str, list[int]]:
    """Return all text keys of a prompt by kind of token, including padding that is not recorded.

    Parameters
    ----------
    blocks
        The tokens of one or several text encoders.
    prompt
        Index of the prompt.

    Returns
    -------
    dict
        Positions among the text keys, sorted, by kind of token (see `daam_syntax.maps.Subword`). Kinds without
        tokens are left out.
    """
    keys: dict[str, set[int]] = {}
    for block in blocks:
        tokens = block.prompts[prompt]
        for subword in tokens.subwords:
            keys.setdefault(subword.kind, set()).add(block.start + subword.position)
        padding = set(range(tokens.length)) - set(tokens.positions)
        keys.setdefault("padding", set()).update(block.start + position for position in padding)
    return {kind: sorted(positions) for kind, positions in keys.items() if positions}


def keys_of_words(
    pipeline_call: PipelineCall, prompt: int, sentence: Sentence, words: Iterable[int | str]
) -> list[int]:
    """Return the text keys of the chosen words in one list, over all text encoders.

    Parameters
    ----------
    pipeline_call
        The pipeline call.
    prompt
        Index of the prompt.
    sentence
        The prompt's parse.
    words
        Indices in the parse, or unambiguous texts.

    Returns
    -------
    list of int
        Positions among the text keys, sorted.

    Raises
    ------
    WordError
        If a word is not in the sentence or has no text key.
    """
    by_word = keys_by_word(pipeline_call.blocks, prompt, sentence)
    keys: set[int] = set()
    for word in words:
        index = sentence.index(word)
        if not by_word[index]:
            raise WordError(
                f"Expected a word that the model attends to, but {sentence[index].text!r} (index "
                f"{index}) of {sentence.text!r} is {_why_unmapped(pipeline_call, prompt, sentence, index)}."
            )
        keys.update(by_word[index])
    return sorted(keys)


def keys_of_kinds(pipeline_call: PipelineCall, prompt: int, kinds: Iterable[str]) -> list[int]:
    """Return the text keys of the chosen kinds of tokens in one list, over all text encoders.

    Parameters
    ----------
    pipeline_call
        The pipeline call.
    prompt
        Index of the prompt.
    kinds
        Kinds of tokens, see `daam_syntax.maps.Subword`.

    Returns
    -------
    list of int
        Positions among the text keys, sorted.

    Raises
    ------
    WordError
        If there is no token of a kind.
    """
    by_kind = keys_by_kind(pipeline_call.blocks, prompt)
    for kind in kinds:
        if kind not in by_kind:
            raise WordError(
                f"Expected tokens of a kind that {pipeline_call.prompts[prompt]!r} has ({', '.join(by_kind)}), but "
                f"got {kind!r}: {MISSING_KIND_REASONS[kind]}."  # type: ignore[index]
            )
    return sorted({key for kind in kinds for key in by_kind[kind]})


def columns_of(keys: Iterable[int], text: slice) -> list[int]:
    """Return text keys as indices among all keys of a call, without those that it leaves out, such as masked padding.

    Parameters
    ----------
    keys
        Positions among the text keys.
    text
        Which keys of the call are text.
    """
    return [text.start + key for key in keys if text.start + key < text.stop]


def _why_unmapped(pipeline_call: PipelineCall, prompt: int, sentence: Sentence, index: int) -> str:
    reasons = []
    for block in pipeline_call.blocks:
        tokens = block.prompts[prompt]
        word = align(sentence, tokens.subwords, tokens.truncated_at)[index]
        reasons.append(f"{word.status}: {word.reason}")
    return "; ".join(reasons)
