"""Report a run as tables and an HTML page, without a model."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2
import pandas as pd

from daam_syntax.analysis import to_html, write_table
from daam_syntax.analysis.export import readable_summary
from daam_syntax.analysis.relations.displayed_summary import is_summary
from daam_syntax.runs.problems import without_empty_columns
from daam_syntax.runs.reanalysis import Reanalysis
from daam_syntax.runs.stored_run import Run
from daam_syntax.util.arguments.checks import checked
from daam_syntax.util.regular_files import make_folder
from daam_syntax.util.whole_files import file_errors, whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN_PROBLEMS: Final = 200
_SHOWN_GROUPS: Final = 40


@checked
def report(
    run: Run | str | Path,
    out: str | Path | None = None,
    *,
    by: str | Sequence[str] = "relation",
    accept: str | Sequence[str] = (),
    tables: Reanalysis | None = None,
) -> Path:
    """Write the summary and the problems of a run as tables, and an HTML page with both and a figure.

    Parameters
    ----------
    run
        A run, or its folder. It need not be complete.
    out
        The folder in which to write ``index.html``, ``summary.csv`` and ``problems.csv``. If None, ``report`` in the
        folder of the run, or in that of `tables`.
    by
        Columns that define the groups of the summary, from the pair table or from the prompts; see `Run.summarize`.
    accept
        Properties in which pairs and the control may differ, "place", "distance", ..., or "all"; see `summarize`.
    tables
        A reanalysis of the run to report; the run's own tables if None.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    FileError
        If the run cannot be read, or the folder cannot be written.
    ValueError
        If a column or a property does not exist.
    """
    return write_report(
        run if isinstance(run, Run) else Run(run), out, by=by, accept=accept, tables=tables
    )[0]


def write_report(
    run: Run,
    out: str | Path | None,
    *,
    by: str | Sequence[str],
    accept: str | Sequence[str] = (),
    tables: Reanalysis | None = None,
) -> tuple[Path, pd.DataFrame]:
    """Write a report, and return its folder and its summary; see `report`."""
    measured = run if tables is None else tables
    summary, problems = measured.summarize(by, accept=accept), run.problems()
    if out is None:
        out = make_folder(measured.path, "report")
    else:
        out = Path(out)
        with file_errors(out):
            out.mkdir(parents=True, exist_ok=True)
    write_table(summary, out / "summary.csv")
    write_table(problems, out / "problems.csv")
    groups = [by] if isinstance(by, str) else list(by)
    accepted = [accept] if isinstance(accept, str) else list(accept)
    page = _page(run, summary, problems, groups, accepted)
    with whole_file(out / "index.html") as partial:
        partial.write_text(page, encoding="utf-8")
    return out, summary


def _page(
    run: Run,
    summary: pd.DataFrame,
    problems: pd.DataFrame,
    groups: list[str],
    accepted: list[str],
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("daam_syntax.runs", "templates"),
        autoescape=True,  # prompts come from files of other people
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html").render(
        run=run,
        n_images=sum(record.n_images for record in run.records),
        n_failed=sum(record.n_failed for record in run.records),
        n_bytes=sum(file.n_bytes for record in run.records for file in record.files.values()),
        groups=groups,
        accepted=accepted,
        shown=_shown(summary),
        summary=_cells(summary.drop(columns="note", errors="ignore")),
        problems=_cells(without_empty_columns(problems.head(_SHOWN_PROBLEMS))),
        n_problems=len(problems),
        figures=list(_figures(summary, groups)),
    )


def _shown(summary: pd.DataFrame) -> str:
    """Return the columns of a summary that one reads as HTML, with the notes of its rows as footnotes."""
    if not is_summary(summary):
        return to_html(summary)
    view, notes = readable_summary(summary)
    return to_html(view, notes=notes)


def _cells(table: pd.DataFrame) -> dict[str, list[Any]]:
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return {"columns": list(table.columns), "rows": rows}


def _cell(value: object) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _figures(summary: pd.DataFrame, groups: list[str]) -> Iterator[str]:
    """Yield a forest plot of the groups for each scheme and threshold, as SVG with text drawn as paths."""
    from matplotlib.figure import Figure

    from daam_syntax.figures import forest

    name = ", ".join(groups)
    labels = [", ".join(map(str, row)) for row in summary[groups].itertuples(index=False)]
    labeled = summary.assign(**{name: labels})
    for (scheme, threshold), rows in labeled.groupby(["scheme", "threshold"], sort=False):
        shown = rows[rows["n_pairs"] > 0].head(_SHOWN_GROUPS)
        is_control = shown["kind"] == "unrelated"
        if is_control.all():
            continue
        if is_control.sum() > 1:  # for instance one per part of speech; a forest shows one control
            shown = shown[~is_control]
        figure = Figure(figsize=(7, 1.3 + 0.27 * len(shown)), layout="constrained")
        axes = forest(shown, group=name, measure=summary.attrs["measure"], ax=figure.subplots())
        axes.set_title(f"{scheme}, {threshold}", fontsize="small", loc="right")
        yield _svg(figure)


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # no font covers all prompts
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]
