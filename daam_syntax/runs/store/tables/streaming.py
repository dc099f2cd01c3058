"""Summarize a table of pairs that is too large to load: shard by shard, and exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from daam_syntax.analysis import summarize
from daam_syntax.analysis.checks import meant
from daam_syntax.analysis.inference.differences import check_accepted
from daam_syntax.analysis.relations.comparisons import EXCHANGED, RULE
from daam_syntax.analysis.relations.displayed_summary import Summary
from daam_syntax.analysis.relations.streamed_estimates import (
    ExchangeMoments,
    StreamedComparison,
    add_pairs,
)
from daam_syntax.analysis.relations.summary import (
    CORRECTED,
    group_means,
    needs_correction,
    summary_table,
)
from daam_syntax.maps import PAIR_MEASURES
from daam_syntax.runs.store.tables.schemas import to_frame

_EXCHANGED: Final = (
    "relation",
    "head_index",
    "dependent_index",
    "head_pos",
    "dependent_pos",
    "head_subwords",
    "dependent_subwords",
    "head_area",
    "dependent_area",
)
"""Further columns that an exchange of partners needs, or uses if the table has them."""

_PAIRS_AT_ONCE: Final = 50_000

_PAIRS: Final = {"_pairs": "n_pairs", "_missing": "n_missing"}
_COUNTS: Final = {**_PAIRS, "_images": "n_images"}
"""Maps each column of the statistics to the column of the summary that is its sum."""


def summarize_shards(
    shards: Callable[[Sequence[str]], Iterable[pa.Table]],
    names: Sequence[str],
    by: str | Sequence[str] = "relation",
    *,
    measure: str | None = None,
    control: str = EXCHANGED,
    corrected: str | None = CORRECTED,
    **options: Any,
) -> pd.DataFrame:
    """Summarize pairs that come in parts; the result equals `summarize` of the whole table.

    All pairs of an image are in one part. Each part is therefore reduced to sums over the images of a prompt, with one
    row for each prompt and group, and `summarize` receives prompts, which are its sample, instead of pairs.

    Parameters
    ----------
    shards
        Function that yields the parts with the requested columns.
    names
        Columns of the table.
    by, measure, control, corrected, **options
        Arguments of `summarize`, except ``cluster``: here prompts are the independent units.

    Raises
    ------
    ValueError
        If the table lacks a column, or other clusters are requested.
    """
    if options.get("cluster", "prompt_id") != "prompt_id":
        raise ValueError(
            "Expected prompts as clusters; for other clusters, call summarize(run.pairs(), ...)."
        )
    wanted = [by] if isinstance(by, str) else list(by)
    measures = [name for name in PAIR_MEASURES if name in names]
    if measure is None:
        measure = "iou" if "iou" in measures or not measures else measures[0]
    unknown = [name for name in [*wanted, measure] if name not in names]
    if unknown:
        raise ValueError(
            f"Expected columns of this pair table or of its prompts ({', '.join(names)}), but got "
            f"{', '.join(unknown)}.{meant(unknown, names)}"
        )
    groups = list(dict.fromkeys(["kind", *RULE, *wanted]))
    keys = list(dict.fromkeys([*groups, "prompt_id"]))
    columns = list(dict.fromkeys([*keys, "image", *measures]))
    beside = corrected if needs_correction(names, measure, corrected) else None
    symmetric = options.pop("symmetric", ())
    moments = {
        name: ExchangeMoments(name, groups, symmetric)
        for name in (measure, beside)
        if name is not None and control == EXCHANGED
    }
    if moments:
        more = [name for name in _EXCHANGED if name in names]
        columns = list(dict.fromkeys([*columns, *more]))

    def reduced(part: pa.Table) -> pa.Table:
        if moments:
            add_pairs(moments, to_frame(part), symmetric)
        return _statistics(part, keys, measures, measure)

    prompts = _prompts(pa.concat_tables(map(reduced, _joined(shards(columns)))), keys, measures)
    means = prompts.drop(columns=list(_COUNTS))
    chosen = {"measure": measure, "control": control, "corrected": corrected, **options}
    has_exchange = any(each.can_exchange for each in moments.values())
    # With an exchange, this only checks the options; its estimates are not used.
    n_resamples = options.get("n_resamples", 1)
    only_checks = has_exchange and type(n_resamples) is int and n_resamples >= 1
    table = summarize(means, by, **chosen | ({"n_resamples": 1} if only_checks else {}))
    if has_exchange:
        for each in moments.values():
            each.finish()
        settings = {name: table.attrs[name] for name in ("cluster", "level", "correction")}
        rest = {name: value for name, value in options.items() if name != "correction"}
        rest["accept"] = check_accepted(rest.get("accept", ()))
        table = summary_table(
            group_means(means, groups, measures, measure),
            StreamedComparison(means, groups, moments, **rest),
            measure=measure,
            beside=beside,
            control=control,
            **settings,
        )
    # `summarize` counted prompts and groups; the summary needs images and pairs.
    counts = prompts.groupby(groups, dropna=False)[list(_COUNTS)].sum().rename(columns=_COUNTS)
    recounted = counts.merge(
        table.drop(columns=list(_COUNTS.values())), on=groups, how="left", validate="one_to_one"
    )
    of_control = "unrelated" if control == EXCHANGED else control
    recounted["_control"] = recounted["kind"] == of_control
    recounted = recounted.sort_values(
        [*RULE, "_control", "n_pairs"], ascending=[True, True, False, False], kind="stable"
    )
    recounted = recounted[list(table.columns)].reset_index(drop=True)
    summary = Summary(recounted)
    summary.attrs = table.attrs
    return summary


def _joined(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield several parts as one: a shard has some thousand pairs, for which pandas takes as long as for many more."""
    waiting: list[pa.Table] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= _PAIRS_AT_ONCE:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _statistics(pairs: pa.Table, keys: list[str], measures: list[str], measure: str) -> pa.Table:
    """Return, for each prompt and group, the numbers of pairs and images, and sums and counts of the images' means."""
    measured = pc.is_valid(pairs[measure])
    columns = {name: pairs[name] for name in pairs.column_names}
    # All means are over the same pairs: those with a value of the summarized measure.
    columns |= {name: pc.if_else(measured, pairs[name], None) for name in measures}
    columns |= {"_pairs": _number(measured), "_missing": _number(pc.invert(measured))}
    images = _aggregated(
        pa.table(columns),
        list(dict.fromkeys([*keys, "image"])),
        {**{name: (name, "mean") for name in measures}, **{n: (n, "sum") for n in _PAIRS}},
    )
    images = images.append_column("_images", _number(pc.greater(images["_pairs"], 0)))
    sums = {_sum(name): (name, "sum") for name in measures}
    counts = {_count(name): (name, "count") for name in measures}
    return _aggregated(images, keys, {**sums, **counts, **{n: (n, "sum") for n in _COUNTS}})


