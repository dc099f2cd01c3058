"""Balance of two sides of a comparison in everything except what is compared.

A difference in overlap can come from anything in which the sides differ: how far apart their words are, where they are
in the sentence, their parts of speech, their subwords, the areas of their masks. No test of the overlap can detect
that, but the balance of the sides can be tested.

Sides of one relation, such as those of two prompts of a pair, may well be alike, and then differ by chance only. Sides
of different relations, or of related and unrelated words, are not a random division of anything. A small sample that
does not show their imbalance with certainty is not evidence of balance, so only the size counts there (Imai, King,
and Stuart 2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.checks import check_columns
from daam_syntax.util.arguments.checks import checked, whole

LEAST_IMBALANCE: Final = 0.1
"""Standardized differences up to this size are not imbalances, however certain they are (Austin 2009)."""

_ALPHA: Final = 0.05
_N_RESAMPLES: Final = 999

PROPERTIES: Final = {
    "distance": "logarithm of the distance of the two words in the sentence",
    "place": "places of the words in the sentence",
    "part of speech": "parts of speech of the words",
    "subwords": "numbers of subwords of the words",
    "area": "areas of the words' masks",
}
"""What two sides may differ in."""

OF_AREAS: Final = ("head_area", "dependent_area", "log_area_ratio")
"""Measures that are areas."""

_NATURAL: Final = ("dependency", "unrelated")
"""Kinds of pairs that are found in a prompt; the others were made alike."""


@dataclass(frozen=True, eq=False, repr=False)
class Balance:
    """The balance of two sides of a comparison.

    Attributes
    ----------
    columns
        Columns of `table`.
    p
        p-value of the hypothesis that the sides do not differ in any covariate (sign flips of the largest difference).
    """

    columns: dict[str, Any]
    p: float

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per covariate.

        ``property`` (a key of `PROPERTIES`), ``covariate``, ``mean`` and ``control`` (means of the sides),
        ``difference`` (standardized by the deviation between pairs; for parts of speech, the share of pairs whose parts
        of speech the other side does not have), and ``imbalance`` (whether it is larger than `LEAST_IMBALANCE`, and,
        unless the sides are of different relations or kinds, than chance would make it).
        """
        return pd.DataFrame(self.columns)

    @property
    def imbalances(self) -> tuple[str, ...]:
        """The properties in which the sides differ."""
        rows = zip(self.columns["property"], self.columns["imbalance"], strict=True)
        return tuple(dict.fromkeys(name for name, imbalance in rows if imbalance))

    def __repr__(self) -> str:
        found = ", ".join(self.imbalances) or "nothing"
        return f"Balance(the sides differ in {found})\n{self.table.to_string(index=False)}"


@checked(seed=whole(0))
def balance(
    pairs: pd.DataFrame,
    control: pd.DataFrame,
    *,
    measure: str = "",
    unit: str | Sequence[str] = "prompt_id",
    seed: int = 0,
) -> Balance:
    """Compare two sides in everything except the measure.

    Parameters
    ----------
    pairs, control
        Rows of the pair table. Covariates that either side lacks are left out.
    measure
        The measure that is compared. If it is an area, areas are not covariates.
    unit
        Column or columns whose values pair the sides: their differences are the sample.
    seed
        Seed of the sign flips.

    Returns
    -------
    Balance
        If the sides have the same relations and kinds and are exchangeable within units, some imbalance is found in at
        most 5 % of the samples, however many covariates there are (largest standardized difference; Westfall and
        Young 1993). If related words are compared with unrelated ones, or different relations with each other, every
        standardized difference above `LEAST_IMBALANCE` is an imbalance. Controls that were made alike (matched pairs,
        for instance) count as sides of the same relation.
    """
    units = [unit] if isinstance(unit, str) else list(unit)
    sides = _Sides(pairs, control, measure, units)
    both = sides.means[0].index.intersection(sides.means[1].index)
    first, second = (side.loc[both] for side in sides.means)
    parts = sides.parts_of_speech(both, both)
    return sides.judge(
        (first - second).fillna(0.0),
        None if parts is None else parts[0] - parts[1],
        sign_patterns(len(both), seed),
    )


