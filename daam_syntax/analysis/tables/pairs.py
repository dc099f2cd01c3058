"""The pair table: every head with its dependent, and unrelated pairs as the control."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import scipy

from daam_syntax.analysis.roles import other_role
from daam_syntax.analysis.tables.identity import (
    image_columns,
    with_map_kind,
    without_plain_kind,
)
from daam_syntax.analysis.tables.image_batches import Batch, Size, batches
from daam_syntax.analysis.tables.parse_columns import Columns, parsed_columns
from daam_syntax.language.sentence import Sentence
from daam_syntax.maps import HeatMaps, Threshold, parse_threshold
from daam_syntax.maps.measures import (
    DEFAULT_PAIR_MEASURES,
    PAIR_MEASURES,
    Measure,
    choose,
    is_constant,
    measure_maps,
    measure_masks,
    swapped,
)
from daam_syntax.util.arguments.checks import OWN, checked

MEASURES: Final = DEFAULT_PAIR_MEASURES
"""Measures in the pair table by default, among `PAIR_MEASURES`."""

PAIR_COLUMNS: Final = {
    "prompt_id": "Short name of the prompt, the same in every run",
    "prompt": "The prompt's text",
    "image": "Number of the image in the measured list, from 0",
    "seed": "Seed of the image (in a run, the seed index); missing if unknown",
    "kind": '"dependency", "unrelated" (the control), or another kind of `daam_syntax.analysis.CONTROLS`',
    "scheme": "Dependency scheme of the edges: ud (Universal Dependencies), enhanced (their graph), native "
    "(the parser's own)",
    "relation": 'Label of the edge; "unrelated" for the control',
    "head_index": "Index of the head in the parse (in an unrelated pair: the earlier word)",
    "dependent_index": "Index of the dependent (in an unrelated pair: the later word)",
    "head": "Text of the head",
    "dependent": "Text of the dependent",
    "head_lemma": "Lemma of the head",
    "dependent_lemma": "Lemma of the dependent",
    "head_pos": "Universal part of speech of the head",
    "dependent_pos": "Universal part of speech of the dependent",
    "head_subwords": "Number of the head's subwords",
    "dependent_subwords": "Number of the dependent's subwords",
    "linear_distance": "Tokens from head to dependent; negative if the dependent comes first",
    "tree_distance": "Edges of the scheme between the words, 1 for a dependency; missing if no path joins them",
    "threshold": "Rule of the masks",
    **{name: PAIR_MEASURES[name].description for name in MEASURES},
    "reason": 'Why measures are missing; "" if none is',
}
"""Columns of the pair table and their meanings. Other measures take the place of those of `MEASURES`."""

_NO_OVERLAP: Final = "masks share no pixel"


@checked(maps=OWN)
def measure_pairs(
    maps: HeatMaps | Sequence[HeatMaps],
    *,
    schemes: str | Sequence[str] = ("ud",),
    threshold: str | float | Threshold | Sequence[str | float | Threshold] = "relative:0.4",
    measures: str | Iterable[str] = MEASURES,
    size: Size = "image",
    unrelated: bool = True,
) -> pd.DataFrame:
    """Measure the attention overlap of every head with its dependent, and of unrelated pairs.

    Parameters
    ----------
    maps
        Heat maps of one image, or of several.
    schemes
        Dependency scheme or schemes of the edges: "ud", "enhanced", or "native". Each has rows of its own. If several
        edges of an enhanced graph join two words, each edge has a row.
    threshold
        Rule or rules that convert maps to masks, such as "relative:0.4", or 0.4 for short. Each rule has rows of its
        own. See `parse_threshold`.
    measures
        Names of measures, among `PAIR_MEASURES`.
    size
        Size at which maps are compared: "image" (upscaled to the image), "grid" (the grid of the recording), or
        (height, width). Measures without a threshold cost much less on the grid.
    unrelated
        Whether to add the control, all pairs of words that no edge of the scheme joins, without punctuation and white
        space.

    Returns
    -------
    pandas.DataFrame
        One row per image, scheme, threshold, and pair, with the columns of `PAIR_COLUMNS`. The row of a pair that
        cannot be measured has NaN and a reason. If maps are not attention from image to text, the column ``map_kind``
        after the seed says what they are; statistics refuse tables that mix kinds.

    Raises
    ------
    ThresholdError
        If a rule is unknown.
    ValueError
        If a sentence does not have a scheme, a measure is unknown, or the size is not valid.
    """
    wanted = PairOptions(schemes, threshold, measures, unrelated)
    return pair_table(batches(maps, size), wanted)


@checked
def exchange_roles(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return a pair table in which the head of every row is the dependent, and the dependent the head.

    The words with everything about them, the signed distance, the measures (`daam_syntax.maps.measures.swapped`), and
    the reasons exchange their roles. The other columns stay the same.

    Parameters
    ----------
    pairs
        Rows of a pair table.

    Returns
    -------
    pandas.DataFrame
        The same rows and columns. Exchanging the roles twice gives the same table.

    Raises
    ------
    ValueError
        If a measure is among the columns without its mirror image, such as IoD without IoH.
    """
    changed: dict[str, Any] = swapped(pairs)
    for column in pairs.columns:
        other = other_role(column)
        if column not in changed and other in pairs.columns:
            changed[column] = pairs[other]
    if "linear_distance" in pairs:
        changed["linear_distance"] = -pairs["linear_distance"]
    if "reason" in pairs:
        changed["reason"] = pairs["reason"].map(_exchange_reasons)
    return pairs.assign(**changed)


