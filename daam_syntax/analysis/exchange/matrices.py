"""Rows of a pair table as matrices over the words of each image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.roles import other_role
from daam_syntax.maps.measures import PAIR_MEASURES

IMAGE: Final = ("prompt_id", "image", "scheme", "threshold")
"""Columns that identify the rows of one image, measured in one way."""

_STRUCTURE: Final = ("kind", "relation", "head_pos", "dependent_pos")
"""Images whose rows agree in these columns, and in the places of the words, have the same pairs of words."""

_ROWS_AT_ONCE: Final = 5_000
"""Rows of images of one structure that are arranged together: few enough for the matrices to stay in the caches."""

COVARIATES: Final = {
    "distance": "Logarithm to base 2 of the number of tokens from one word to the other",
    "tokens": "Number of tokens from one word to the other",
    "adjacency": "1 for adjacent words, 0 for others",
    "head_place": "Place of the head in the sentence, from 0 (first word) to 1 (last)",
    "dependent_place": "Place of the dependent",
    "head_subwords": "Number of subwords of the head",
    "dependent_subwords": "Number of subwords of the dependent",
    "head_area": "Area of the head's mask as a share of the image",
    "dependent_area": "Area of the dependent's mask",
    "order": "1 if the dependent follows the head, -1 if it precedes it",
    "ordered_distance": "Order times distance",
    "ordered_adjacency": "Order times adjacency",
}
"""What related and exchanged pairs may differ by.

Areas are used if the table has them, and forms of the order for measures with a direction: a head that precedes its
dependent need not be covered by it as much as one that follows it.
"""


DISTANCES: Final = ("distance", "tokens", "adjacency")
"""Covariates that are adjusted for: a logarithm, a line, and a step fit most curves."""

ORDERS: Final = ("order", "ordered_distance", "ordered_adjacency")
"""Covariates that are adjusted for beside `DISTANCES` if the measure has a direction."""


@dataclass(frozen=True)
class WordMatrices:
    """The pairs of words of sentences with one structure, in images in which the same pairs were measured.

    Attributes
    ----------
    measures
        Places of the measures among those of `pair_arrays`: the measures that have a value in the same rows.
    rows
        Positions of the rows in the table. *Shape:* ``(image, row)``.
    values
        The measures, then the covariates. *Shape:* ``(channel, image, head, dependent)``.
    unrelated
        Unrelated pairs with a value, in both orders. *Shape:* ``(head, dependent)``, boolean.
    alike
        Different words of one part of speech. *Shape:* ``(word, word)``, boolean.
    relations
        Relation of each row, as a place in `joined`; -1 if it is unrelated or has no value. *Shape:* ``(row,)``.
    joined
        The pairs with a value that each relation joins; none in the last place. *Shape:* ``(relation, head,
        dependent)``, boolean.
    places
        Head and dependent of each row as rows and columns of the matrices. *Shape:* ``(row,)`` each.
    measured
        Whether a row has a value. *Shape:* ``(row,)``.
    """

    measures: list[int]
    rows: np.ndarray
    values: np.ndarray
    unrelated: np.ndarray
    alike: np.ndarray
    relations: np.ndarray
    joined: np.ndarray
    places: tuple[np.ndarray, np.ndarray]
    measured: np.ndarray


def covariates_of(pairs: pd.DataFrame, measure: str) -> list[str]:
    """Return the covariates of `COVARIATES` that a table has, and that matter for a measure."""
    directional = has_direction(measure)
    return [
        name
        for name in COVARIATES
        if (not name.endswith("_area") or name in pairs.columns)
        and (not name.startswith("order") or directional)
    ]


def has_direction(measure: str) -> bool:
    """Return whether a measure depends on which word is the head."""
    return measure in PAIR_MEASURES and PAIR_MEASURES[measure].directional


def with_both_orders(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return a table with each unrelated pair a second time, in its other order.

    The table names the earlier word of an unrelated pair its head. For a measure with a direction, related pairs need
    unrelated ones of either order beside them.
    """
    rows = pairs[pairs["kind"] == "unrelated"]
    columns = {name: pairs[other_role(name)] for name in pairs.columns}
    unknown = pd.Series(np.nan, index=pairs.index)
    columns |= {
        name: known.mirror_sign * pairs[known.mirror] if known.mirror in pairs else unknown
        for name, known in PAIR_MEASURES.items()
        if name in pairs and known.directional
    }
    if "linear_distance" in pairs:
        columns["linear_distance"] = -pairs["linear_distance"]
    swapped = pd.DataFrame(columns, index=pairs.index).loc[rows.index]
    return pd.concat([pairs, swapped], ignore_index=True)


