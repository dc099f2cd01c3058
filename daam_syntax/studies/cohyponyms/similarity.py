"""Similarity of two nouns in a WordNet, read with the library wn or from a folder of WNDB files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import networkx as nx

from daam_syntax.errors import FileError, StudyError
from daam_syntax.util.extras import install_hint

Similarity = Callable[[str, str], float]
"""Function that returns the similarity of two nouns, 0 to 1."""

_LIBRARY: Final = "wn:"
_HYPERNYM: Final = ("@", "@i")  # symbols for classes and for instances


def find_similarity(source: str | Path) -> Similarity:
    """Return a function that computes the similarity of two nouns.

    The similarity is that of Wu and Palmer (1994), ``2 k / (i + j + 2 k)``, where k is the number of nodes from the
    root to the deepest common hypernym, and i and j are the numbers of edges from there to the two words. If words have
    several senses, the most similar senses count.

    Parameters
    ----------
    source
        ``"wn:"`` and a lexicon of the library wn, such as ``"wn:oewn:2024"``; or a folder with the file ``data.noun``
        of a WordNet (WNDB format, as installed by Debian's package wordnet-base).

    Raises
    ------
    StudyError
        If the lexicon does not exist. The function raises it for a word that the WordNet lacks.
    FileError
        If the folder lacks the file, or if the file cannot be read.
    """
    text = str(source)
    return (
        _of_library(text.removeprefix(_LIBRARY))
        if text.startswith(_LIBRARY)
        else _of_folder(Path(source))
    )


def _of_library(lexicon: str) -> Similarity:
    try:
        import wn
        from wn.similarity import wup
    except ImportError as error:
        raise StudyError(
            f"Expected the library wn, but it is not installed: run {install_hint('wordnet')}."
        ) from error
    try:
        wordnet = wn.Wordnet(lexicon)
    except wn.Error as error:
        raise StudyError(
            f"Expected a lexicon that wn has installed, but got {lexicon!r} ({error}): run `python -m wn download "
            f"{lexicon}`."
        ) from error

    def similarity(first: str, second: str) -> float:
        senses = [
            _known(wordnet.synsets(noun, pos="n"), noun, text=lexicon) for noun in (first, second)
        ]
        # In most WordNets all nouns share a root; otherwise one is added above them.
        return max(wup(one, other, simulate_root=True) for one in senses[0] for other in senses[1])

    return similarity


def _of_folder(folder: Path) -> Similarity:
    graph, synsets = _read_nouns(folder / "data.noun")
    depth: dict[str, int] = {}
    for node in reversed(list(nx.topological_sort(graph))):  # the root first
        depth[node] = max((depth[above] + 1 for above in graph.successors(node)), default=0)

    def of_senses(one: str, other: str) -> float:
        up, across = (nx.single_source_shortest_path_length(graph, s) for s in (one, other))
        common = set(up) & set(across)
        if not common:  # add a root above both roots
            to_root = [min(steps[n] for n in steps if depth[n] == 0) + 1 for steps in (up, across)]
            return 2 / (sum(to_root) + 2)
        deepest = max(common, key=lambda node: (depth[node], -up[node] - across[node], node))
        k = depth[deepest] + 1
        return 2 * k / (up[deepest] + across[deepest] + 2 * k)

    def similarity(first: str, second: str) -> float:
        senses = [
            _known(synsets.get(_key(noun)), noun, text=str(folder)) for noun in (first, second)
        ]
        return max(of_senses(one, other) for one in senses[0] for other in senses[1])

    return similarity


def _key(noun: str) -> str:
    return noun.lower().replace(" ", "_")


def _known(senses: Iterable[Any] | None, noun: str, text: str) -> list[Any]:
    found = list(senses or ())
    if not found:
        raise StudyError(
            f"Expected nouns of the WordNet {text}, but it lacks {noun!r}: give word pairs in a file with the columns "
            "prompt, slot.first, slot.second, metadata.similarity instead."
        )
    return found


def _read_nouns(path: Path) -> tuple[nx.DiGraph[str], dict[str, list[str]]]:
    """Return the graph from synsets to their hypernyms, and the synsets of each noun.

    A line has: offset, file number, type, number of words (hexadecimal), each word with its id, number of pointers,
    each pointer with symbol, offset, part of speech and places, and a gloss after a bar. Lines of the license are
    indented (manual page wndb(5) of WordNet 3.0).
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    synsets: dict[str, list[str]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(
            f"Expected a folder with the WNDB file data.noun, but {path} cannot be read: {error}."
        ) from error
    try:
        for line in lines:
            if not line.strip() or line.startswith(" "):
                continue
            offset, _, _, n_words, *rest = line.partition(" | ")[0].split()
            n = 2 * int(n_words, 16)
            for word in rest[:n:2]:
                synsets.setdefault(word.lower(), []).append(offset)
            pointers = rest[n + 1 :]
            graph.add_node(offset)
            for place in range(0, 4 * int(rest[n]), 4):
                if pointers[place] in _HYPERNYM:
                    graph.add_edge(offset, pointers[place + 1])
    except (ValueError, IndexError) as error:
        raise FileError(
            f"Expected lines in WNDB format in {path}, but got {line[:60]!r} ({error})."
        ) from error
    return graph, synsets
