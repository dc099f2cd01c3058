"""Where the new states of a word come from: which text is encoded, and which of its tokens are taken."""

from __future__ import annotations

from dataclasses import dataclass

from daam_syntax.attention.edits.positions import other_words, padding_at, positions_of
from daam_syntax.attention.edits.state_edit import StateEdit, source_words
from daam_syntax.attention.texts.sentences import PromptSentences
from daam_syntax.attention.texts.token_spans import TokenizedPrompt
from daam_syntax.errors import TraceError, WordError
from daam_syntax.language import Sentence
from daam_syntax.maps.subwords import align


@dataclass(frozen=True)
class SourceText:
    """A text to encode.

    Attributes
    ----------
    text
        The text; "" for the empty prompt.
    alone
        Index of the word from which all others are hidden; None to hide none.
    """

    text: str
    alone: int | None = None


@dataclass(frozen=True)
class WordSource:
    """The source of one word's states.

    Attributes
    ----------
    word
        Index of the word that is edited.
    encoded
        The text to encode; None for the prompt itself as the pipeline encoded it.
    source_word
        Index of the word in it whose states are taken; None for padding.
    """

    word: int
    encoded: SourceText | None
    source_word: int | None


def sources_of(edit: StateEdit, prompt: str, sentences: PromptSentences) -> list[WordSource]:
    """Return the source of each word of an edit, in one prompt.

    Raises
    ------
    WordError
        If a word does not exist, or it is not clear which one is meant.
    """
    sentence = sentences[prompt]
    if edit.source == "padding":
        return [WordSource(sentence.index(word), SourceText(""), None) for word in edit.words]
    if edit.source == "alone":
        words = [sentence.index(word) for word in edit.words]
        return [WordSource(word, SourceText(prompt, word), word) for word in words]
    context = prompt if edit.context is None else edit.context
    encoded = None if context == prompt else SourceText(context)
    pairs = source_words(edit, sentence, sentences[context])
    return [WordSource(word, encoded, source) for word, source in pairs]


def places(
    source: WordSource,
    prompt: str,
    tokens: TokenizedPrompt,
    source_tokens: TokenizedPrompt,
    sentences: PromptSentences,
    encoder: str,
) -> tuple[list[int], list[int]]:
    """Return the positions of an edited word, and for each of them that of its new state.

    Parameters
    ----------
    source
        The source of the word's states.
    prompt
        The prompt.
    tokens, source_tokens
        The prompt and the text of the source, as the encoder reads them.
    sentences
        Parses of prompts.
    encoder
        Name of the encoder in messages.

    Raises
    ------
    WordError
        If the encoder does not read a word, or the words have different numbers of subwords.
    TraceError
        If there is no padding.
    """
    sentence = sentences[prompt]
    own = positions_of(tokens, sentence, source.word, encoder)
    if source.source_word is None:
        taken = padding_at(source_tokens, own)
        if not taken:
            raise TraceError(
                f"Expected padding, to replace words by it, but {encoder} has none in the empty prompt: take the "
                "word's decontextualized vector, alone=True, or another word's, by=..."
            )
        return own, taken
    context = sentence if source.encoded is None else sentences[source.encoded.text]
    taken = positions_of(source_tokens, context, source.source_word, encoder)
    if len(taken) != len(own):
        here, there = sentence[source.word].text, context[source.source_word].text
        alike = _alike(source_tokens, context, len(own))
        remedy = f"take the vector of one with {len(own)}, such as by={alike!r}" if alike else ""
        remedy = f"{remedy}, or that of padding" if remedy else "take that of padding"
        raise WordError(
            f"Expected words with as many subwords, to replace their vectors one by one, but in {encoder} {here!r} has "
            f"{len(own)} and {there!r} has {len(taken)}: {remedy}, padding=True."
        )
    return own, taken


def hidden_from(
    source: SourceText, tokens: TokenizedPrompt, sentences: PromptSentences
) -> list[int]:
    """Return the positions of all words but the one that is encoded alone."""
    assert source.alone is not None, "only such texts hide words"
    kept = positions_of(tokens, sentences[source.text], source.alone, "the text encoder")
    return other_words(tokens, kept)


def _alike(tokens: TokenizedPrompt, sentence: Sentence, n_subwords: int) -> str | None:
    """Return a word of a prompt with a number of subwords, whose text occurs once; None if there is none."""
    for word in align(sentence, tokens.subwords, tokens.truncated_at):
        token = sentence[word.index]
        if len(word.subwords) == n_subwords and len(sentence.find(token.text)) == 1:
            return token.text
    return None
