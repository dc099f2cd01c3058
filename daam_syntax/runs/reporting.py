"""The report of a run: tables and a page, made without a model."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2
import pandas as pd

from daam_syntax.analysis import write_table
from daam_syntax.runs.reanalysis import Reanalysis
from daam_syntax.runs.stored_run import Run
from daam_syntax.util.whole_files import file_errors, whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN_PROBLEMS: Final = 200
_SHOWN_GROUPS: Final = 40


def report(
    run: Run | str | Path,
    out: str | Path | None = None,
    *,
    by: str | Sequence[str] = "relation",
    tables: Reanalysis | None = None,
) -> Path:
    """Write the summary and the problems of a run as tables, and a page of both with a figure.

    Parameters
    ----------
    run
        A run, or its folder; it need not be finished.
    out
        The folder to write ``index.html``, ``summary.csv`` and ``problems.csv`` into; ``report`` in that of the
        run, or of the tables, if None.
    by
        Column, or columns, that make the groups of the summary: of the pair table or of the prompts, see
        `Run.summarize`.
    tables
        What the run was measured again with; its own tables if None.

    Returns
    -------
    pathlib.Path
        That folder.

    Raises
    ------
    FileError
        If the run cannot be read, or the folder not written.
    ValueError
        If there is no such column.
    """
    return write_report(run if isinstance(run, Run) else Run(run), out, by=by, tables=tables)[0]


def write_report(
    run: Run,
    out: str | Path | None,
    *,
    by: str | Sequence[str],
    tables: Reanalysis | None = None,
) -> tuple[Path, pd.DataFrame]:
    """Write a report, and return its folder and the summary in it; see `report`."""
    measured = run if tables is None else tables
    out = measured.path / "report" if out is None else Path(out)
    summary, problems = measured.summarize(by), run.problems()
    with file_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    write_table(summary, out / "summary.csv")
    write_table(problems, out / "problems.csv")
    groups = [by] if isinstance(by, str) else list(by)
    page = _page(run, summary, problems, groups)
    with whole_file(out / "index.html") as partial:
        partial.write_text(page, encoding="utf-8")
    return out, summary


def _page(run: Run, summary: pd.DataFrame, problems: pd.DataFrame, groups: list[str]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("daam_syntax.runs", "templates"),
        autoescape=True,  # prompts and their words are other people's text
        undefined=jinja2.StrictUndefined,
    )
    images = sum(record.n_images for record in run.records)
    return environment.get_template("report.html").render(
        run=run,
        n_images=images,
        n_failed=sum(record.n_failed for record in run.records),
        n_bytes=sum(file.n_bytes for record in run.records for file in record.files.values()),
        groups=groups,
        summary=_cells(summary),
        problems=_cells(problems.head(_SHOWN_PROBLEMS)),
        n_problems=len(problems),
        figures=list(_figures(summary, groups)),
    )


def _cells(table: pd.DataFrame) -> dict[str, list[Any]]:
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return {"columns": list(table.columns), "rows": rows}


def _cell(value: object) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _figures(summary: pd.DataFrame, groups: list[str]) -> Iterator[str]:
    """Yield a forest of the groups for each scheme and threshold, as SVG in which all text is shapes."""
    from matplotlib.figure import Figure

    from daam_syntax.figures import forest

    name = ", ".join(groups)
    labels = [", ".join(map(str, row)) for row in summary[groups].itertuples(index=False)]
    named = summary.assign(**{name: labels})
    for (scheme, threshold), rows in named.groupby(["scheme", "threshold"], sort=False):
        shown = rows[rows["n_pairs"] > 0].head(_SHOWN_GROUPS)
        is_control = shown["kind"] == "unrelated"
        if is_control.all():
            continue
        if is_control.sum() > 1:  # one for each part of speech, say: a forest has room for one line
            shown = shown[~is_control]
        figure = Figure(figsize=(7, 1.3 + 0.27 * len(shown)), layout="constrained")
        axes = forest(shown, group=name, measure=summary.attrs["measure"], ax=figure.subplots())
        axes.set_title(f"{scheme}, {threshold}", fontsize="small", loc="right")
        yield _svg(figure)


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # no font has all that strangers write
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]
