"""Convert ClearNLP trees, the output of spaCy's English models, to basic Universal Dependencies.

The two differ in the heads of phrases. In ClearNLP, function words are heads: a preposition heads its object, a copula
its predicate. In Universal Dependencies content words are heads, and function words depend on them
(https://universaldependencies.org/u/overview/syntax.html). The rules in `RULES` convert one construction at a time, in
order. `parser_repairs` and `names_and_numbers` change the ClearNLP tree first.

ClearNLP's labels: https://github.com/clir/clearnlp-guidelines/blob/master/md/specifications/dependency_labels.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType
from typing import Final

from daam_syntax.language.sentence import Edge, Span, Token
from daam_syntax.language.tree import Tree
from daam_syntax.language.ud import parser_repairs
from daam_syntax.language.ud.names_and_numbers import attach_numbers_after_nouns, flatten_names

_LABELS: Final = (
    "acl acomp advcl advmod agent amod appos attr aux auxpass case cc ccomp compound conj csubj csubjpass dative dep "
    "det dobj expl intj mark meta neg nmod npadvmod nsubj nsubjpass nummod oprd parataxis pcomp pobj poss preconj "
    "predet prep prt punct quantmod relcl xcomp ROOT root"
)
LABELS: Final = frozenset(_LABELS.split())
"""All labels of spaCy's English models."""

NOMINAL: Final = frozenset({"NOUN", "PROPN", "PRON", "NUM", "DET", "SYM", "X"})
"""Parts of speech whose prepositional modifiers are `nmod`. Those of predicates and modifiers are `obl`."""

_FIXED_PHRASES: Final = (
    "as well as, as opposed to, not to mention, so as to, whether or not, according to, as for, as if, as to, "
    "as well, because of, due to, each other, how come, in between, instead of, let alone, next to, of course, "
    "one another, prior to, rather than, so that, such as, such that"
)
FIXED: Final = tuple(tuple(phrase.split()) for phrase in _FIXED_PHRASES.split(", "))
"""Expressions that act as one function word, longer ones first: those in
https://universaldependencies.org/en/dep/fixed.html that do not depend on context, and "next to"."""

FIXED_BEFORE_NUMBERS: Final = (("more", "than"), ("less", "than"), ("up", "to"))
"""Expressions that are fixed only before a number."""

RENAMED: Final = MappingProxyType(
    {
        "ROOT": "root",
        "acomp": "xcomp",
        "attr": "xcomp",
        "auxpass": "aux:pass",
        "csubjpass": "csubj:pass",
        "dobj": "obj",
        "intj": "discourse",
        "meta": "dep",  # codes and remarks, for which UD has no relation
        "neg": "advmod",
        "nsubjpass": "nsubj:pass",
        "oprd": "xcomp",
        "pobj": "dep",  # a second object of one preposition
        "pcomp": "dep",
        "poss": "nmod:poss",
        "preconj": "cc:preconj",
        "predet": "det:predet",
        "prt": "compound:prt",
        "quantmod": "advmod",
        "relcl": "acl:relcl",
    }
)
"""Labels that are only renamed, after the tree has its final shape."""

_SHORT_BE: Final = frozenset({"\u2019s", "\u2019re", "\u2019m"})  # without a lemma of their own
_TOLD: Final = frozenset(
    {"ask", "convince", "inform", "instruct", "notify", "remind", "teach", "tell", "trust"}
)
_CASE_BEFORE_ADVERBS: Final = frozenset(
    {
        ("at", "all"),
        ("at", "best"),
        ("at", "least"),
        ("at", "most"),
        ("as", "such"),
        ("as", "yet"),
        ("in", "here"),
        ("in", "there"),
        ("inside", "there"),
        ("up", "there"),
    }
)
_PREPOSITIONAL: Final = ("prep", "agent", "dative")
_OF_FUNCTION_WORDS: Final = ("advmod", "amod", "mark", "prt")  # "next to a dog", "up in a tree"
_SUBJECTS: Final = ("nsubj", "nsubjpass", "csubj", "csubjpass")
_FINITE_TAGS: Final = frozenset({"MD", "VBZ", "VBP", "VBD"})
_CLAUSE: Final = "prep+clause"  # a clause after a preposition, before its head is labeled


