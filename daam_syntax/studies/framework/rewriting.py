"""Rewrite prompts: swap an adjective, exchange two noun phrases, replace a noun by a nonce word, leave out a word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from daam_syntax.language import Sentence, parse
from daam_syntax.language.prompt_sets.articles import fit_articles


@dataclass(frozen=True)
class Swap:
    """A prompt with one adjective replaced, and the new adjective."""

    prompt: str
    adjective: str


def swapped(sentence: Sentence, adjective: int, swaps: tuple[str, ...]) -> Swap | None:
    """Replace an adjective by the next one in a list that the prompt lacks, and adapt the article before it.

    Parameters
    ----------
    sentence
        The prompt.
    adjective
        Index of the adjective.
    swaps
        The adjectives, in a cycle: the first follows the last.

    Returns
    -------
    Swap or None
        None if the adjective is not in the list, or if the prompt contains all the others.
    """
    token = sentence[adjective]
    old = token.text.lower()
    if old not in swaps:
        return None
    present = {word.lower() for word in sentence.words}
    place = swaps.index(old)
    new = next((each for each in swaps[place:] + swaps[:place] if each not in present), None)
    if new is None:
        return None
    # Only the word before can be an article; any other word is left unchanged.
    start = sentence[max(adjective - 1, 0)].start
    fitted = fit_articles(sentence.text[start : token.start] + new)
    return Swap(sentence.text[:start] + fitted + sentence.text[token.end :], new)


def swap_phrases(
    sentence: Sentence, parser: Any = None
) -> tuple[Sentence, list[tuple[int, int]]] | None:
    """Exchange the first two noun phrases.

    Returns
    -------
    tuple or None
        The new sentence, and for each of the two nouns its index in the old and in the new sentence. None if there are
        fewer than two noun phrases, or if a noun is not a single token in the new parse.
    """
    if len(sentence.noun_phrases) < 2:
        return None
    one, two = sentence.noun_phrases[:2]
    starts = [sentence[span.start].start for span in (one, two)]
    ends = [sentence[span.end - 1].end for span in (one, two)]
    text = sentence.text
    between = text[ends[0] : starts[1]]
    first, second = text[starts[0] : ends[0]], text[starts[1] : ends[1]]
    new = parse(text[: starts[0]] + second + between + first + text[ends[1] :], parser)
    later = starts[0] + len(second) + len(between)
    pairs = []
    for span, start, moved in ((one, starts[0], later), (two, starts[1], starts[0])):
        root = sentence[span.root]
        index = _token_at(new, root.start - start + moved, root.text)
        if index is None:
            return None
        pairs.append((span.root, index))
    return new, pairs


def with_nonce(
    sentence: Sentence, nonce: str, parser: Any = None
) -> tuple[Sentence, int, int] | None:
    """Replace the last noun by a nonce word.

    Returns
    -------
    tuple or None
        The new sentence, the index of the noun in the old sentence, and that of the nonce word in the new one. None if
        there is no noun, or if the nonce word is not a single token in the new parse.
    """
    nouns = [token for token in sentence.tokens if token.pos == "NOUN"]
    if not nouns:
        return None
    noun = nouns[-1]
    new = parse(sentence.text[: noun.start] + nonce + sentence.text[noun.end :], parser)
    index = _token_at(new, noun.start, nonce)
    return None if index is None else (new, noun.index, index)


def without_word(sentence: Sentence, word: int) -> str:
    """Return the text of a prompt without one word, with articles that fit what follows them; "" if none is left."""
    token = sentence[word]
    left = sentence.text[: token.start] + sentence.text[token.end :]
    return fit_articles(" ".join(left.split()))


def _token_at(sentence: Sentence, start: int, text: str) -> int | None:
    return next((t.index for t in sentence.tokens if (t.start, t.text) == (start, text)), None)
