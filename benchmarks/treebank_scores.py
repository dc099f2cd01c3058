"""Score the default parser and the enhanced graphs on a Universal Dependencies treebank; see `benchmarks.parsing`.

The words are the treebank's own. Relations are compared without subtypes, except the labels of enhanced graphs (ELAS).
In a graph, a path through an empty node is one edge with both labels, as in `daam_syntax.language.conllu`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from daam_syntax.language import Sentence, conllu, detect_labels, from_doc, load_parser
from daam_syntax.language.ud.enhanced import to_enhanced

FUNCTION_RELATIONS = frozenset({"aux", "case", "cc", "clf", "cop", "det", "mark", "punct"})
"""Relations that CLAS leaves out (https://universaldependencies.org/conll18/evaluation.html)."""

N_CONFUSIONS = 25

_Incoming = tuple[int | None, str]
_GraphEdge = tuple[int, int, str]


def score_treebank(path: str | Path, parser: str | None = None) -> dict[str, Any]:
    """Score a treebank.

    Returns
    -------
    dict
        ``uas``, ``las`` and ``clas`` without and with punctuation, ``elas`` from parsed and from gold trees, precision
        and recall of every relation, and the most frequent confusions.
    """
    gold = conllu.read(path)
    nlp = load_parser(parser)
    parsed = list(parse_words(gold, nlp))
    pairs = list(zip(gold, parsed, strict=True))
    from_trees = [(s, to_graph(s)) for s in gold]
    return {
        "parser": f"{nlp.meta['lang']}_{nlp.meta['name']} {nlp.meta['version']}",
        "sentences": len(gold),
        "words": sum(map(len, gold)),
        "without punctuation": attachment_scores(pairs, punctuation=False),
        "with punctuation": attachment_scores(pairs, punctuation=True),
        "elas": {
            "parsed": f_score((edges_of(s), edges_of(p)) for s, p in pairs),
            "gold trees": f_score((edges_of(s), graph) for s, graph in from_trees),
        },
        "relations": by_relation(pairs),
        "confusions": confusions(pairs),
    }


def parse_words(gold: Sequence[Sentence], nlp: Language) -> Iterator[Sentence]:
    """Parse the words of a treebank, with its spaces between them."""
    docs = []
    for sentence in gold:
        tokens = sentence.tokens
        spaces = [after.start > token.end for token, after in pairwise(tokens)]
        docs.append(Doc(nlp.vocab, words=list(sentence.words), spaces=[*spaces, False]))
    label_set = detect_labels(nlp.get_pipe("parser").labels)  # type: ignore[attr-defined]
    for doc in nlp.pipe(docs):
        yield from_doc(doc, label_set)


def incoming(sentence: Sentence) -> list[_Incoming]:
    """Return the head and the universal relation of every word."""
    found: list[_Incoming] = [(None, "root")] * len(sentence)
    for edge in sentence.edges_of("ud"):
        found[edge.dependent] = (edge.head, edge.relation.split(":")[0])
    return found


def attachment_scores(
    pairs: Iterable[tuple[Sentence, Sentence]], *, punctuation: bool
) -> dict[str, float]:
    """Return the unlabeled and labeled attachment scores, and the labeled F score of content words (CLAS)."""
    n = heads = labeled = content = n_gold = n_parsed = 0
    for gold, parsed in pairs:
        for right, ours in zip(incoming(gold), incoming(parsed), strict=True):
            if right[1] == "punct" and not punctuation:
                continue
            n += 1
            heads += right[0] == ours[0]
            labeled += right == ours
            is_content = right[1] not in FUNCTION_RELATIONS
            n_gold += is_content
            n_parsed += ours[1] not in FUNCTION_RELATIONS
            content += is_content and right == ours
    return {
        "uas": heads / n,
        "las": labeled / n,
        "clas": 2 * content / (n_gold + n_parsed),
        "words": n,
    }


def edges_of(sentence: Sentence) -> set[_GraphEdge]:
    """Return the enhanced graph with its roots."""
    edges = {(e.head, e.dependent, e.relation) for e in sentence.edges_of("enhanced")}
    return edges | {(-1, root, "root") for root in sentence.roots("enhanced")}


def to_graph(gold: Sentence) -> set[_GraphEdge]:
    """Return our enhanced graph of a gold tree."""
    edges, roots = to_enhanced(gold.tokens, gold.edges_of("ud"))
    return {(e.head, e.dependent, e.relation) for e in edges} | {(-1, i, "root") for i in roots}


def f_score(graphs: Iterable[tuple[set[_GraphEdge], set[_GraphEdge]]]) -> float:
    """Return the F score of the edges of graphs against gold graphs."""
    shared = n = 0
    for gold, ours in graphs:
        shared += len(gold & ours)
        n += len(gold) + len(ours)
    return 2 * shared / n


def by_relation(pairs: Iterable[tuple[Sentence, Sentence]]) -> dict[str, dict[str, float]]:
    """Return precision and recall, head included, of every relation, most frequent first."""
    n_gold: Counter[str] = Counter()
    n_parsed: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for gold, parsed in pairs:
        for wanted, ours in zip(incoming(gold), incoming(parsed), strict=True):
            n_gold[wanted[1]] += 1
            n_parsed[ours[1]] += 1
            right[ours[1]] += wanted == ours
    return {
        relation: {
            "n": n,
            "precision": right[relation] / n_parsed[relation] if n_parsed[relation] else 0.0,
            "recall": right[relation] / n,
        }
        for relation, n in n_gold.most_common()
    }


def confusions(pairs: Iterable[tuple[Sentence, Sentence]]) -> list[dict[str, Any]]:
    """Count the wrong edges by gold and parsed relation, and by whether the head is right."""
    counts: Counter[tuple[str, str, bool]] = Counter()
    for gold, parsed in pairs:
        for wanted, ours in zip(incoming(gold), incoming(parsed), strict=True):
            if wanted != ours and wanted[1] != "punct":
                counts[wanted[1], ours[1], wanted[0] == ours[0]] += 1
    return [
        {"gold": gold, "parsed": parsed, "same head": same, "n": n}
        for (gold, parsed, same), n in counts.most_common(N_CONFUSIONS)
    ]