def between_groups(
    pairs: pd.DataFrame, control: pd.DataFrame, *, measure: str = "", seed: int = 0
) -> Balance:
    """Compare two groups of different prompts in everything except the measure.

    Parameters
    ----------
    pairs, control, measure, seed
        See `balance`. Prompts are permuted between the groups, instead of flipping signs.
    """
    sides = _Sides(pairs, control, measure, ["prompt_id"])
    indices = [side.index for side in sides.means]
    parts = sides.parts_of_speech(*indices)
    sizes = [len(index) for index in indices]
    share = np.repeat([1.0 / max(sizes[0], 1), -1.0 / max(sizes[1], 1)], sizes) * sum(sizes)
    rng = np.random.default_rng(seed)
    patterns = [share, *(rng.permutation(share) for _ in range(_N_RESAMPLES))]
    return sides.judge(
        pd.concat(sides.means).fillna(sides.overall),
        None if parts is None else np.concatenate(parts),
        np.stack(patterns),
    )


class _Sides:
    """Covariates of two sides, averaged over units."""

    def __init__(
        self, pairs: pd.DataFrame, control: pd.DataFrame, measure: str, units: list[str]
    ) -> None:
        if not units:
            raise ValueError(
                "Expected the columns that divide units, such as 'prompt_id', but got none."
            )
        for side in (pairs, control):
            check_columns(side, units)
        found = [_covariates(side, measure) for side in (pairs, control)]
        self.names = [name for name in found[0].columns if name in found[1].columns]
        self.rows = (pairs, control)
        self.units = units
        self.found = [side[self.names] for side in found]
        self.overall = pd.concat(self.found).mean()
        self.means = [
            side.groupby([rows[name] for name in units]).mean()
            for side, rows in zip(self.found, self.rows, strict=True)
        ]

    def parts_of_speech(self, *indices: pd.Index) -> list[np.ndarray] | None:
        """Return the shares of combinations of parts of speech. *Shape:* ``(unit, combination)`` for each side."""
        if not all({"head_pos", "dependent_pos"} <= set(rows.columns) for rows in self.rows):
            return None
        shares = []
        for rows in self.rows:
            combined = rows["head_pos"].astype(str) + " " + rows["dependent_pos"].astype(str)
            keys = [rows[name] for name in self.units]
            shares.append(pd.crosstab(keys, combined, normalize="index"))
        columns = shares[0].columns.union(shares[1].columns)
        return [
            side.reindex(index=index, columns=columns, fill_value=0.0).to_numpy(float)
            for side, index in zip(shares, indices, strict=True)
        ]

    def judge(
        self, values: pd.DataFrame, parts: np.ndarray | None, patterns: np.ndarray
    ) -> Balance:
        """Test the differences of the covariates."""
        deviation = np.sqrt(np.mean([side.var(ddof=0) for side in self.found], axis=0))
        means = {
            name: (float(self.found[0][name].mean()), float(self.found[1][name].mean()))
            for name in self.names
        }
        return judge(
            values, deviation, means, parts, patterns, by_size=_differ_by_nature(*self.rows)
        )


def _differ_by_nature(pairs: pd.DataFrame, control: pd.DataFrame) -> bool:
    """Return whether two sides are different relations, or related and unrelated words, as they are in prompts."""
    labels = ["kind", "relation"]
    if not all(set(labels) <= set(side.columns) for side in (pairs, control)):
        return False
    if not all(side["kind"].isin(_NATURAL).all() for side in (pairs, control)):
        return False
    first, second = (
        set(side[labels].itertuples(index=False, name=None)) for side in (pairs, control)
    )
    return first.isdisjoint(second)