def to_ud(
    tokens: Sequence[Token], edges: Iterable[Edge], names: Iterable[Span] = ()
) -> tuple[Edge, ...]:
    """Convert a ClearNLP tree to basic Universal Dependencies.

    Parameters
    ----------
    tokens
        All tokens of the sentence, with lemmas, parts of speech and Penn tags.
    edges
        Its ClearNLP edges, at most one to each token.
    names
        Names of people, whose words become `flat`. Their roots are not read.

    Returns
    -------
    tuple of Edge
        A tree over the same tokens without white space, in the order of the dependents.

    Raises
    ------
    ValueError
        If the edges do not form a tree.
    """
    tree = Tree(tokens, edges)
    flatten_names(tree, names)
    for rule in RULES:
        rule(tree)
    return tree.edges()


def turn_clausal_predicates(tree: Tree) -> None:
    """Make a finite clause the predicate of "be": "the problem is that it rains"."""
    for word in tree.bottom_up():
        if not _is_be(tree, word) or tree.children(word, "acomp", "attr", "oprd", "expl"):
            continue
        subjects = [i for i in tree.children(word, *_SUBJECTS) if i < word]
        clauses = [i for i in tree.children(word, "ccomp") if i > word]
        if not subjects or not clauses or tree.relations[word] in ("aux", "auxpass"):
            continue
        tree.promote(clauses[0], over=word, relation="cop")
        for child in tree.children(word):
            outer = f"{tree.relations[child]}:outer" if child in subjects else None
            tree.attach(child, clauses[0], outer or tree.relations[child])


def turn_expletives(tree: Tree) -> None:
    """Make the clause the subject of its predicate in "it is good that you came"; "it" becomes an expletive.

    https://universaldependencies.org/en/dep/expl.html
    """
    for word in tree:
        token, predicate = tree.tokens[word], tree.heads[word]
        if token.text.lower() != "it" or predicate is None or tree.relations[word] != "nsubj":
            continue
        if tree.tokens[predicate].pos != "ADJ" or not tree.children(predicate, "cop"):
            continue
        clauses = [
            i
            for i in tree.children(predicate, "xcomp", "ccomp", "advcl")
            if i > predicate
            and any(tree.tokens[m].text.lower() in ("to", "that") for m in tree.children(i, "mark"))
        ]
        if clauses:
            tree.relations[word] = "expl"
            tree.relations[clauses[0]] = "csubj"


def mark_prepositions_of_adverbs(tree: Tree) -> None:
    """Make prepositions before adverbs `case` ("at least", "in there")."""
    for word in tree:
        head = tree.heads[word]
        if head == word + 1 and tree.relations[word] == "advmod":
            words = (tree.tokens[word].text.lower(), tree.tokens[head].text.lower())
            if words in _CASE_BEFORE_ADVERBS:
                tree.relations[word] = "case"


def label_addressees(tree: Tree) -> None:
    """Make the person who is told something an indirect object, even if the object is a clause or missing."""
    for word in tree.heads:
        verb = tree.heads[word]
        if verb is None or tree.relations[word] not in ("dobj", "dative"):
            continue
        if tree.tokens[verb].lemma not in _TOLD or len(tree.children(verb, "dobj", "dative")) > 1:
            continue
        is_person = tree.tokens[word].tag == "PRP" and tree.tokens[word].text.lower() != "it"
        if is_person or tree.children(verb, "ccomp", "xcomp"):
            tree.relations[word] = "iobj"


