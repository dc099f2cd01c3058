"""The words and pairs of words of a sample of real prompts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.tables.pairs import _parsed
from daam_syntax.language.parser import parse_many
from daam_syntax.language.sentence import Edge, Sentence

FOLDER: Final = Path(__file__).parents[2] / "data" / "prompts"

SETS: Final = {
    "real": ("real-models",),
    "embedded": ("scenes", "open", "emoji-relations", "minimal-pairs", "adjectives", "cohyponyms"),
    "adjectives": ("adjectives",),
    "cohyponyms": ("cohyponyms",),
}
"""Sets of prompts, and the files that they come from."""

_PARSES: dict[str, tuple[Sentence, ...]] = {}

SCHEME: Final = "ud"
THRESHOLD: Final = "relative:0.4"


@lru_cache(maxsize=4)
def sentences(name: str) -> tuple[Sentence, ...]:
    """Return the parsed prompts of a set of `SETS`."""
    if name in _PARSES:
        return _PARSES[name]
    texts = pd.concat([pd.read_csv(FOLDER / f"{file}.csv")["prompt"] for file in SETS[name]])
    return tuple(parse_many(list(dict.fromkeys(texts))))


def write_parses(path: Path) -> None:
    """Write the parsed prompts of every set, for machines without a parser."""
    found = {name: [sentence.to_dict() for sentence in sentences(name)] for name in SETS}
    path.write_text(json.dumps(found), encoding="utf-8")


def read_parses(path: Path) -> None:
    """Take the parsed prompts from a file of `write_parses` from now on."""
    found = json.loads(path.read_text(encoding="utf-8"))
    _PARSES.update({name: tuple(map(Sentence.from_dict, rows)) for name, rows in found.items()})


@lru_cache(maxsize=2048)
def _columns(sentence: Sentence) -> dict[str, np.ndarray]:
    """Return the rows of the pair table that depend only on the parse."""
    found = {name: np.array(v, dtype=object) for name, v in _parsed(sentence, SCHEME, True).items()}
    for name in ("head_index", "dependent_index", "linear_distance"):
        found[name] = found[name].astype(int)
    for role in ("head", "dependent"):
        texts = found.pop(role)
        found[f"{role}_subwords"] = np.array([n_subwords(text) for text in texts])
    return found


def n_subwords(text: str) -> int:
    """Return a number of subwords: long words are divided, as tokenizers of text encoders do."""
    return 1 + (len(text) > 7) + (len(text) > 11)


def permuted(sentence: Sentence, rng: np.random.Generator) -> Sentence:
    """Return a sentence whose words of one part of speech trade places in the tree."""
    by_pos: dict[str, list[int]] = {}
    for token in sentence.tokens:
        by_pos.setdefault(token.pos, []).append(token.index)
    to = {
        old: int(new)
        for words in by_pos.values()
        for old, new in zip(words, rng.permutation(words), strict=True)
    }
    edges = tuple(Edge(to[e.head], to[e.dependent], e.relation) for e in sentence.edges_of(SCHEME))
    return replace(sentence, edges={SCHEME: edges}, root_indices={})


@dataclass(frozen=True)
class Layout:
    """The words and the pairs of a simulated study, before anything is drawn.

    Words are numbered over all images. The words of an image are in the order of its prompt.

    Attributes
    ----------
    sample
        One sentence per prompt.
    n_images
        Images per prompt.
    table
        The pair table without measures.
    head, dependent
        Words of each pair. *Shape:* ``(pair,)`` each.
    """

    sample: tuple[Sentence, ...]
    n_images: int
    table: pd.DataFrame
    head: np.ndarray
    dependent: np.ndarray

    @cached_property
    def words(self) -> pd.DataFrame:
        """One row per word and image: prompt, image, index, pos, lemma, subwords, length, and slot.

        ``slot`` numbers the words of the prompts, so the images of a prompt share the slots of its words.
        """
        rows = [
            (number, token.index, token.pos, token.lemma, n_subwords(token.text), len(sentence))
            for number, sentence in enumerate(self.sample)
            for token in sentence.tokens
        ]
        names = ["prompt", "index", "pos", "lemma", "subwords", "length"]
        once = pd.DataFrame(rows, columns=names).assign(slot=np.arange(len(rows)))
        parts = [
            once.assign(image=once["prompt"] * self.n_images + seed)
            for seed in range(self.n_images)
        ]
        found = pd.concat(parts, ignore_index=True)
        return found.sort_values(["image", "index"], ignore_index=True)

    @cached_property
    def related(self) -> np.ndarray:
        """Whether a pair is a dependency. *Shape:* ``(pair,)``."""
        return (self.table["kind"] == "dependency").to_numpy()

    @cached_property
    def distance(self) -> np.ndarray:
        """Tokens from one word to the other, without sign. *Shape:* ``(pair,)``."""
        return self.table["linear_distance"].abs().to_numpy(float)

    @cached_property
    def couples(self) -> np.ndarray:
        """Number of each pair of slots: the images of a prompt share it. *Shape:* ``(pair,)``."""
        slot = self.words["slot"].to_numpy()
        ends = np.sort(np.stack([slot[self.head], slot[self.dependent]]), axis=0)
        return np.unique(ends, axis=1, return_inverse=True)[1].ravel()


def layout(sample: Sequence[Sentence], n_images: int, names: Sequence[str] = ()) -> Layout:
    """Return the words and pairs of a sample.

    Parameters
    ----------
    sample
        Parsed prompts.
    n_images
        Images per prompt.
    names
        A template for each prompt; if none, each prompt is its own.
    """
    parts: list[dict[str, Any]] = []
    firsts = np.cumsum([0, *(len(s) * n_images for s in sample)])
    head, dependent = [], []
    for number, sentence in enumerate(sample):
        rows = _columns(sentence)
        n = len(rows["kind"])
        for seed in range(n_images):
            first = firsts[number] + seed * len(sentence)
            head.append(rows["head_index"] + first)
            dependent.append(rows["dependent_index"] + first)
            parts.append(
                rows
                | {
                    "prompt_id": np.full(n, f"p{number:03}", dtype=object),
                    "template": np.full(n, names[number] if names else f"p{number:03}", object),
                    "image": np.full(n, number * n_images + seed),
                    "seed": np.full(n, seed),
                }
            )
    columns = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
    columns["tree_distance"] = pd.array(columns["tree_distance"].tolist(), dtype="Int64")
    columns["threshold"] = np.full(len(columns["kind"]), THRESHOLD, dtype=object)
    # Columns of objects: pandas takes rows of them faster than rows of its own strings.
    table = pd.DataFrame(
        {
            name: pd.Series(values, dtype=object) if values.dtype == object else values
            for name, values in columns.items()
        }
    )
    return Layout(tuple(sample), n_images, table, np.concatenate(head), np.concatenate(dependent))
