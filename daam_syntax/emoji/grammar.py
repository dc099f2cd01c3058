"""Captions of scenes, with their dependency trees.

The trees follow basic Universal Dependencies (https://universaldependencies.org/u/dep/). Because they are known and not
parsed, parse errors can be distinguished from effects of attention. Each meaning can be expressed in several patterns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from daam_syntax.emoji.vocabulary import BACKGROUNDS, CATEGORY_OF, VERB_FORMS
from daam_syntax.language.sentence import Edge, Sentence, Span, Token
from daam_syntax.language.ud.enhanced import to_enhanced
from daam_syntax.util.arguments.checks import checked

PARSER_NAME: Final = "emoji grammar"

Pattern = Literal["phrase", "finite", "progressive", "relative", "existential", "picture", "scene"]

SCENE_NAMES: Final = ("beach", "snow", "night", "city", "forest", "desert")
"""Backgrounds that can name a scene ("a beach scene with ...")."""

BACKGROUND: Final = -1
"""Referent of words for the background; words for an object refer to its index."""


@checked
@dataclass(frozen=True)
class ObjectSpec:
    """One object: its noun, and how the caption describes it.

    Attributes
    ----------
    noun
        One of `vocabulary.NOUNS`.
    color, size
        Its color and size in the image and in the caption; None for its own color and ordinary size.
    by_category
        Whether the caption uses its category ("a bird") instead of its noun.
    """

    noun: str
    color: str | None = None
    size: str | None = None
    by_category: bool = False


@checked
@dataclass(frozen=True)
class SceneSpec:
    """The meaning of a scene, and the pattern of its caption.

    Attributes
    ----------
    objects
        One to three objects.
    relation
        Relation between the first two objects: "and", one of `vocabulary.PREPOSITIONS`, or the lemma of a verb
        (`vocabulary.VERB_FORMS`). A third object is coordinated after "and"; otherwise it is "next to" the second.
    background
        One of `vocabulary.BACKGROUNDS`, or None for a plain one.
    pattern
        Pattern of the caption; one that cannot express this meaning falls back to a plain noun phrase.
    """

    objects: tuple[ObjectSpec, ...]
    relation: str = "and"
    background: str | None = None
    pattern: Pattern = "phrase"


@dataclass
class _Node:
    """A word with the dependents before and after it; `refers` is the index of its referent."""

    form: str
    pos: str
    relation: str = "root"
    lemma: str = ""
    refers: int | None = None
    before: list[_Node] = field(default_factory=list)
    after: list[_Node] = field(default_factory=list)

    def __iter__(self) -> Iterator[_Node]:
        for node in self.before:
            yield from node
        yield self
        for node in self.after:
            yield from node

    def as_(self, relation: str, *before: _Node) -> _Node:
        """Set the relation of this subtree to its head, and put more dependents in front."""
        self.relation = relation
        self.before[:0] = before
        return self


def _case(phrase: str) -> _Node:
    """Build the preposition of a phrase; the parts of "next to" are joined by `fixed`."""
    first, *rest = phrase.split()
    return _Node(
        first, "ADP", "case", after=[_Node(word, "ADP", "fixed", lemma=word) for word in rest]
    )


def _noun_phrase(
    spec: ObjectSpec, refers: int, definite: bool = False, with_color: bool = True
) -> _Node:
    *modifiers, head = (CATEGORY_OF[spec.noun] if spec.by_category else spec.noun).split()
    adjectives = [word for word in (spec.size, spec.color if with_color else None) if word]
    before = [_Node(word, "ADJ", "amod", refers=refers) for word in adjectives]
    for word in modifiers:
        wild = word == "wild"
        before.append(
            _Node(word, "ADJ" if wild else "NOUN", "amod" if wild else "compound", refers=refers)
        )
    node = _Node(head, "NOUN", refers=refers, before=before)
    article = "the" if definite else _article(next(iter(node)).form)
    before.insert(0, _Node(article, "DET", "det", lemma="the" if definite else "a"))
    return node


def _article(next_word: str) -> str:
    return "an" if next_word[0] in "aeiou" else "a"


def _location(background: str) -> _Node:
    """Build a phrase of place: "in the snow", "at night"."""
    preposition, article = BACKGROUNDS[background]
    before = [_case(preposition)]
    if article:
        before.append(_Node(article, "DET", "det"))
    return _Node(background, "NOUN", refers=BACKGROUND, before=before)


def _spatial(preposition: str, landmark: _Node) -> _Node:
    """Build "on a bed", "next to a bed", or, with a noun in between, "to the left of a bed"."""
    if preposition.startswith("to the "):
        side = preposition.split()[2]
        return _Node(
            side,
            "NOUN",
            before=[_case("to"), _Node("the", "DET", "det")],
            after=[landmark.as_("nmod", _case("of"))],
        )
    return landmark.as_("nmod", _case(preposition))


def _is(relation: str) -> _Node:
    return _Node("is", "AUX", relation, lemma="be")


def _verb_clause(spec: SceneSpec, subject: _Node, obj: _Node) -> _Node:
    """Build a clause whose root is the verb, or the subject if the verb modifies it."""
    finite, participle = VERB_FORMS[spec.relation]
    if spec.pattern in ("finite", "scene"):
        verb = _Node(finite, "VERB", lemma=spec.relation)
        verb.before.append(subject.as_("nsubj"))
    elif spec.pattern in ("progressive", "existential"):
        verb = _Node(participle, "VERB", lemma=spec.relation)
        verb.before += [subject.as_("nsubj"), _is("aux")]
    else:
        verb = _Node(participle, "VERB", lemma=spec.relation)
        if spec.pattern == "relative":
            verb.before += [_Node("that", "PRON", "nsubj"), _is("aux")]
        verb.after.append(obj.as_("obj"))
        subject.after.append(verb.as_("acl:relcl" if spec.pattern == "relative" else "acl"))
        return subject
    verb.after.append(obj.as_("obj"))
    return verb


def _noun_phrases_joined(spec: SceneSpec, first: _Node) -> _Node:
    """Join all objects into one noun phrase: a coordination, or a noun with a modifying place or action."""
    others = [_noun_phrase(obj, i) for i, obj in enumerate(spec.objects) if i > 0]
    if not others:
        return first
    if spec.relation == "and":
        for i, node in enumerate(others):
            last = i == len(others) - 1
            mark = _Node("and", "CCONJ", "cc") if last else _Node(",", "PUNCT", "punct")
            first.after.append(node.as_("conj", mark))
        return first
    second = others[0]
    if len(others) > 1:
        second.after.append(_spatial("next to", others[1]))
    if spec.relation in VERB_FORMS:
        return _verb_clause(spec, first, second)
    first.after.append(_spatial(spec.relation, second).as_("nmod"))
    return first


def _root(spec: SceneSpec) -> _Node:
    """Build the whole tree of a caption."""
    one = len(spec.objects) == 1
    place = _location(spec.background) if spec.background else None
    verbal = spec.relation in VERB_FORMS and not one
    first_spec = spec.objects[0]

    if one and spec.pattern == "progressive" and first_spec.color:
        # "the cat is red": the adjective is the predicate.
        root = _Node(first_spec.color, "ADJ", refers=0)
        subject = _noun_phrase(first_spec, 0, definite=True, with_color=False)
        root.before += [subject.as_("nsubj"), _is("cop")]
    elif len(spec.objects) == 2 and spec.pattern == "progressive" and not verbal:
        # "a cat is on a bed": the landmark is the predicate, "is" only its copula.
        if spec.relation == "and":
            return _root(_with_pattern(spec, "existential"))
        root = _spatial(spec.relation, _noun_phrase(spec.objects[1], 1)).as_("root")
        root.before[:0] = [_noun_phrase(first_spec, 0).as_("nsubj"), _is("cop")]
    elif spec.pattern == "scene" and spec.background in SCENE_NAMES and not verbal:
        root = _Node("scene", "NOUN", refers=BACKGROUND)
        root.before += [
            _Node("a", "DET", "det"),
            _Node(spec.background, "NOUN", "compound", refers=BACKGROUND),
        ]
        joined = _noun_phrases_joined(spec, _noun_phrase(first_spec, 0))
        root.after.append(joined.as_("nmod", _case("with")))
        return root
    else:
        root = _noun_phrases_joined(spec, _noun_phrase(first_spec, 0))
        if spec.pattern == "existential" and not verbal:
            root = _Node(
                "is",
                "VERB",
                lemma="be",
                before=[_Node("there", "PRON", "expl")],
                after=[root.as_("nsubj")],
            )
        elif spec.pattern == "picture" and root.pos == "NOUN":
            root = _Node(
                "picture",
                "NOUN",
                before=[_Node("a", "DET", "det")],
                after=[root.as_("nmod", _case("of"))],
            )
    if place:
        if verbal and spec.pattern == "scene":
            # "in the snow, a cat chases an owl": the place comes first.
            root.before[:0] = [place.as_("obl"), _Node(",", "PUNCT", "punct")]
        elif root.pos in ("VERB", "ADJ") or any(n.relation == "cop" for n in root.before):
            root.after.append(place.as_("obl"))
        else:
            # In "a picture of a cat in a room", the place modifies the cat.
            content = root.after[0] if root.form == "picture" else root
            content.after.append(place.as_("nmod"))
    return root


def _with_pattern(spec: SceneSpec, pattern: Pattern) -> SceneSpec:
    return SceneSpec(spec.objects, spec.relation, spec.background, pattern)


@checked
def write_caption(spec: SceneSpec) -> tuple[Sentence, dict[int, int]]:
    """Write the caption of a scene, with its tree and the referents of its words.

    Parameters
    ----------
    spec
        Meaning and pattern of the scene.

    Returns
    -------
    sentence
        The caption with its basic UD tree (scheme ``"ud"``) and the enhanced graph of that tree (``"enhanced"``).
    refers
        Maps each token index to the index of its object, for the noun and its adjectives and modifiers, or to
        `BACKGROUND`. Words that refer to nothing visible are left out.
    """
    root = _root(spec)
    nodes = list(root)
    index = {id(node): i for i, node in enumerate(nodes)}
    text = ""
    tokens = []
    for i, node in enumerate(nodes):
        if text and node.pos != "PUNCT":
            text += " "
        start = len(text)
        text += node.form
        lemma = node.lemma or node.form
        tokens.append(Token(i, node.form, lemma, node.pos, "", start, len(text)))
    edges = sorted(
        (
            Edge(index[id(node)], index[id(child)], child.relation)
            for node in nodes
            for child in (*node.before, *node.after)
        ),
        key=lambda edge: edge.dependent,
    )
    phrases = []
    for node in nodes:
        if node.pos == "NOUN" and node.relation != "compound":
            inner = [
                child for child in node.before if child.relation in ("det", "amod", "compound")
            ]
            start = index[id(inner[0])] if inner else index[id(node)]
            phrases.append(Span(start, index[id(node)] + 1, index[id(node)]))
    enhanced, roots = to_enhanced(tokens, edges)
    sentence = Sentence(
        text=text,
        tokens=tuple(tokens),
        edges={"ud": tuple(edges), "enhanced": enhanced},
        noun_phrases=tuple(phrases),
        parser=PARSER_NAME,
        root_indices={"enhanced": roots},
    )
    refers = {i: node.refers for i, node in enumerate(nodes) if node.refers is not None}
    return sentence, refers