def _exchange_reasons(reason: str) -> str:
    """Exchange the roles in "head is truncated: ...; dependent's mask is empty", the head's faults first."""
    other = {"head": "dependent", "dependent": "head"}
    faults = re.split(r"; (?=(?:head|dependent)(?: is |'s ))", reason)
    exchanged = [
        re.sub(r"^(head|dependent)(?= is |'s )", lambda role: other[role[1]], fault)
        for fault in faults
    ]
    return "; ".join(sorted(exchanged, key=lambda fault: fault.startswith("dependent")))


class PairOptions:
    """Validated options of a pair table; the parameters are those of `measure_pairs`."""

    def __init__(
        self,
        schemes: str | Sequence[str] = ("ud",),
        threshold: str | float | Threshold | Sequence[str | float | Threshold] = "relative:0.4",
        measures: str | Iterable[str] = MEASURES,
        unrelated: bool = True,
    ) -> None:
        rules = (
            [threshold] if isinstance(threshold, str | float | int | Threshold) else list(threshold)
        )
        self.schemes = [schemes] if isinstance(schemes, str) else list(schemes)
        if not self.schemes:
            raise ValueError("Expected at least one scheme, such as 'ud', but got none.")
        if not rules:
            raise ValueError(
                "Expected at least one threshold, such as 'relative:0.4', but got none."
            )
        self.rules = [parse_threshold(rule) for rule in rules]
        self.measures = choose(measures, PAIR_MEASURES)
        self.unrelated = unrelated
        names = [measure.name for measure in self.measures]
        others = [name for name in PAIR_COLUMNS if name not in (*MEASURES, "reason")]
        self.columns = with_map_kind([*others, *names, "reason"])


def pair_table(parts: Iterable[Batch], wanted: PairOptions) -> pd.DataFrame:
    """Return the pair table of batches of images; see `measure_pairs`."""
    return join_rows((pair_rows(batch, wanted) for batch in parts), wanted.columns)


def pair_rows(batch: Batch, wanted: PairOptions) -> Columns:
    """Return the rows of the pair table for a batch of images, stored by column."""
    sentences: dict[tuple[int, str], Columns] = {}  # seeds of a prompt share its parse
    blocks = []
    for place, maps in enumerate(batch.images):
        for scheme in wanted.schemes:
            key = (id(maps.sentence), scheme)
            if key not in sentences:
                sentences[key] = _parsed(maps.sentence, scheme, wanted.unrelated)
            blocks.append(_identify(batch, place, sentences[key]))
    pairs = {name: [v for block in blocks for v in block[name]] for name in blocks[0]}
    found = list(_measure(batch, pairs, wanted))
    rows: Columns = {name: [] for name in wanted.columns}
    first = 0
    for block in blocks:  # image, scheme, threshold, pair
        part = slice(first, first + len(block["kind"]))
        for rule, values in found:
            every = pairs | values | {"threshold": [str(rule)] * len(pairs["kind"])}
            for name, column in rows.items():
                column.extend(every[name][part])
        first = part.stop
    return rows


def join_rows(parts: Iterable[Columns], columns: Sequence[str]) -> pd.DataFrame:
    """Join parts to one table; making a table of each part first would cost more than measuring."""
    whole: Columns = {name: [] for name in columns}
    for part in parts:
        for name, column in whole.items():
            column.extend(part[name])
    if not whole["kind"]:
        return without_plain_kind(pd.DataFrame(columns=list(columns)))
    distances = pd.array(whole["tree_distance"], dtype="Int64")
    return without_plain_kind(pd.DataFrame(whole).assign(tree_distance=distances))


def _parsed(sentence: Sentence, scheme: str, unrelated: bool) -> Columns:
    """Return the pairs of a sentence in a scheme, with their distances in its graph, stored by column."""
    columns = parsed_columns(sentence.tokens, sentence.edges_of(scheme), unrelated)
    distance = _tree_distances(sentence, scheme)
    places = zip(columns["head_index"], columns["dependent_index"], strict=True)
    return columns | {
        "scheme": [scheme] * len(columns["kind"]),
        "tree_distance": [
            int(n) if np.isfinite(n := distance[head, dependent]) else None
            for head, dependent in places
        ],
    }