def judge(
    values: pd.DataFrame,
    deviation: np.ndarray,
    means: dict[str, tuple[float, float]],
    parts: np.ndarray | None,
    patterns: np.ndarray,
    *,
    by_size: bool = False,
) -> Balance:
    """Test the differences of covariates.

    Parameters
    ----------
    values
        One row per unit, one column per covariate: differences of paired units, or values of unpaired ones.
    deviation
        Standard deviation of each covariate between pairs. *Shape:* ``(covariate,)``.
    means
        Means of both sides by covariate.
    parts
        The same for the shares of each combination of parts of speech. *Shape:* ``(unit, combination)``.
    patterns
        Signs or weights of the units, first the observed ones; the mean over units of weight times value is the
        difference. *Shape:* ``(pattern, unit)``.
    by_size
        Whether the size of a difference alone decides, because chance does not explain it.
    """
    names = list(values.columns)
    found = patterns @ values.to_numpy(float) / max(len(values), 1)  # (pattern, covariate)
    # A covariate that is constant on both sides but differs between them is out of balance beyond any measure.
    with np.errstate(divide="ignore", invalid="ignore"):
        sizes = np.where(np.abs(found[0]) > 1e-12, found[0] / deviation, 0.0)
    statistics = np.abs(found)
    if parts is not None:
        names = [*names, "parts of speech"]
        moved = np.abs(patterns @ parts).sum(axis=1) / max(len(parts), 1) / 2
        sizes = np.append(sizes, moved[0])
        statistics = np.column_stack([statistics, moved])
        means = means | {"parts of speech": (np.nan, np.nan)}
    p = _corrected(statistics) if len(values) and names else np.ones(len(names))
    sides = np.array([means[name] for name in names], dtype=float).reshape(-1, 2)
    columns = {
        "property": [_property_of(name) for name in names],
        "covariate": names,
        "mean": sides[:, 0],
        "control": sides[:, 1],
        "difference": sizes,
        "imbalance": ((p <= _ALPHA) | by_size) & (np.abs(sizes) > LEAST_IMBALANCE),
    }
    return Balance(columns, float(p.min()) if len(p) else 1.0)


def _corrected(statistics: np.ndarray) -> np.ndarray:
    """Return p-values corrected for the number of covariates (min-p, Westfall and Young 1993).

    Parameters
    ----------
    statistics
        Sizes of the differences, first the observed ones. *Shape:* ``(pattern, covariate)``.
    """
    order = np.sort(statistics, axis=0)
    slack = 1e-9 * order[-1]
    ranks = np.stack(
        [
            len(order) - np.searchsorted(order[:, k], statistics[:, k] - slack[k], side="left")
            for k in range(order.shape[1])
        ],
        axis=1,
    )
    smallest = ranks.min(axis=1)
    return np.array([(smallest <= rank).mean() for rank in ranks[0]])


def sign_patterns(n: int, seed: int) -> np.ndarray:
    """Return patterns of signs, first the observed one. *Shape:* ``(pattern, unit)``."""
    if 2**n <= _N_RESAMPLES:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        return np.asarray(1.0 - 2.0 * bits)
    drawn = 2.0 * np.random.default_rng(seed).integers(0, 2, (_N_RESAMPLES, n)) - 1
    return np.vstack([np.ones(n), drawn])


def _covariates(rows: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return the numeric covariates of some pairs."""
    found: dict[str, pd.Series] = {}
    if "linear_distance" in rows:
        distance = rows["linear_distance"].abs().astype(float)
        found["distance"] = distance.clip(lower=1).map(np.log2)
    for role in ("head", "dependent"):
        if f"{role}_index" in rows:
            found[f"{role} place"] = rows[f"{role}_index"].astype(float)
        if f"{role}_subwords" in rows:
            found[f"{role} subwords"] = rows[f"{role}_subwords"].astype(float)
        if f"{role}_area" in rows and measure not in OF_AREAS:
            found[f"{role} area"] = rows[f"{role}_area"].astype(float)
    return pd.DataFrame(found, index=rows.index)


def _property_of(covariate: str) -> str:
    if covariate == "parts of speech":
        return "part of speech"
    last = covariate.split(" ")[-1]
    return "distance" if last in ("adjacency", "tokens", "order") else last