def _prompts(statistics: pa.Table, keys: list[str], measures: list[str]) -> pd.DataFrame:
    """Add up the parts of each prompt, and return its means as if each prompt had one image with one pair."""
    names = [*map(_sum, measures), *map(_count, measures), *_COUNTS]
    frame = to_frame(_aggregated(statistics, keys, {name: (name, "sum") for name in names}))
    means = {name: frame[_sum(name)] / frame[_count(name)] for name in measures}
    return pd.DataFrame({"image": 0, **frame[[*keys, *_COUNTS]], **means})


def _aggregated(
    table: pa.Table, keys: list[str], wanted: Mapping[str, tuple[str, str]]
) -> pa.Table:
    """Aggregate columns of a table by keys, in the order of the keys' first rows.

    Parameters
    ----------
    wanted
        Maps each column of the result to a column of the table and the name of an aggregation.
    """
    found = table.group_by(keys, use_threads=False).aggregate(list(wanted.values()))
    # By name, because the order of keys and aggregates differs between versions of Arrow.
    columns = {key: found[key] for key in keys}
    return pa.table(columns | {name: found["_".join(of)] for name, of in wanted.items()})


def _number(flags: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(flags, pa.int64())


def _sum(measure: str) -> str:
    return f"_sum_{measure}"


def _count(measure: str) -> str:
    return f"_count_{measure}"