def join_hyphenated_words(tree: Tree) -> None:
    """Make a noun before a hyphen a compound: "a snow-covered house"."""
    for word in tree:
        hyphenated = tree.heads[word] == word + 2 and tree.tokens[word + 1].text == "-"
        if tree.relations[word] == "npadvmod" and hyphenated:
            tree.relations[word] = "compound"


def mark_infinitives(tree: Tree) -> None:
    """Make "to" before an infinitive a `mark`. An infinitive labeled as a relative clause becomes `acl`."""
    for word in tree:
        if tree.relations[word] == "aux" and tree.tokens[word].tag == "TO":
            tree.relations[word] = "mark"
            verb = tree.heads[word]
            if (
                verb is not None
                and tree.relations[verb] == "relcl"
                and not _relativizer(tree, verb)
            ):
                tree.relations[verb] = "acl"


def join_fixed_expressions(tree: Tree) -> None:
    """Attach the words of a fixed expression to its first word (`fixed`)."""
    words = [tree.tokens[i].text.casefold() for i in range(len(tree.tokens))]
    for phrase in (*FIXED, *FIXED_BEFORE_NUMBERS):
        for start in tree:
            end = start + len(phrase)
            number = end < len(words) and tree.tokens[end].pos == "NUM"
            if tuple(words[start:end]) == phrase and (phrase in FIXED or number):
                _join(tree, list(range(start, end)))


def _join(tree: Tree, members: list[int]) -> None:
    first, *rest = members
    tops = [i for i in members if tree.heads[i] not in members]
    if len({tree.heads[i] for i in tops}) > 1 or any(tree.relations[i] == "fixed" for i in members):
        return  # not a constituent, or part of a longer expression
    tree.attach(first, tree.heads[tops[-1]], tree.relations[tops[-1]])
    for word in rest:
        for child in tree.children(word):
            if child not in members:
                tree.attach(child, first, tree.relations[child])
    for word in rest:
        tree.attach(word, first, "fixed")


def turn_prepositions(tree: Tree) -> None:
    """Make the object of a preposition its head. The preposition becomes `case`, or `mark` for a clause.

    https://universaldependencies.org/u/dep/case.html
    """
    for word in tree.bottom_up():
        found = _object_of(tree, word)
        if found is None:
            continue
        obj, shared_with = found
        clausal = tree.relations[obj] == "pcomp" and _is_predicate(tree, obj)
        tree.promote(obj, over=word, relation="mark" if clausal else "case")
        if tree.relations[obj] in (*_PREPOSITIONAL, *_OF_FUNCTION_WORDS):
            role = tree.relations[obj] if tree.relations[obj] in _PREPOSITIONAL else "prep"
            tree.relations[obj] = _CLAUSE if clausal else role
        if shared_with is not None:  # "on and under the table"
            tree.attach(shared_with, word, "conj")
            continue
        # "in and out of the box": conjoined prepositions stay together; other dependents modify the phrase.
        conjoined = [i for i in tree.children(word, "conj") if tree.tokens[i].pos == "ADP"]
        conjoined = [i for i in conjoined if not tree.children(i, "case")]
        for child in tree.children(word):
            relation = tree.relations[child]
            stays = relation == "fixed" or child in conjoined or (relation == "cc" and conjoined)
            if not stays:
                tree.attach(child, obj, relation)


def _object_of(tree: Tree, preposition: int) -> tuple[int, int | None] | None:
    """Return the object of a preposition, and the second preposition that shares it, if any."""
    objects = tree.children(preposition, "pobj") or tree.children(preposition, "pcomp")
    if objects:
        return objects[0], None
    if tree.tokens[preposition].pos not in ("ADP", "SCONJ"):
        return None
    for nested in tree.children(preposition, "prep"):
        if tree.children(
            nested, "case"
        ):  # "from behind the tree": the inner phrase is already turned
            return nested, None
    for conjunct in tree.children(preposition, "conj"):
        cases = tree.children(conjunct, "case")
        if cases:
            return conjunct, cases[0]
    return None


