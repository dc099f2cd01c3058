"""Repair errors that spaCy's small English pipeline makes regularly in captions. The rules read ClearNLP labels.

Each repair is safe: it changes a construction that has one plausible reading, and on treebanks it gains or is neutral.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from daam_syntax.language.tree import Tree

_DEPICTIONS: Final = (
    "cartoon close-up closeup depiction drawing image illustration mosaic mural painting photo photograph picture "
    "portrait print render rendering scene sculpture shot sketch statue still view watercolor"
)
DEPICTIONS: Final = frozenset(_DEPICTIONS.split())
"""Nouns for images, whose coordinated objects after "of" are what they depict."""


def turn_participial_clauses(tree: Tree) -> None:
    """Make a participle without a finite verb modify its subject (`acl`): "a boy being chased", "a dog chasing a cat".

    The parser reads some of these captions as clauses.
    """
    for root in [i for i in tree if tree.heads[i] is None]:
        verb: int | None = root
        while verb is not None:
            verb = _turn_participle(tree, verb)


def _turn_participle(tree: Tree, verb: int) -> int | None:
    """Turn one participle, and return a participle with a subject of its own that is coordinated with it."""
    subject = _subject_of_participle(tree, verb)
    if subject is None:
        return None
    following = [i for i in tree.children(verb, "conj") if _subject_of_participle(tree, i)]
    if following:  # "a dog chasing a cat and a bird sitting on a tree"
        second = following[0]
        for child in (second, *(i for i in tree.children(verb, "cc") if i < second)):
            tree.attach(child, subject, tree.relations[child])
    for child in tree.children(verb, "punct"):
        tree.attach(child, subject, "punct")
    tree.promote(subject, over=verb, relation="acl")
    return following[0] if following else None


def _subject_of_participle(tree: Tree, verb: int) -> int | None:
    token, helpers = tree.tokens[verb], tree.children(verb, "aux", "auxpass")
    subjects = [i for i in tree.children(verb, "nsubj", "nsubjpass") if i < verb]
    being = [tree.tokens[i].text.lower() for i in helpers] == ["being"]
    active = token.tag == "VBG" and not helpers
    passive = token.tag in ("VBN", "VBD") and (
        being or (bool(tree.children(verb, "agent")) and not helpers)
    )
    if len(subjects) != 1 or not (active or passive) or tree.children(verb, "mark", "expl"):
        return None
    return subjects[0] if tree.tokens[subjects[0]].pos in ("NOUN", "PROPN") else None


def turn_appositions_into_conjuncts(tree: Tree) -> None:
    """Make an apposition with a conjunct of its own a conjunct: "a cat, a dog and an owl".

    It must follow a comma. It remains an apposition of a person's name ("Ann Lee, a singer and a poet"), if its
    determiner covers its conjuncts ("a singer and poet"), and between commas if it lists the things that a plural names
    ("two people, a man and a girl, in a park") or precedes the verb ("a man, a singer and a poet, smiles").
    """
    for word in tree.bottom_up():
        head = tree.heads[word]
        if head is None or tree.relations[word] != "appos" or not _is_enumerated(tree, word, head):
            continue
        tree.relations[word] = "conj"
        for other in tree.children(head, "appos"):
            if head < other < word and _follows_comma(tree, other):
                tree.relations[other] = "conj"


def _is_enumerated(tree: Tree, word: int, head: int) -> bool:
    conjuncts = tree.children(word, "conj")
    parts = [word, *conjuncts]
    while any(more := [i for part in parts for i in tree.children(part, "conj") if i not in parts]):
        parts += more
    coordinated = any(tree.children(part, "cc") for part in parts)
    if not (conjuncts and coordinated and _follows_comma(tree, word)):
        return False
    shared = bool(tree.children(word, "det")) and not any(
        tree.children(part, "det", "nummod", "poss") for part in parts[1:]
    )
    verb, end = tree.heads[head], tree.below(word)[-1]
    closed = end + 1 < len(tree.tokens) and tree.tokens[end + 1].text == ","
    before_verb = verb is not None and verb > end
    parenthetical = closed and (before_verb or tree.tokens[head].tag in ("NNS", "NNPS"))
    return not (shared or parenthetical or tree.children(head, "flat"))


def _follows_comma(tree: Tree, word: int) -> bool:
    start = tree.below(word)[0]
    return start > 0 and tree.tokens[start - 1].text == ","


def join_depicted_things(tree: Tree) -> None:
    """Coordinate the things in an image: in "a photo of a cat and a dog" the dog is a conjunct of the cat."""
    for word in tree:
        head = tree.heads[word]
        if head is None or tree.relations[word] != "conj" or not _is_depiction(tree, head):
            continue
        objects = [
            i
            for of in tree.children(head, "prep")
            if tree.tokens[of].lemma == "of" and head < of < word
            for i in tree.children(of, "pobj")
        ]
        if objects and not _is_depiction(tree, word):
            for child in (word, *(i for i in tree.children(head, "cc") if i < word)):
                tree.attach(child, objects[-1], tree.relations[child])


def _is_depiction(tree: Tree, word: int) -> bool:
    return tree.tokens[word].lemma.lower() in DEPICTIONS


REPAIRS: Final[tuple[Callable[[Tree], None], ...]] = (
    turn_participial_clauses,
    turn_appositions_into_conjuncts,
    join_depicted_things,
)
"""The repairs in the order of their application."""
