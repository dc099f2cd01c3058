"""Rows of a pair table for the two words that a set of prompts is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import pandas as pd

from daam_syntax.analysis.checks import check_columns
from daam_syntax.analysis.tables.pairs import exchange_roles
from daam_syntax.util.arguments.annotations import shown
from daam_syntax.util.arguments.checks import checked

SIDES: Final = ("related", "unrelated")
"""Roles of the prompts of a pair whose words trade relations."""

_WORDS: Final = ("slot.head", "slot.dependent")
_NEEDED: Final = ("prompt", "pair", "role", *_WORDS)
_RULE: Final = ["prompt_id", "image", "scheme", "threshold"]


class _HasFrame(Protocol):
    def to_frame(self) -> pd.DataFrame: ...


@checked
def designated_pairs(
    pairs: pd.DataFrame, prompts: pd.DataFrame | _HasFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of the two words that each prompt is about, in the roles of head and dependent.

    In "a cat that is red beside a car" and "a cat beside a red car", the words *cat* and *red* are at the same places,
    but only in the first prompt are they related. ``estimate_difference(related, unrelated, paired_by="pair")`` then
    compares related with unrelated words that are the same, as far apart, and at the same places.

    Parameters
    ----------
    pairs
        A pair table with unrelated pairs, see `measure_pairs`.
    prompts
        A `PromptSet`, such as ``daam_syntax.prompts("crossed")``, or its table: with the columns ``prompt``, ``pair``,
        ``role`` ("related" or "unrelated"), ``slot.head``, and ``slot.dependent``. Prompts without a row in `pairs` are
        left out.

    Returns
    -------
    related, unrelated : pandas.DataFrame
        One row per image, scheme, and threshold, with the columns of the pair table and ``pair``. The kind of the
        unrelated rows is "crossed": unlike in other unrelated pairs, the roles are not arbitrary.

    Raises
    ------
    ValueError
        If `prompts` lacks a column, a role is unknown, a word is not exactly once in its prompt, or the words are
        joined on the unrelated side or not joined on the related one.
    """
    if not isinstance(prompts, pd.DataFrame) and not callable(getattr(prompts, "to_frame", None)):
        raise TypeError(f"Expected a PromptSet or its table as prompts, but got {shown(prompts)}.")
    check_columns(pairs, ("prompt",))
    table = prompts if isinstance(prompts, pd.DataFrame) else prompts.to_frame()
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing:
        raise ValueError(
            f"Expected prompts with the columns {', '.join(_NEEDED)}, but there is no {', '.join(missing)}."
        )
    table = table[table["pair"].notna() & (table["pair"] != "")]
    unknown = sorted(set(table["role"].map(str)) - set(SIDES))
    if unknown:
        raise ValueError(
            f"Expected the roles {' and '.join(SIDES)}, but got {', '.join(map(repr, unknown))}."
        )
    of_prompt = dict(iter(pairs.groupby("prompt", sort=False)))
    sides: dict[str, list[pd.DataFrame]] = {side: [] for side in SIDES}
    for row in table.to_dict("records"):
        if row["prompt"] in of_prompt:
            sides[row["role"]].append(_designated(of_prompt[row["prompt"]], row))
    related, unrelated = (
        pd.concat(parts, ignore_index=True) if parts else pairs.iloc[:0].assign(pair="")
        for parts in sides.values()
    )
    return related, unrelated


def _designated(pairs: pd.DataFrame, prompt: Mapping[Any, Any]) -> pd.DataFrame:
    """Return the rows of one prompt's two words."""
    head, dependent = (prompt[word] for word in _WORDS)
    for word in (head, dependent):
        places = set(pairs.loc[pairs["head"] == word, "head_index"])
        places |= set(pairs.loc[pairs["dependent"] == word, "dependent_index"])
        if len(places) != 1:
            raise ValueError(
                f"Expected the word {word!r} once in {prompt['prompt']!r}, but its pairs have it {len(places)} times."
            )
    right = pairs[(pairs["head"] == head) & (pairs["dependent"] == dependent)]
    turned = pairs[(pairs["head"] == dependent) & (pairs["dependent"] == head)]
    # In an enhanced graph two edges can join the words; they have the same maps.
    rows = pd.concat([right, exchange_roles(turned)]).drop_duplicates(_RULE)
    kind = "dependency" if prompt["role"] == "related" else "unrelated"
    wrong = rows[rows["kind"] != kind]
    if len(wrong) or rows.empty:
        state = "joined by a dependency" if kind == "dependency" else "not joined by a dependency"
        raise ValueError(
            f"Expected {head!r} and {dependent!r} to be {state} in {prompt['prompt']!r}, but the pair table has them "
            f"as {wrong['kind'].iloc[0] if len(wrong) else 'no pair'}: leave the prompt out, or use another parser."
        )
    if kind == "unrelated":
        rows = rows.assign(kind="crossed")
    return rows.assign(pair=prompt["pair"])