def word_matrices(columns: dict[str, Any]) -> Iterator[WordMatrices]:
    """Yield the matrices of a pair table, those of images with the same pairs together.

    The table names the earlier word of an unrelated pair its head. Here each unrelated pair has both orders, so it can
    stand in for pairs of either order. A measure with a direction is taken from its mirror image, such as IoH for IoD.
    Measures that have a value in the same rows of an image come together.

    Parameters
    ----------
    columns
        Arrays of the table, see `pair_arrays`.
    """
    images = columns["image"]
    by_image = np.argsort(images, kind="stable")
    starts = np.flatnonzero(np.diff(images[by_image])) + 1
    missing = np.isnan(columns["values"][: columns["n_measures"]])
    alike: dict[bytes, list[np.ndarray]] = {}
    for rows in np.split(by_image, starts) if len(by_image) else []:
        key = columns["structure"][rows].tobytes() + missing[:, rows].tobytes()
        alike.setdefault(key, []).append(rows)
    for parts in alike.values():
        by_missing: dict[bytes, list[int]] = {}
        for place, flags in enumerate(missing[:, parts[0]]):
            by_missing.setdefault(flags.tobytes(), []).append(place)
        n_at_once = max(1, _ROWS_AT_ONCE // len(parts[0]))
        for start in range(0, len(parts), n_at_once):
            rows = np.stack(parts[start : start + n_at_once])
            for measures in by_missing.values():
                yield _matrices(rows, measures, columns)


def lacking_for_exchange(
    columns: Iterable[str], measure: str, symmetric: Sequence[str] = ()
) -> str:
    """Return what a table lacks for an exchange of partners by a measure; "" if nothing."""
    if measure in symmetric:
        return ""
    known = PAIR_MEASURES.get(measure)
    if known is None:
        return f"exchanged partners need to know whether {measure} has a direction"
    return "" if known.mirror in set(columns) else f"exchanged partners need {known.mirror}, too"


def _mirror_of(pairs: pd.DataFrame, measure: str, symmetric: Sequence[str]) -> tuple[str, int]:
    if measure not in PAIR_MEASURES:
        if measure in symmetric:
            return measure, 1
        raise ValueError(
            f"Expected a measure of this package, because the exchange of partners must know whether the order of the "
            f"words matters, but got {measure!r}: if it does not, pass symmetric=[{measure!r}]."
        )
    mirror, sign = str(PAIR_MEASURES[measure].mirror), PAIR_MEASURES[measure].mirror_sign
    if mirror not in pairs.columns:
        raise ValueError(
            f"Expected the column {mirror} beside {measure}, because exchanged pairs are unrelated pairs in the order "
            f'of the dependency: measure both, measure_pairs(maps, measures=["{measure}", "{mirror}"]).'
        )
    return mirror, sign


def pair_arrays(
    pairs: pd.DataFrame,
    measures: Sequence[str],
    symmetric: Sequence[str] = (),
    covariates: Sequence[str] = (),
) -> dict[str, Any]:
    """Return arrays of a pair table.

    Parameters
    ----------
    pairs
        Dependency rows and unrelated rows.
    measures
        Columns of the measures: one with a direction, or any number without.
    symmetric
        Columns other than those of `PAIR_MEASURES` whose value does not depend on which word is the head.
    covariates
        Further covariates, which do not depend on it either.

    Returns
    -------
    dict
        Among others "values" and "swapped": the measures, then the covariates, of each pair and of the pair with its
        roles exchanged. *Shape:* ``(channel, row)``.

    Raises
    ------
    ValueError
        If the value of an unrelated pair in its other order is not known, or a covariate is missing in a row.
    """
    mirrors = [_mirror_of(pairs, measure, symmetric) for measure in measures]
    head, dependent = (pairs[name].to_numpy(int) for name in ("head_index", "dependent_index"))
    distance = np.abs(dependent - head).astype(float)
    for name in covariates:
        n_missing = int(pairs[name].isna().sum())
        if n_missing:
            raise ValueError(
                f"Expected a value of the covariate {name} in every row, but {n_missing} of {len(pairs)} rows have "
                "none: drop these rows."
            )
    names = covariates_of(pairs, measures[0])
    channels = {"distance": np.log2(np.maximum(distance, 1)), "tokens": distance}
    channels["adjacency"] = (distance == 1).astype(float)
    channels["order"] = np.sign(dependent - head).astype(float)
    channels["ordered_distance"] = channels["order"] * channels["distance"]
    channels["ordered_adjacency"] = channels["order"] * channels["adjacency"]
    channels |= {
        name: pairs[name].to_numpy(float) for name in names if name.endswith(("subwords", "area"))
    }
    other = {name: other_role(name) for name in names}
    of_image = [pd.factorize(pairs[name])[0] for name in IMAGE]
    prompts = of_image[IMAGE.index("prompt_id")]
    codes = {name: pd.factorize(pairs[name])[0] for name in _STRUCTURE}
    last = np.zeros(prompts.max(initial=-1) + 1)
    np.maximum.at(last, prompts, np.maximum(head, dependent))
    length = np.maximum(last[prompts], 1)
    channels |= {"head_place": head / length, "dependent_place": dependent / length}
    names += covariates
    channels |= {name: pairs[name].to_numpy(float) for name in covariates}
    other |= {name: name for name in covariates}
    measured = [pairs[measure].to_numpy(float) for measure in measures]
    values = np.stack([*measured, *(channels[name] for name in names)])
    swapped = np.stack(
        [
            *(sign * pairs[mirror].to_numpy(float) for mirror, sign in mirrors),
            *(channels[other[name]] * (-1 if name in ORDERS else 1) for name in names),
        ]
    )
    kinds = pairs["kind"].to_numpy()
    return {
        "n_measures": len(measures),
        "image": _combined(of_image),
        "structure": np.stack([head, dependent, *codes.values()], axis=1),
        "head": head,
        "dependent": dependent,
        "values": values,
        "swapped": swapped,
        "unrelated": kinds == "unrelated",
        "related": kinds == "dependency",
        "relation": codes["relation"],
        "head_pos": pairs["head_pos"].to_numpy(),
        "dependent_pos": pairs["dependent_pos"].to_numpy(),
    }


def _combined(codes: Sequence[np.ndarray]) -> np.ndarray:
    """Return one code for each combination of several codes."""
    combined = np.zeros(len(codes[0]), dtype=int)
    for each in codes:
        # Numbered anew each time, so that products of the numbers of values do not exceed an integer.
        combined = pd.factorize(combined * (each.max(initial=0) + 2) + each + 1)[0]
    return combined


def _matrices(rows: np.ndarray, measures: list[int], columns: dict[str, Any]) -> WordMatrices:
    first = rows[0]
    channels = np.array([*measures, *range(columns["n_measures"], len(columns["values"]))])
    words, places = np.unique(
        np.concatenate([columns["head"][first], columns["dependent"][first]]), return_inverse=True
    )
    i, j = np.split(places, 2)
    n = len(words)
    pos = np.empty(n, dtype=object)
    pos[i], pos[j] = columns["head_pos"][first], columns["dependent_pos"][first]
    alike = (pos[:, None] == pos) & ~np.eye(n, dtype=bool)
    values = columns["values"][channels[:, None, None], rows]
    measured = ~np.isnan(values[0, 0])
    matrix = np.zeros((*values.shape[:2], n, n))
    unrelated = np.zeros((n, n), dtype=bool)
    apart = columns["unrelated"][first] & measured
    a, b = i[apart], j[apart]
    matrix[..., b, a] = columns["swapped"][channels[:, None, None], rows[:, apart]]
    matrix[..., a, b] = values[..., apart]
    unrelated[a, b] = unrelated[b, a] = True
    related = columns["related"][first]
    # Words that an edge joins, measured or not, are never an unrelated pair.
    unrelated[i[related], j[related]] = unrelated[j[related], i[related]] = False
    related = related & measured
    matrix[..., i[related], j[related]] = values[..., related]
    found, places = np.unique(columns["relation"][first][related], return_inverse=True)
    relations = np.full(len(first), -1)
    relations[related] = places
    joined = np.zeros((len(found) + 1, n, n), dtype=bool)
    joined[places, i[related], j[related]] = True  # the last matrix, of -1, stays empty
    return WordMatrices(
        measures, rows, matrix, unrelated, alike, relations, joined, (i, j), measured
    )
