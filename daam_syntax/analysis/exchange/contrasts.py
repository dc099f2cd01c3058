"""Every pair of a table compared with its exchanged pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.checks import check_table
from daam_syntax.analysis.exchange.matrices import (
    IMAGE,
    covariates_of,
    has_direction,
    pair_arrays,
    with_both_orders,
    word_matrices,
)
from daam_syntax.analysis.exchange.quadruples import exchange
from daam_syntax.util.arguments.checks import checked

TIERS: Final = {
    "two-sided": "words of either part of speech trade places: effects of the words themselves cancel",
    "one-sided": "only one word is exchanged: effects of that word's own area and place do not cancel",
}
"""Kinds of an exchange, the stricter first."""

LEAST_SHARE: Final = 0.2
"""A tier that matches fewer of a relation's pairs does not stand for the relation."""


@dataclass(frozen=True, eq=False, repr=False)
class Exchange:
    """Pairs compared with their exchanged pairs.

    Attributes
    ----------
    table
        One row per pair, image, and tier. It has the columns of the pair table that identify the pair; ``tier``;
        ``value`` (the measure of the pair), ``contrast`` (what it has more than its exchanged pairs), and ``exchanged``
        (their difference); ``structure`` (the parts of speech of the prompt); and of each covariate what the pair has
        more. Rows of the kind "dependency" are related pairs. Rows of the kind "unrelated" are treated in the same
        way: they show what distance in the sentence does without a relation. For a measure with a direction, each is
        there in both orders.
    measure
        The measure.
    totals
        One row per covariate: ``n``, ``sum`` and ``squares`` over all pairs.
    measured
        Scheme, threshold, and relation of each measured dependency.
    """

    table: pd.DataFrame
    measure: str
    totals: pd.DataFrame
    measured: pd.DataFrame

    @cached_property
    def rates(self) -> pd.DataFrame:
        """Number of measured pairs of each relation, the share that each tier matches, and the tier to choose.

        One row per scheme, threshold, and relation: ``n_pairs``, a column for each of `TIERS`, and ``tier``, the
        strictest one that matches at least `LEAST_SHARE`.
        """
        keys = list(self.measured.columns)
        rates = self.measured.groupby(keys, dropna=False).size().rename("n_pairs").to_frame()
        related = self.table[self.table["kind"] == "dependency"]
        for tier in TIERS:
            matched = related[related["tier"] == tier].groupby(keys, dropna=False).size()
            rates[tier] = (matched / rates["n_pairs"]).fillna(0.0)
        rates["tier"] = [strictest_tier(row) for row in rates.to_dict("records")]
        return rates.sort_values("n_pairs", ascending=False).reset_index()

    @cached_property
    def spread(self) -> pd.Series:
        """Standard deviation of each covariate over all pairs."""
        return spread_of(self.totals)

    @checked
    def sides(
        self, relation: str, tier: str = "two-sided", *, scheme: str | None = None
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the pairs of a relation and their exchanged pairs as two pair tables, for `variance_components`.

        Parameters
        ----------
        relation, tier
            Rows of the table.
        scheme
            Dependency scheme, if the table has several.

        Returns
        -------
        tuple of pandas.DataFrame
            The same rows twice. The column of the measure holds the value of the pair in the first, and that of its
            exchanged pairs in the second. The latter is a combination of several overlaps, and can be below 0.
        """
        rows = self.table[(self.table["relation"] == relation) & (self.table["tier"] == tier)]
        if scheme is not None:
            rows = rows[rows["scheme"] == scheme]
        chosen = [name for name in rows.columns if name not in ("value", "contrast", "exchanged")]
        pairs, control = (
            rows[chosen].assign(**{self.measure: rows[name]}) for name in ("value", "exchanged")
        )
        return pairs, control.assign(kind="exchanged")

    def __repr__(self) -> str:
        return f"Exchange of partners by {self.measure}\n{self.rates.to_string(index=False)}"


def strictest_tier(shares: Mapping[Any, float]) -> str:
    """Return the strictest of `TIERS` that matches at least `LEAST_SHARE` of the pairs, by its share; "" if none."""
    return next((tier for tier in TIERS if shares[tier] >= LEAST_SHARE), "")


def spread_of(totals: pd.DataFrame) -> pd.Series:
    """Return the standard deviation of each covariate from the `totals` of an exchange, or the sum of several."""
    mean = totals["sum"] / totals["n"]
    return np.sqrt((totals["squares"] / totals["n"] - mean**2).clip(lower=0))


@checked
def exchange_partners(
    pairs: pd.DataFrame,
    measure: str = "iou",
    *,
    symmetric: Sequence[str] = (),
    covariates: Sequence[str] = (),
) -> Exchange:
    """Compare every dependency with unrelated pairs in which its words trade partners with others like them.

    Take "a red cat and a blue car". If attention to *red* overlaps with attention to *cat* because they are related,
    then o(cat, red) + o(car, blue) exceeds o(cat, blue) + o(car, red). The area of each word's map, its place, and
    its part of speech cancel, because every word is on both sides once in the same role.

    Parameters
    ----------
    pairs
        A pair table with unrelated pairs, see `measure_pairs`.
    measure
        Column of the measure. A measure with a direction needs its mirror image in the table, such as IoH for IoD.
    symmetric
        Further columns whose value does not depend on which word is the head.
    covariates
        Further numeric columns to compare in the same way, such as ``tree_distance``. They must not depend on which
        word is the head, and must have a value in every row.

    Returns
    -------
    Exchange
        Two-sided: heads h' and dependents d' of the same parts of speech as h and d, neither of them related to the
        other pair. If h' and d' are joined by the same relation, the contrast is [o(h, d) + o(h', d') - o(h', d) -
        o(h, d')] / 2, otherwise without the division. One-sided: o(h, d) minus the mean of o(h', d), or of o(h, d'), or
        the mean of both. Several choices of words are averaged.

    Raises
    ------
    ValueError
        If the table lacks a column, or a measure with a direction lacks its mirror image.

    Notes
    -----
    Distance in the sentence does not cancel: words that are related are usually nearer to each other than exchanged
    words. `summarize` and `regress` adjust for it with the unrelated pairs of the table.
    """
    return exchange_by_measure(pairs, [measure], symmetric=symmetric, covariates=covariates)[
        measure
    ]


def exchange_by_measure(
    pairs: pd.DataFrame,
    measures: Sequence[str],
    *,
    symmetric: Sequence[str] = (),
    covariates: Sequence[str] = (),
) -> dict[str, Exchange]:
    """Return the exchange of partners by each of several measures.

    Measures without a direction share what does not depend on the measure.

    Parameters
    ----------
    pairs, symmetric, covariates
        See `exchange_partners`.
    measures
        Columns of the measures.

    Raises
    ------
    ValueError
        See `exchange_partners`.
    """
    check_table(pairs)
    needed = [*IMAGE, "kind", "relation", "head_index", "dependent_index", "head_pos"]
    needed += ["dependent_pos", "head_subwords", "dependent_subwords", *measures, *covariates]
    missing = [name for name in needed if name not in pairs.columns]
    if missing:
        raise ValueError(
            f"Expected a pair table with words to exchange, but it has no {', '.join(missing)}: pass the result of "
            "measure_pairs."
        )
    pairs = pairs[pairs["kind"].isin(["dependency", "unrelated"])].reset_index(drop=True)
    together = [[name] for name in measures if has_direction(name)]
    together.append([name for name in measures if not has_direction(name)])
    found: dict[str, Exchange] = {}
    for names in filter(None, together):
        found |= _exchanges(pairs, names, symmetric, covariates)
    return found


def _exchanges(
    pairs: pd.DataFrame, measures: list[str], symmetric: Sequence[str], covariates: Sequence[str]
) -> dict[str, Exchange]:
    """Return the exchanges by one measure with a direction, or by several without."""
    if has_direction(measures[0]):
        pairs = with_both_orders(pairs)
    names = [*covariates_of(pairs, measures[0]), *covariates]
    columns = pair_arrays(pairs, measures, symmetric, covariates)
    own, shared = np.split(columns["values"], [len(measures)])
    totals = pd.DataFrame(
        {"n": shared.shape[1], "sum": shared.sum(axis=1), "squares": (shared**2).sum(axis=1)},
        index=names,
    )
    rows = pairs.assign(structure=structures_of(pairs))
    rows = rows.drop(columns=[*names, "reason"], errors="ignore")
    exchanges = {}
    for measure, value, found in zip(measures, own, _contrasts(columns), strict=True):
        contrast, *of_covariates = found.values
        value, measured = value[found.pairs], ~np.isnan(value)
        table = rows.iloc[found.pairs].reset_index(drop=True)
        table = table.assign(
            tier=np.array([*TIERS], dtype=object)[found.tiers],
            value=value,
            contrast=contrast,
            exchanged=value - contrast,
            **dict(zip(names, of_covariates, strict=True)),
        )
        measured &= pairs["kind"].eq("dependency").to_numpy(bool)
        of_relations = pairs.loc[measured, ["scheme", "threshold", "relation"]]
        exchanges[measure] = Exchange(table, measure, totals, of_relations)
    return exchanges


@dataclass(frozen=True)
class _Rows:
    """Rows of an exchange: row of the pair table, place in `TIERS`, contrasts of a measure and of the covariates."""

    pairs: np.ndarray
    tiers: np.ndarray
    values: np.ndarray


def _contrasts(columns: dict[str, Any]) -> list[_Rows]:
    """Return, for each measure, the rows that have contrasts, in the order of the pair table, then of the tiers."""
    n_measures = columns["n_measures"]
    n_channels = 1 + len(columns["values"]) - n_measures
    nothing = (np.zeros(0, int), np.zeros(0, int), np.zeros((n_channels, 0)))
    parts = [[nothing] for _ in range(n_measures)]
    for sentences in word_matrices(columns):
        i, j = sentences.places
        found = exchange(
            sentences.values,
            i,
            j,
            sentences.relations,
            sentences.joined,
            sentences.unrelated,
            sentences.alike,
        )
        for tier, contrast in enumerate((found.two_sided, found.one_sided)):
            kept = sentences.measured & ~np.isnan(contrast[0, 0])  # (channel, image, row)
            rows = sentences.rows[:, kept].ravel()
            tiers = np.full(len(rows), tier)
            values = contrast[..., kept].reshape(len(contrast), -1)
            shared = values[len(sentences.measures) :]
            for place, own in zip(sentences.measures, values, strict=False):
                parts[place].append((rows, tiers, np.vstack([own, shared])))
    return [_in_order(*zip(*part, strict=True)) for part in parts]


def _in_order(
    pairs: Iterable[np.ndarray], tiers: Iterable[np.ndarray], values: Iterable[np.ndarray]
) -> _Rows:
    found = [np.concatenate(list(parts), axis=-1) for parts in (pairs, tiers, values)]
    order = np.lexsort((found[1], found[0]))
    return _Rows(*(each[..., order] for each in found))


def structures_of(pairs: pd.DataFrame) -> pd.Series:
    """Return the structure of each row's prompt: the parts of speech of its words, in order."""
    prompts = pd.factorize(pairs["prompt_id"])[0]
    words = [pairs[f"{role}_index"].to_numpy(int) for role in ("head", "dependent")]
    pos = [pairs[f"{role}_pos"].astype(str).to_numpy(object) for role in ("head", "dependent")]
    n = np.max(words, initial=0) + 1
    found, first = np.unique(
        np.concatenate([prompts * n + word for word in words]), return_index=True
    )
    of_words = np.concatenate(pos)[first]
    starts = np.flatnonzero(np.diff(found // n)) + 1
    names = [" ".join(part) for part in np.split(of_words, starts)]
    return pd.Series(np.array(names, dtype=object)[prompts], index=pairs.index, dtype=object)
