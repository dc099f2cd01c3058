"""What relations add, from pair tables that come in parts and are never in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis.exchange.contrasts import TIERS, Exchange, exchange_by_measure, spread_of
from daam_syntax.analysis.exchange.matrices import lacking_for_exchange
from daam_syntax.analysis.inference.contributions import Contributions
from daam_syntax.analysis.inference.estimate import Estimate
from daam_syntax.analysis.inference.means import estimate_mean
from daam_syntax.analysis.relations.adjustment import ROUNDING, Adjusted, adjusted_for
from daam_syntax.analysis.relations.comparisons import RULE, related_columns
from daam_syntax.analysis.relations.estimates import (
    NOTHING_TO_EXCHANGE,
    Relatedness,
    Sample,
    can_exchange,
    choose_tier,
    estimate_relatedness,
    samples_structures,
)
from daam_syntax.analysis.statistics.sign_flips import MIN_FLIPPED, Nuisance

_PAIRS: Final = "n_pairs"
_IMAGES: Final = "n_images"


class StreamedComparison:
    """Compares groups with exchanged partners, from moments of their contrasts.

    Parameters
    ----------
    prompts
        Means of the prompts of each group, one row per prompt and group.
    groups
        Columns that define the groups.
    moments
        Of each measure, the moments of its contrasts; complete.
    tier, accept, **options
        See `summarize`.
    """

    def __init__(
        self,
        prompts: pd.DataFrame,
        groups: Sequence[str],
        moments: Mapping[str, ExchangeMoments],
        *,
        tier: str | None = None,
        accept: Sequence[str] = (),
        **options: Any,
    ) -> None:
        grouped = prompts.groupby(list(groups), dropna=False)
        self.groups = list(grouped)
        self.names, self.moments = list(groups), moments
        self.tier, self.accept, self.options = tier, accept, options

    def rows(self, measure: str, *, means: bool = True) -> list[dict[str, Any]]:
        """Return the columns of inference of every group; of means only if they are asked for."""
        found = []
        for key, rows in self.groups:
            row: dict[str, Any] = {"note": ""}
            if means:
                mean = estimate_mean(rows, measure, **self.options)
                row = {"low": mean.low, "high": mean.high, "note": mean.reason}
            group = dict(zip(self.names, key, strict=True))
            lacking = self.moments[measure].lacking
            if lacking or not self.moments[measure].can_exchange:
                reasons = [row["note"], lacking or NOTHING_TO_EXCHANGE]
                row["note"] = "; ".join(filter(None, reasons))
            elif group["kind"] == "dependency":
                options = {"tier": self.tier, "accept": self.accept, **self.options}
                result = self.moments[measure].relatedness(group, **options)
                row |= related_columns(result, row["note"])
            found.append(row)
        return found


class ExchangeMoments:
    """Moments of the contrasts of each prompt, which is all that `relatedness` needs with prompts as clusters.

    Parameters
    ----------
    measure
        Column of the measure.
    groups
        Columns that define the groups, "kind" among them.
    symmetric
        See `exchange_partners`.
    """

    def __init__(self, measure: str, groups: Sequence[str], symmetric: Sequence[str] = ()) -> None:
        self.measure, self.groups, self.symmetric = measure, list(groups), symmetric
        self._parts: list[pd.DataFrame] = []
        self._measured: list[pd.DataFrame] = []
        self._covariates = pd.DataFrame()
        self.can_exchange = False  # whether there were unrelated pairs
        self.lacking = ""

    def suits(self, pairs: pd.DataFrame) -> bool:
        """Return whether the partners of a table can be exchanged; if not, remember why."""
        self.lacking = lacking_for_exchange(pairs.columns, self.measure, self.symmetric)
        return not self.lacking and {"head_index", "head_pos", "head_subwords"} <= set(
            pairs.columns
        )

    def add(self, pairs: pd.DataFrame, exchange: Exchange) -> None:
        """Add the pairs of some images; all pairs of an image come in one part."""
        self.can_exchange |= can_exchange(pairs)
        self._covariates = self._covariates.add(exchange.totals, fill_value=0.0)
        measured = pairs[pairs[self.measure].notna()]
        counts = measured.groupby(self.groups, dropna=False).size().rename(_PAIRS)
        self._measured.append(counts.reset_index())
        table = exchange.table
        columns = self._moments(table, list(exchange.totals.index))
        # Unrelated pairs are one group, whatever the others are divided by.
        keys = table[[*self.groups, "structure"]].copy()
        others = [name for name in self.groups if name not in ("kind", *RULE)]
        keys[others] = keys[others].where(table["kind"].eq("dependency"), None)
        frame = pd.concat([keys, table[["prompt_id", "image", "tier"]], columns], axis="columns")
        by = [*self.groups, "prompt_id", "structure", "tier"]
        images = frame.groupby([*by, "image"], dropna=False)
        means = images[list(columns)].mean()
        means[_PAIRS], means[_IMAGES] = images.size(), 1
        self._parts.append(means.groupby(level=by, dropna=False).sum().reset_index())

    def _moments(self, table: pd.DataFrame, covariates: list[str]) -> pd.DataFrame:
        contrast, held = table["contrast"], adjusted_for(covariates)
        columns: dict[str, pd.Series] = {"contrast": contrast}
        columns |= {name: table[name] for name in covariates}
        columns |= {f"contrast {name}": contrast * table[name] for name in held}
        columns |= {
            f"{first} {second}": table[first] * table[second] for first in held for second in held
        }
        return pd.DataFrame(columns)

    def finish(self) -> None:
        """Add up the parts of each prompt."""
        by = [*self.groups, "prompt_id", "structure", "tier"]
        frame = pd.concat(self._parts, ignore_index=True)
        frame = frame.groupby(by, dropna=False, sort=True).sum().reset_index()
        values = [name for name in frame.columns if name not in (*by, _PAIRS, _IMAGES)]
        frame[values] = frame[values].div(frame[_IMAGES], axis="index")
        self._frame = frame
        measured = pd.concat(self._measured, ignore_index=True)
        self._counts = measured.groupby(self.groups, dropna=False)[_PAIRS].sum()
        self.spread = spread_of(self._covariates)

    def relatedness(
        self, group: dict[str, Any], *, tier: str | None, accept: Sequence[str], **options: Any
    ) -> Relatedness:
        """Return what the relation of a group adds, as `relatedness` does.

        Parameters
        ----------
        group
            Value of each column of the groups.
        tier, accept, **options
            See `summarize`.
        """
        frame = self._frame
        chosen = frame[_equal(frame, group)]
        counts = self._counts[_equal(self._counts.index.to_frame(), group).to_numpy()]
        n_measured = max(int(counts.sum()), 1)
        n_matched = [int(chosen.loc[chosen["tier"] == name, _PAIRS].sum()) for name in TIERS]
        wanted, share, reason = choose_tier(np.array(n_matched) / n_measured, tier)
        label = "relatedness"
        if not wanted:
            empty = Estimate(label, self.measure, np.nan, reason=reason)
            return Relatedness(empty, "", 0.0, "")
        related = chosen[chosen["tier"] == wanted]
        rule = {name: group[name] for name in RULE} | {"kind": "unrelated", "tier": wanted}
        unrelated = frame[_equal(frame, rule)]
        if "distance" in accept:
            unrelated = unrelated[:0]
        structures = pd.concat([related, unrelated]).set_index("prompt_id")["structure"]
        shared = related["structure"].nunique() < len(related)
        by_structure = samples_structures("prompt_id", accept, shared=shared)
        found = _adjust(related, unrelated, structures if by_structure else None)
        sample = Sample(
            related["contrast"].to_numpy(float),
            related[list(self.spread.index)].reset_index(drop=True),
            [related["structure"].nunique() if by_structure else len(related)],
            int(related[_IMAGES].sum()),
            int(related[_PAIRS].sum()),
        )
        estimate, effect = estimate_relatedness(
            found,
            sample,
            self.spread,
            self.measure,
            accept=accept,
            shared=shared,
            label=label,
            **(options | ({"cluster": "structure"} if by_structure else {})),
        )
        return Relatedness(estimate, wanted, share, effect)


def add_pairs(
    moments: Mapping[str, ExchangeMoments], pairs: pd.DataFrame, symmetric: Sequence[str] = ()
) -> None:
    """Add the pairs of some images to the moments of every measure."""
    wanted = [measure for measure, each in moments.items() if each.suits(pairs)]
    if wanted:
        for measure, exchange in exchange_by_measure(pairs, wanted, symmetric=symmetric).items():
            moments[measure].add(pairs, exchange)


def _equal(frame: pd.DataFrame, values: dict[str, Any]) -> pd.Series:
    """Return which rows have these values; a missing value equals a missing value."""
    found = pd.Series(True, index=frame.index)
    for name, value in values.items():
        found &= frame[name].isna() if pd.isna(value) else frame[name].eq(value)
    return found


def _adjust(
    related: pd.DataFrame, unrelated: pd.DataFrame, structures: pd.Series | None
) -> Adjusted:
    """Do what `adjust_for_distance` does, from moments of the prompts.

    Structures of the prompts are the clusters; None if prompts are.
    """
    names = adjusted_for(list(related.columns))
    balanced = bool(np.abs(related[names].to_numpy(float)).max(initial=0.0) < ROUNDING)
    squares = [f"{name} {name}" for name in names]
    differ = unrelated[squares].to_numpy(float).max(axis=1, initial=0.0) > ROUNDING**2
    prompts = np.union1d(related["prompt_id"], unrelated["prompt_id"])
    if balanced or int(differ.sum()) < MIN_FLIPPED:
        ones = np.ones(len(related))
        codes = _clusters(related["prompt_id"], structures)
        sums = related["contrast"].to_numpy(float)
        return Adjusted(Contributions(sums, ones, (codes,)), False, balanced)
    crossed_names = [f"{a} {b}" for a in names for b in names]
    numbers = ["contrast", *names, *(f"contrast {name}" for name in names), *crossed_names]
    rows = related.set_index("prompt_id").reindex(prompts)[numbers].fillna(0.0)
    others = unrelated.set_index("prompt_id").reindex(prompts)[numbers].fillna(0.0)
    has = pd.Index(prompts).isin(related["prompt_id"]).astype(float)
    x_z = rows[names].to_numpy(float)
    x_y = rows["contrast"].to_numpy(float)
    sides = (rows, others)
    y_z = np.sum(
        [side[[f"contrast {name}" for name in names]].to_numpy(float) for side in sides], axis=0
    )
    z_z = np.sum([side[crossed_names].to_numpy(float) for side in sides], axis=0)
    z_z = z_z.reshape(-1, len(names), len(names))
    total = z_z.sum(axis=0)
    slopes = np.linalg.lstsq(
        total, np.stack([x_z.sum(axis=0), y_z.sum(axis=0)], axis=1), rcond=None
    )
    by_x, by_y = slopes[0].T
    crossed = np.einsum("i,pij,j->p", by_x, z_z, by_y)
    sums = x_y - x_z @ by_y - y_z @ by_x + crossed
    counts = has - 2 * x_z @ by_x + np.einsum("i,pij,j->p", by_x, z_z, by_x)
    moments = Nuisance(z_z, x_z, y_z, has - x_z @ by_x, x_y - y_z @ by_x)
    codes = _clusters(prompts, structures)
    return Adjusted(Contributions(sums, counts, (codes,), moments), True, False)


def _clusters(prompts: Iterable[Any], structures: pd.Series | None) -> np.ndarray:
    """Return the cluster of each prompt as codes. *Shape:* ``(prompt,)``."""
    names = list(prompts)
    if structures is None:
        return np.arange(len(names))
    home = structures[~structures.index.duplicated()].reindex(names)
    return np.asarray(pd.factorize(home, sort=True)[0])