def _tree_distances(sentence: Sentence, scheme: str) -> np.ndarray:
    """Return the number of edges from each token to each other, regardless of direction; infinite without a path.

    *Shape:* ``(token, token)``.
    """
    joined = np.zeros((len(sentence.tokens), len(sentence.tokens)))
    for edge in sentence.edges_of(scheme):
        joined[edge.head, edge.dependent] = 1
    paths = scipy.sparse.csgraph.shortest_path(joined, directed=False, unweighted=True)
    return np.asarray(paths)


def _identify(batch: Batch, place: int, parsed: Columns) -> Columns:
    """Return the pairs of an image with everything except their measures, stored by column."""
    maps, row_of = batch.images[place], batch.rows[place]
    n_subwords = [len(word.subwords) for word in maps.words]
    statuses = [f"{word.status}: {word.reason}" for word in maps.words]
    image = image_columns(maps, batch.numbers[place])
    columns = {name: [value] * len(parsed["kind"]) for name, value in image.items()} | parsed
    for side in ("head", "dependent"):
        indices = parsed[f"{side}_index"]
        columns[f"{side}_subwords"] = [n_subwords[index] for index in indices]
        columns[f"_{side}_row"] = [row_of.get(index, -1) for index in indices]
        columns[f"_{side}_status"] = [statuses[index] for index in indices]
    return columns


def _measure(
    batch: Batch, pairs: Columns, wanted: PairOptions
) -> Iterator[tuple[Threshold, dict[str, Any]]]:
    """Yield the measures and reasons of all pairs of a batch at each threshold."""
    rows = np.array([pairs["_head_row"], pairs["_dependent_row"]], int).T
    n_pairs = len(rows)
    measurable = (rows >= 0).all(axis=1)
    # Two words can have several rows, in several schemes, but are measured only once.
    (head, dependent), place = _distinct(rows[measurable])
    soft: dict[str, np.ndarray] = {}
    if any(measure.kind == "soft" for measure in wanted.measures):
        soft = measure_maps(batch.words, head, dependent, wanted.measures)
    batch.make_masks(wanted.rules)
    for rule in wanted.rules:
        found = soft | measure_masks(batch.masks(rule), head, dependent, wanted.measures)
        values: dict[str, Any] = {}
        for measure in wanted.measures:
            values[measure.name] = np.full(n_pairs, np.nan)
            values[measure.name][measurable] = found[measure.name][place]
        missing = np.any([np.isnan(v) for v in values.values()] or [~measurable], axis=0)
        yield rule, values | {"reason": _reasons(batch, rule, pairs, missing, wanted.measures)}


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct rows, *shape* ``(2, distinct)``, and the position of each row among them."""
    distinct, place = np.unique(rows, axis=0, return_inverse=True)
    return distinct.T, place


def _reasons(
    batch: Batch,
    rule: Threshold,
    pairs: Columns,
    missing: np.ndarray,
    measures: Sequence[Measure],
) -> list[str]:
    """Return why measures of each pair are missing; "" if none is."""
    if not missing.any():
        return [""] * len(missing)
    faults = _faults(batch, rule, measures)
    # If neither word has a fault, the missing measure is one that needs some overlap.
    needs_overlap = any(_NO_OVERLAP in measure.undefined for measure in measures)
    columns = ("_head_row", "_head_status", "_dependent_row", "_dependent_status")
    reasons = []
    for lacks, *sides in zip(missing, *(pairs[c] for c in columns), strict=True):
        problems = []
        for role, row, status in (("head", *sides[:2]), ("dependent", *sides[2:])):
            if row < 0:
                problems.append(f"{role} is {status}")
            else:
                problems += [f"{role}'s {fault}" for fault, where in faults if where[row]][:1]
        reasons.append(
            ("; ".join(problems) or (_NO_OVERLAP if needs_overlap else "")) if lacks else ""
        )
    return reasons


def _faults(
    batch: Batch, rule: Threshold, measures: Sequence[Measure]
) -> list[tuple[str, np.ndarray]]:
    """Return the conditions that make one of the measures NaN, and which words of a batch meet them."""
    undefined = " ".join(measure.undefined for measure in measures)  # phrases of declarations
    tests = {
        "mask is empty": lambda: batch.masks(rule).areas == 0,
        "map has no mass": lambda: ~batch.words.any(axis=(-2, -1)),
        "map is constant": lambda: is_constant(batch.words),
        "mask covers everything": lambda: batch.masks(rule).areas == batch.masks(rule).n_pixels,
    }
    return [(fault, test()) for fault, test in tests.items() if fault in undefined]