def _is_predicate(tree: Tree, word: int) -> bool:
    return tree.tokens[word].pos in ("VERB", "AUX") or bool(tree.children(word, *_SUBJECTS))


def label_prepositional_phrases(tree: Tree) -> None:
    """Label prepositional phrases `nmod` or `obl` by what they modify, and label prepositions without an object.

    https://universaldependencies.org/u/dep/obl.html
    """
    for word in tree:
        relation, head = tree.relations[word], tree.heads[word]
        if head is None or relation not in (*_PREPOSITIONAL, _CLAUSE):
            continue
        nominal = tree.tokens[head].pos in NOMINAL
        if relation == _CLAUSE:
            tree.relations[word] = "acl" if nominal else "advcl"
        elif tree.tokens[word].pos == "ADP" and not tree.children(word, "case"):
            tree.relations[word] = "obl" if _is_stranded(tree, head) else "advmod"
        elif not tree.children(word, "case"):
            continue  # a dative noun phrase
        elif relation == "agent":
            tree.relations[word] = "obl:agent"
        elif relation == "dative":
            tree.relations[word] = "obl"
        else:
            tree.relations[word] = "nmod" if nominal else "obl"


def _is_stranded(tree: Tree, verb: int) -> bool:
    """Whether a preposition of this verb is stranded in a relative clause: "the boy she talked to"."""
    top: int | None = verb
    while top is not None and tree.relations[top] == "xcomp":
        top = tree.heads[top]
    if top is None or tree.relations[top] not in ("relcl", "acl"):
        return False
    infinitive = bool(tree.children(top, "mark"))
    return infinitive or (tree.relations[top] == "relcl" and not _relativizer(tree, top))


def _relativizer(tree: Tree, verb: int) -> bool:
    """Whether a clause has a word such as "that", "which" or "where" before its verb."""
    wh_tags = ("WDT", "WP", "WP$", "WRB")
    return any(tree.tokens[i].tag in wh_tags for i in tree.below(verb) if i < verb)


def raise_subjects_of_small_clauses(tree: Tree) -> None:
    """Make the subject of a non-finite complement the object of the governing verb: "paints the house red".

    The complement becomes an `xcomp` (https://universaldependencies.org/u/dep/xcomp.html).
    """
    for word in tree:
        verb = tree.heads[word]
        if tree.relations[word] != "ccomp" or verb is None or tree.tokens[verb].pos != "VERB":
            continue
        subjects = [i for i in tree.children(word, "nsubj", "nsubjpass") if verb < i < word]
        if len(subjects) == 1 and _is_non_finite(tree, word) and not tree.children(verb, "dobj"):
            tree.attach(subjects[0], verb, "dobj")
            tree.relations[word] = "xcomp"


def _is_non_finite(tree: Tree, word: int) -> bool:
    tag = tree.tokens[word].tag
    helpers = tree.children(word, "aux", "auxpass")
    marks = [i for i in tree.children(word, "mark") if tree.tokens[i].tag != "TO"]
    finite = bool(marks) or any(tree.tokens[i].tag in _FINITE_TAGS for i in helpers)
    return tag != "" and tag not in _FINITE_TAGS and not finite


def turn_copulas(tree: Tree) -> None:
    """Make the predicate the head of its copula (`cop`), and the pivot of "there is" a subject.

    https://universaldependencies.org/u/dep/cop.html and https://universaldependencies.org/en/dep/expl.html
    """
    for word in tree.bottom_up():
        if not _is_be(tree, word) or tree.relations[word] in ("aux", "auxpass"):
            continue
        if tree.children(word, "expl"):
            for there_is in tree.children(word, "attr", "dobj")[:1]:
                tree.relations[there_is] = "nsubj"
            continue
        predicate = _predicate_of(tree, word)
        if predicate is not None:
            tree.promote(predicate, over=word, relation="cop")
            for child in tree.children(word):
                tree.attach(child, predicate, tree.relations[child])


