"""Output to the terminal: tables, and messages when a command fails."""

from __future__ import annotations

import errno
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from daam_syntax.errors import DaamSyntaxError
from daam_syntax.util.wording import one_line

if TYPE_CHECKING:
    import pandas as pd

_SHORT: Final = 16
"""Characters of a cell that is not wrapped."""

_MEASURES: Final = ("iou", "iod", "ioh", "lift")
_MEANINGS: Final = (
    "iou: shared pixels / pixels in either mask",
    "iod, ioh: shared pixels / pixels of the dependent's mask, of the head's mask",
    "phi: correlation of the masks, 0 by chance",
)


def accept_any_text() -> None:
    """Let stdout and stderr write characters that their encoding lacks, such as emoji on Windows, as escapes.

    A stream that is closed, as in programs without a console, is replaced by one that writes nowhere.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123  # until the program ends
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def fail_to_write(error: OSError) -> NoReturn:
    """Exit after output that could not be written, without a message if its reader has read enough (``| head``)."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  # what is left of it would raise the error at the exit again
    if error.errno in (errno.EPIPE, errno.EINVAL):  # the latter on Windows
        raise SystemExit(1)
    fail(f"Expected to write the output, but {error.strerror or error}")


def fail(message: str, code: int = 1) -> NoReturn:
    """Print a message to stderr and exit."""
    print(f"daam-syntax: {message}", file=sys.stderr)
    raise SystemExit(code)


@contextmanager
def resumable(out: Path) -> Iterator[None]:
    """Exit with instructions for resuming if the user interrupts the drawing."""
    try:
        yield
    except KeyboardInterrupt:
        fail(f"interrupted; repeat the command to resume what is in {out}", 130)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Exit with the message of a `ValueError`, since the value was given on the command line."""
    try:
        yield
    except DaamSyntaxError:  # printed by `main`
        raise
    except ValueError as error:
        fail(one_line(error))


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print each warning as one line to stderr, without the line of code that it comes from."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"daam-syntax: {message}", file=sys.stderr)
        yield


def quiet_libraries() -> None:
    """Turn off the progress bars and warnings of the libraries; commands have a progress bar of their own."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def show_tables(pairs: pd.DataFrame, summary: pd.DataFrame, threshold: str) -> None:
    """Print tables of the dependency pairs and of the summary."""
    from daam_syntax.analysis.relations.displayed_summary import with_footnotes

    scheme = ["scheme"] if pairs["scheme"].nunique() > 1 else []
    rows = pairs[pairs["kind"] == "dependency"]
    marks, footnotes = with_footnotes(rows["reason"])
    columns = ["image", *scheme, "relation", "head", "dependent", "iou", "iod", "ioh", "phi"]
    shown = rows[columns].assign(note=marks) if footnotes else rows[columns]
    title = f"Pairs of head and dependent (threshold {threshold})"
    _print_table(shown, title, [*footnotes, *_MEANINGS])
    show_summary(summary)


def show_summary(
    summary: pd.DataFrame,
    measures: Sequence[str] = (),
    by: Sequence[str] = ("relation",),
) -> None:
    """Print the columns of a summary that one reads and its footnotes, or its counts and the means of measures."""
    from daam_syntax.analysis.relations.displayed_summary import is_summary, summary_view

    title = f"Summary by {', '.join(by)} (means over prompts)"
    if not measures and is_summary(summary):
        view, footnotes = summary_view(summary)
        short = {name: name.replace("difference", "diff.") for name in view.columns}
        control = summary.attrs["control"]
        others = (
            "the same words with exchanged partners"
            if control == "exchanged"
            else f"{control} pairs"
        )
        meaning = f"diff.: difference from {others} in the same images"
        _print_table(view.rename(columns=short), title, [*map(_as_option, footnotes), meaning])
        return
    several = [name for name in ("scheme", "threshold") if summary[name].nunique() > 1]
    kind = [] if "relation" in by else ["kind"]  # a relation implies its kind
    columns = [*several, *kind, *by, "n_prompts", "n_images", "n_pairs", *(measures or _MEASURES)]
    _print_table(summary[list(dict.fromkeys(columns))], title)


def _as_option(note: str) -> str:
    """Return a footnote of a summary with its remedy as an option of the command line."""
    return note.replace('pass accept="place"', "use `report --accept place`")


def show_problems(problems: pd.DataFrame) -> None:
    """Print the first problems of a run, if it has any."""
    if len(problems):
        from daam_syntax.runs.problems import without_empty_columns

        columns = ["stage", "problem", "shard", "image", "prompt", "message", "consequence"]
        title = f"Problems: {len(problems):,}" + (", the first 10" * (len(problems) > 10))
        shown = without_empty_columns(problems[columns].head(10)).astype(object)
        _print_table(shown.where(shown.notna(), "-"), title)


def _print_table(table: pd.DataFrame, title: str, footnotes: Sequence[str] = ()) -> None:
    """Print a table that fits 80 columns wherever its cells do, with numbers on the right."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    view = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    console = Console(width=None if sys.stdout.isatty() else 110)
    columns = {str(name): [cell(value) for value in table[name]] for name in table.columns}
    widths = {name: max(map(len, (name, *cells))) for name, cells in columns.items()}
    is_wide = sum(widths.values()) + 2 * len(widths) > console.width
    for name, cells in columns.items():
        right = bool(cells) and all(text[:1] in "-<0123456789" for text in cells)
        content = max(map(len, (*cells, *name.split(" "))))
        # In a wide table, headings are wrapped before numbers and short texts are.
        is_fixed = is_wide and (right or content <= _SHORT)
        view.add_column(
            name,
            justify="right" if right else "left",
            overflow="fold",
            width=content if is_fixed else None,
        )
    for row in table.itertuples(index=False):
        # As Text, since a prompt may contain markup.
        view.add_row(*(Text(cell(value)) for value in row))
    console.print(view)
    for footnote in footnotes:
        console.print(Text(cell(footnote)))


def cell(value: object) -> str:
    """Format a value for a table, with control characters escaped."""
    if isinstance(value, float):
        return "-" if value != value else f"{value:.3f}"
    text = str(value)
    # A prompt may contain escape sequences, which a terminal would interpret.
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
