"""The table of relations of Tang et al. (2023), beside a user's own run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from daam_syntax.analysis import prompt_means
from daam_syntax.errors import FileError

PAPER_RELATIONS: Final = (
    "punct",
    "nmod:of",
    "compound",
    "nsubj",
    "case",
    "det",
    "conj:and",
    "acl",
    "obj",
    "amod",
)
"""The ten enhanced relations that Tang et al. (2023) report."""

_BASIC: Final = {"nmod": "nmod:of", "conj": "conj:and", "dobj": "obj"}
_OVERLAPS: Final = ("iod", "ioh", "iou")


def basic_name(relation: str) -> str:
    """Return the enhanced name of a relation that the paper reports; the name itself for others."""
    return _BASIC.get(relation, relation)


def is_paper_relation(relation: str) -> bool:
    """Whether a relation of any scheme is one of `PAPER_RELATIONS`, or the basic or ClearNLP form of one."""
    return basic_name(relation) in PAPER_RELATIONS


def read_published(path: str | Path) -> dict[str, dict[str, float]]:
    """Read published values of the relations.

    Raises
    ------
    FileError
        If the file cannot be read, lacks a column, or has a value that is not a share.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise FileError(
            f"Expected a CSV file at {path}, but it cannot be read: {error}."
        ) from error
    missing = [name for name in ("relation", *_OVERLAPS) if name not in table.columns]
    if missing:
        raise FileError(
            f"Expected the columns relation, {', '.join(_OVERLAPS)} in {path}, but it lacks {', '.join(missing)}."
        )
    values = table.set_index("relation")[list(_OVERLAPS)].apply(pd.to_numeric, errors="coerce")
    wrong = values[((values < 0) | (values > 1)).any(axis=1)]
    if len(wrong):
        raise FileError(
            f"Expected values from 0 to 1 in {path}, but got others for {', '.join(map(str, wrong.index))}: divide "
            "percentages by 100."
        )
    return {str(name): row for name, row in values.to_dict("index").items()}


def paper_table(
    pairs: pd.DataFrame,
    known: Mapping[str, Mapping[str, float]],
    source: str | Path | None = None,
) -> pd.DataFrame:
    """Arrange the overlap of the ten relations like the table of Tang et al. (2023), beside published values.

    Parameters
    ----------
    pairs
        A pair table of one scheme and one threshold, with punctuation and unrelated pairs.
    known
        Published values by relation and measure.
    source
        Where they are from.

    Returns
    -------
    pandas.DataFrame
        One row for unrelated pairs, one for all dependencies, and one for each of `PAPER_RELATIONS`. Means over
        prompts of ``iod``, ``ioh`` and ``iou``, and ``difference`` (IoD minus IoH); the published ones in columns that
        begin with ``paper``; ``source`` of the latter.
    """
    basic = pairs["relation"].map(basic_name)
    groups = {
        "unrelated pairs": pairs["kind"] == "unrelated",
        "all head-dependent pairs": pairs["kind"] == "dependency",
        **{name: (basic == name) & (pairs["kind"] == "dependency") for name in PAPER_RELATIONS},
    }
    rows = []
    for name, chosen in groups.items():
        some = pairs[chosen & pairs["iou"].notna()]
        means = {each: float(prompt_means(some, each).mean()) for each in _OVERLAPS}
        published = known.get(name, {})
        row: dict[str, Any] = {
            "relation": name,
            "n_prompts": some["prompt_id"].nunique(),
            "n_pairs": len(some),
            **means,
            "difference": means["iod"] - means["ioh"],
            **{f"paper_{each}": published.get(each, float("nan")) for each in _OVERLAPS},
        }
        row["paper_difference"] = row["paper_iod"] - row["paper_ioh"]
        rows.append(row | {"source": str(source) if published else ""})
    return pd.DataFrame(rows)