def _is_be(tree: Tree, word: int) -> bool:
    token = tree.tokens[word]
    return token.pos in ("AUX", "VERB") and (token.lemma == "be" or token.lemma in _SHORT_BE)


def _predicate_of(tree: Tree, be: int) -> int | None:
    """Return the predicate that "be" links to its subject: a noun, an adjective, or else a place."""
    said = tree.children(be, "acomp", "attr", "oprd")
    if said:
        return said[0]
    if tree.children(be, "ccomp", "xcomp", "dobj"):
        return None  # "be" stays the head of a clausal predicate
    places = [i for i in tree.children(be, "obl") if i > be and tree.children(i, "case")]
    adverbs = [i for i in tree.children(be, "advmod") if i > be]
    return next(iter([*places, *adverbs[-1:]]), None)


def flatten_coordinations(tree: Tree) -> None:
    """Attach all conjuncts to the first, and each conjunction and comma to the conjunct that follows it.

    https://universaldependencies.org/u/dep/conj.html
    """
    for word in tree:
        head = tree.heads[word]
        while (
            tree.relations[word] == "conj" and head is not None and tree.relations[head] == "conj"
        ):
            head = tree.heads[head]
            tree.heads[word] = head
    for first in tree:
        conjuncts = [i for i in tree.children(first, "conj") if i > first]
        for conjunction in [i for part in (first, *conjuncts) for i in tree.children(part, "cc")]:
            following = [i for i in conjuncts if i > conjunction]
            if following and conjunction > first:
                tree.attach(conjunction, following[0], "cc")
        for conjunct in conjuncts:
            before = tree.below(conjunct)[0] - 1
            is_comma = tree.relations.get(before) == "punct" and tree.tokens[before].text in ",;"
            if is_comma and not tree.children(before):
                tree.attach(before, conjunct, "punct")


def rename(tree: Tree) -> None:
    """Rename the remaining relations to those of Universal Dependencies."""
    for word in tree:
        relation, head = tree.relations[word], tree.heads[word]
        if head is None:
            tree.relations[word] = "root"
        elif relation == "npadvmod":
            nominal = tree.tokens[head].pos in NOMINAL
            tree.relations[word] = "nmod:unmarked" if nominal else "obl:unmarked"
        elif relation in _PREPOSITIONAL:  # a dative noun phrase, or a wrong part of speech
            complements = tree.children(head, "dobj", "obj", "ccomp", "xcomp")
            dative = "iobj" if complements else "obj"
            tree.relations[word] = dative if relation == "dative" else "advmod"
        elif relation == "nmod" and not tree.children(word, "case"):
            tree.relations[word] = _premodifier(tree, word, head)
        elif relation in (_CLAUSE, *RENAMED):
            tree.relations[word] = RENAMED.get(relation, "advcl")
        elif relation == "":
            tree.relations[word] = "dep"


def _premodifier(tree: Tree, word: int, head: int) -> str:
    """Return the UD relation of ClearNLP's `nmod`, an unspecified modifier of a noun."""
    pos = tree.tokens[word].pos
    if pos in ("NOUN", "PROPN") and word < head:
        return "compound"
    return {"ADJ": "amod", "VERB": "amod", "NUM": "nummod", "ADV": "advmod"}.get(pos, "nmod")


RULES: Final[tuple[Callable[[Tree], None], ...]] = (
    *parser_repairs.REPAIRS,
    attach_numbers_after_nouns,
    join_hyphenated_words,
    label_addressees,
    mark_prepositions_of_adverbs,
    mark_infinitives,
    join_fixed_expressions,
    turn_prepositions,
    label_prepositional_phrases,
    raise_subjects_of_small_clauses,
    turn_clausal_predicates,
    turn_copulas,
    turn_expletives,
    flatten_coordinations,
    rename,
)
"""The rules in the order of their application."""
