"""What a user sees in a terminal: tables, and why a command ended."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import pandas as pd


def fail(message: str, code: int = 1) -> NoReturn:
    """End the program with a message on stderr."""
    print(f"daam-syntax: {message}", file=sys.stderr)
    raise SystemExit(code)


@contextmanager
def resumable(out: Path) -> Iterator[None]:
    """End with a word on how to go on, where the user interrupts what fills a folder."""
    try:
        yield
    except KeyboardInterrupt:
        fail(f"interrupted; the same command takes up what is in {out}", 130)


def quiet_libraries() -> None:
    """Keep the bars and warnings of the libraries out of a terminal that has a bar of ours."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def show_tables(pairs: pd.DataFrame, summary: pd.DataFrame, threshold: str) -> None:
    """Print the dependency pairs and the summary as tables."""
    scheme = ["scheme"] if pairs["scheme"].nunique() > 1 else []
    columns = ["relation", "head", "dependent", "iou", "iod", "ioh", "lift", "reason"]
    title = f"Pairs of head and dependent ({threshold})"
    _print_table(pairs[pairs["kind"] == "dependency"][["image", *scheme, *columns]], title)
    show_summary(summary)


def show_summary(
    summary: pd.DataFrame,
    measures: Sequence[str] = ("iou", "iod", "ioh", "lift"),
    by: Sequence[str] = ("relation",),
) -> None:
    """Print the summary; the schemes and thresholds where there are several."""
    several = [name for name in ("scheme", "threshold") if summary[name].nunique() > 1]
    kind = [] if "relation" in by else ["kind"]  # that of a relation is clear
    columns = [*several, *kind, *by, "n_prompts", "n_images", "n_pairs", *measures]
    title = f"Summary by {', '.join(by)} (means over prompts)"
    _print_table(summary[list(dict.fromkeys(columns))], title)


def show_problems(problems: pd.DataFrame) -> None:
    """Print the first problems of a run, if there are any."""
    if len(problems):
        columns = ["stage", "problem", "shard", "image", "prompt", "message", "consequence"]
        title = f"Problems: {len(problems):,}" + (", of which the first 10" * (len(problems) > 10))
        _print_table(problems[columns].head(10), title)


def _print_table(table: pd.DataFrame, title: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    view = Table(title=title, title_justify="left")
    numeric = table.select_dtypes("number").columns
    for column in table.columns:
        view.add_column(column, justify="right" if column in numeric else "left")
    for row in table.itertuples(index=False):
        # As Text: a prompt may hold what would be markup.
        view.add_row(*(Text(cell(value)) for value in row))
    Console(width=None if sys.stdout.isatty() else 110).print(view)


def cell(value: object) -> str:
    """Write a value so that it reads well in a table and a terminal does not obey it."""
    if isinstance(value, float):
        return "-" if value != value else f"{value:.3f}"
    text = str(value)
    # What a terminal would obey is shown as an escape: a prompt may hold it.
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
