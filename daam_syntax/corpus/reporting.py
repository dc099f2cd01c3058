"""The report of a run: tables and a page, made without a model."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2
import pandas as pd

from daam_syntax.corpus.folder import told
from daam_syntax.corpus.reading import Run
from daam_syntax.whole_files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_SHOWN_PROBLEMS: Final = 200


def report(
    run: Run | str | Path, out: str | Path | None = None, *, by: str | Sequence[str] = "relation"
) -> Path:
    """Write the summary and the problems of a run as tables, and a page of both with a figure.

    Parameters
    ----------
    run
        A run, or its folder; it need not be finished.
    out
        The folder to write ``index.html``, ``summary.csv`` and ``problems.csv`` into; ``report`` in that of the
        run if None.
    by
        Column, or columns, of the pair table that make the groups of the summary.

    Returns
    -------
    pathlib.Path
        That folder.

    Raises
    ------
    FileError
        If the run cannot be read, or the folder not written.
    """
    run = run if isinstance(run, Run) else Run(run)
    out = run.path / "report" if out is None else Path(out)
    summary, problems = run.summarize(by), run.problems()
    with told(out):
        out.mkdir(parents=True, exist_ok=True)
    write_csv(summary, out / "summary.csv")
    write_csv(problems, out / "problems.csv")
    groups = [by] if isinstance(by, str) else list(by)
    page = _page(run, summary, problems, groups)
    with whole_file(out / "index.html") as partial:
        partial.write_text(page, encoding="utf-8")
    return out


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV that no spreadsheet takes for formulas.

    Text that begins like a formula gets an apostrophe before it: prompts and their words are other people's text.
    """
    safe = table.copy()
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = safe[name].map(_inert, na_action="ignore")
    with whole_file(path) as partial:
        safe.to_csv(partial, index=False, lineterminator="\n")


def _inert(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_DANGEROUS) else value


def _page(run: Run, summary: pd.DataFrame, problems: pd.DataFrame, groups: list[str]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("daam_syntax.corpus", "templates"),
        autoescape=True,  # prompts and their words are other people's text
        undefined=jinja2.StrictUndefined,
    )
    images = sum(record.n_images for record in run.records)
    return environment.get_template("report.html").render(
        run=run,
        n_images=images,
        n_failed=sum(record.n_failed for record in run.records),
        n_bytes=sum(file.n_bytes for record in run.records for file in record.files.values()),
        summary=_cells(summary),
        problems=_cells(problems.head(_SHOWN_PROBLEMS)),
        n_problems=len(problems),
        # Drawn by matplotlib, which writes all text as shapes.
        figure=_svg(_figure(summary, groups)) if summary["n_pairs"].any() else "",
    )


def _cells(table: pd.DataFrame) -> dict[str, list[Any]]:
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return {"columns": list(table.columns), "rows": rows}


def _cell(value: object) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _figure(summary: pd.DataFrame, groups: list[str]) -> Figure:
    """Plot the mean IoU of every group with a measured pair, the control first."""
    from matplotlib.figure import Figure

    rules = list(dict.fromkeys(zip(summary["scheme"], summary["threshold"], strict=True)))
    scheme, threshold = rules[0]
    chosen = (summary["scheme"] == scheme) & (summary["threshold"] == threshold)
    shown = summary[chosen & (summary["n_pairs"] > 0)].head(30)
    labels = shown[groups].astype(str).agg(", ".join, axis=1)
    figure = Figure(figsize=(7, 0.9 + 0.27 * len(shown)), layout="constrained")
    axes = figure.subplots()
    places = range(len(shown))
    colors = ["#777777" if kind == "unrelated" else "#0072b2" for kind in shown["kind"]]
    axes.hlines(places, 0, shown["iou"], color=colors, linewidth=1)
    axes.scatter(shown["iou"], places, color=colors, zorder=3)
    named = [f"{label} ({n})" for label, n in zip(labels, shown["n_prompts"], strict=True)]
    axes.set_yticks(places, named, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"mean IoU of the masks ({scheme}, {threshold}); in brackets: prompts")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]
