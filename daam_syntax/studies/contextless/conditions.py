"""What is done to the words of a prompt: edits of attention and of vectors, and prompts that say something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from daam_syntax.attention import Edit, StateEdit
from daam_syntax.language import Sentence
from daam_syntax.studies.framework.rewriting import swapped

COLOR, NUMBER, PLACE = "color", "number", "place"
ITSELF: Final = "by itself"
TEXT: Final = "other text"
SPECIAL: Final = "special"

_LAST: Final = Edit(tokens=("end", "padding"))
"""Deletes the attention to tokens that have read the whole prompt, in an encoder that reads from left to right."""

MIRRORED: Final[Mapping[str, str]] = {
    "left": "right",
    "right": "left",
    "above": "below",
    "below": "above",
}
"""Words of place, and their opposites."""

LABELS: Final[Mapping[str, str]] = {
    ITSELF: "every word's vector replaced by itself",
    TEXT: "the other prompt drawn",
    SPECIAL: "attention to the end token and padding deleted",
    "attention": "attention to the color word deleted",
    "padding": "color word's vector: padding",
    "alone": "noun's vector: the noun alone",
    "attention, alone": "attention to the color word deleted, and noun alone",
    "attention, alone, special": "attention to the color word, the end token, and padding deleted, and noun alone",
    "other color word": "color word's vector: that of the other color",
    "other noun": "noun's vector: from the prompt with the other color",
    "other words": "all words' vectors from the other prompt",
    "and": "vector of “and”: padding",
    "second article": "vector of the second article: padding",
    "first noun": "vector of the first noun: padding",
    "second noun": "vector of the second noun: padding",
    "place": "word of place: vector of its opposite",
    "last noun": "last noun's vector: from the mirrored prompt",
    "last article": "last article's vector: from the mirrored prompt",
    "first noun mirrored": "first noun's vector: from the mirrored prompt",
    "place padding": "word of place: padding",
    "last noun alone": "last noun's vector: the noun alone",
    "place padding, last noun alone": "word of place: padding, and last noun alone",
    "place padding, last noun alone, special": "word of place: padding, last noun alone, and attention to the end "
    "token and padding deleted",
    "last article padding": "last article's vector: padding",
    "first noun alone": "first noun's vector: the noun alone",
}
"""Conditions, and what is done in them."""

Edits = tuple[Edit | StateEdit, ...]


@dataclass(frozen=True)
class Condition:
    """What is done to a prompt.

    Attributes
    ----------
    question
        `COLOR`, `NUMBER`, or `PLACE`.
    name
        One of `LABELS`.
    edits
        The edits; empty if another text is drawn.
    words
        Indices of the edited words.
    text
        The prompt with another color, or the mirrored one; "" if there is none.
    """

    question: str
    name: str
    edits: Edits = ()
    words: tuple[int, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class ColoredNoun:
    """A noun with a color word.

    Attributes
    ----------
    color, noun
        Indices of the words.
    other
        Another color, which no word of the prompt names.
    text
        The prompt with that color instead.
    """

    color: int
    noun: int
    other: str
    text: str


@dataclass(frozen=True)
class Placed:
    """Two nouns and a word that says where the first is.

    Attributes
    ----------
    word, first, last
        Indices of the word of place and of the nouns.
    text
        The prompt with the opposite of the word.
    """

    word: int
    first: int
    last: int
    text: str


def colored_nouns(sentence: Sentence, colors: Sequence[str]) -> list[ColoredNoun]:
    """Return the nouns that one of some color words modifies, in order."""
    found = []
    for edge in sorted(sentence.edges_of("ud"), key=lambda edge: edge.dependent):
        if edge.relation == "amod" and sentence[edge.dependent].text.lower() in colors:
            swap = swapped(sentence, edge.dependent, tuple(colors))
            if swap is not None:
                found.append(ColoredNoun(edge.dependent, edge.head, swap.adjective, swap.prompt))
    return found


def joined_nouns(sentence: Sentence) -> tuple[int, int] | None:
    """Return the first two nouns that "and" joins."""
    for edge in sentence.edges_of("ud"):
        nouns = sentence[edge.head], sentence[edge.dependent]
        if edge.relation == "conj" and all(noun.pos in ("NOUN", "PROPN") for noun in nouns):
            return edge.head, edge.dependent
    return None


def placed(sentence: Sentence) -> Placed | None:
    """Return the two nouns around a word of place."""
    words = [t.index for t in sentence.tokens if t.text.lower() in MIRRORED]
    if len(words) != 1:
        return None
    (word,) = words
    nouns = [t.index for t in sentence.tokens if t.pos in ("NOUN", "PROPN") and t.index != word]
    before = [noun for noun in nouns if noun < word]
    after = [noun for noun in nouns if noun > word]
    if not before or not after:
        return None
    token = sentence[word]
    opposite = MIRRORED[token.text.lower()]
    text = sentence.text[: token.start] + opposite + sentence.text[token.end :]
    return Placed(word, before[-1], after[-1], text)


def conditions_of(sentence: Sentence, colors: Sequence[str]) -> Iterator[Condition]:
    """Yield what is done to a prompt, for each question that it can answer."""
    pairs, place = colored_nouns(sentence, colors), placed(sentence)
    nouns = joined_nouns(sentence)
    question = COLOR if pairs else PLACE if place else NUMBER
    if pairs or place or nouns:
        words = _words(sentence)
        yield Condition(question, ITSELF, (StateEdit(words, by=words),), words)
        yield Condition(question, SPECIAL, (_LAST,))
    for pair in pairs:
        yield from _of_color(sentence, pair)
    if nouns:
        yield from _of_number(sentence, *nouns)
    if place:
        yield from _of_place(sentence, place)


def _of_color(sentence: Sentence, pair: ColoredNoun) -> Iterator[Condition]:
    color, noun, both = (pair.color,), (pair.noun,), (pair.color, pair.noun)
    deleted, alone = Edit(color), StateEdit(noun, alone=True)
    words = _words(sentence)
    done: dict[str, Edits] = {
        "attention": (deleted,),
        "padding": (StateEdit(color, padding=True),),
        "alone": (alone,),
        "attention, alone": (deleted, alone),
        "attention, alone, special": (deleted, alone, _LAST),
        "other color word": (StateEdit(color, by=color, context=pair.text),),
        "other noun": (StateEdit(noun, by=noun, context=pair.text),),
        "other words": (StateEdit(words, by=words, context=pair.text),),
    }
    for name, edits in done.items():
        yield Condition(COLOR, name, edits, both, pair.text)
    yield Condition(COLOR, TEXT, (), both, pair.text)


def _of_number(sentence: Sentence, first: int, second: int) -> Iterator[Condition]:
    words = {
        "and": _dependent(sentence, second, "cc"),
        "second article": _dependent(sentence, second, "det"),
        "first noun": first,
        "second noun": second,
    }
    for name, word in words.items():
        if word is not None:
            yield Condition(NUMBER, name, (StateEdit(word, padding=True),), (word,))


def _of_place(sentence: Sentence, place: Placed) -> Iterator[Condition]:
    def mirrored(*words: int) -> Edits:
        return (StateEdit(words, by=words, context=place.text),)

    padding, alone = StateEdit(place.word, padding=True), StateEdit(place.last, alone=True)
    article, both = _dependent(sentence, place.last, "det"), (place.word, place.last)
    done: dict[str, tuple[Edits, tuple[int, ...]]] = {
        "place": (mirrored(place.word), (place.word,)),
        "last noun": (mirrored(place.last), (place.last,)),
        "other words": (mirrored(*_words(sentence)), _words(sentence)),
        "first noun mirrored": (mirrored(place.first), (place.first,)),
        "place padding": ((padding,), (place.word,)),
        "last noun alone": ((alone,), (place.last,)),
        "place padding, last noun alone": ((padding, alone), both),
        "place padding, last noun alone, special": ((padding, alone, _LAST), both),
        "first noun alone": ((StateEdit(place.first, alone=True),), (place.first,)),
    }
    if article is not None:
        done["last article"] = (mirrored(article), (article,))
        done["last article padding"] = ((StateEdit(article, padding=True),), (article,))
    for name, (edits, words) in done.items():
        yield Condition(PLACE, name, edits, words, place.text)
    yield Condition(PLACE, TEXT, (), (place.word,), place.text)


def _words(sentence: Sentence) -> tuple[int, ...]:
    return tuple(token.index for token in sentence.tokens if token.pos not in ("PUNCT", "SPACE"))


def _dependent(sentence: Sentence, head: int, relation: str) -> int | None:
    edges = (e for e in sentence.edges_of("ud") if (e.head, e.relation) == (head, relation))
    return next((edge.dependent for edge in edges), None)
