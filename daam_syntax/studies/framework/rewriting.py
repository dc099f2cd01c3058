"""Prompts rewritten: an adjective swapped, phrases that change places, a nonce word for a noun."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from daam_syntax.language import Sentence, parse
from daam_syntax.language.prompt_sets.articles import fit_articles


@dataclass(frozen=True)
class Swap:
    """A prompt in which one adjective was swapped for another."""

    prompt: str
    adjective: str


def swapped(sentence: Sentence, adjective: int, swaps: tuple[str, ...]) -> Swap | None:
    """Swap an adjective for the next of a list that the prompt does not have, and fit the article before it.

    Parameters
    ----------
    sentence
        The prompt.
    adjective
        Index of the adjective.
    swaps
        The list; after the last comes the first.

    Returns
    -------
    Swap or None
        None if the adjective is not in the list, or all others are in the prompt.
    """
    token = sentence[adjective]
    old = token.text.lower()
    if old not in swaps:
        return None
    there = {word.lower() for word in sentence.words}
    place = swaps.index(old)
    new = next((each for each in swaps[place:] + swaps[:place] if each not in there), None)
    if new is None:
        return None
    # The article, if there is one, is the word before; others stay as they are.
    start = sentence[max(adjective - 1, 0)].start
    fitted = fit_articles(sentence.text[start : token.start] + new)
    return Swap(sentence.text[:start] + fitted + sentence.text[token.end :], new)


def swap_phrases(
    sentence: Sentence, parser: Any = None
) -> tuple[Sentence, list[tuple[int, int]]] | None:
    """Let the first two noun phrases change places.

    Returns
    -------
    tuple or None
        The new sentence, and the indices of both nouns, first in the old, then in the new one; None if there are no
        two noun phrases, or a noun is not a token of its own in the new parse.
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
        The new sentence, and the index of the noun in the old one and of the nonce word in the new one; None if there
        is no noun.
    """
    nouns = [token for token in sentence.tokens if token.pos == "NOUN"]
    if not nouns:
        return None
    noun = nouns[-1]
    new = parse(sentence.text[: noun.start] + nonce + sentence.text[noun.end :], parser)
    index = _token_at(new, noun.start, nonce)
    return None if index is None else (new, noun.index, index)


def _token_at(sentence: Sentence, start: int, text: str) -> int | None:
    return next((t.index for t in sentence.tokens if (t.start, t.text) == (start, text)), None)
