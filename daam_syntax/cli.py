"""The command line: thin commands over the package's functions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from daam_syntax.errors import DaamSyntaxError, PromptError

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Where did each word of a prompt go, and does the picture respect the sentence?",
)

Threshold = Annotated[
    str,
    typer.Option(
        help="Rule that makes a mask of a map: relative:0.4 (x maximum) or absolute:0.15 (probability)."
    ),
]


@app.command()
def analyze(
    prompts: Annotated[list[str] | None, typer.Argument(help="Prompts, each in quotes.")] = None,
    prompts_file: Annotated[
        Path | None,
        typer.Option(
            "--prompts", help="Read prompts from a file, one a line (# starts a comment)."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for pictures, maps and tables.")] = Path("out"),
    seeds: Annotated[int, typer.Option(min=1, help="Pictures per prompt.")] = 1,
    model: Annotated[
        str, typer.Option(help="emoji, a Hub id, or a folder in diffusers format.")
    ] = "emoji",
    steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Guidance scale; 1 is none.")] = None,
    height: Annotated[int | None, typer.Option(min=1, help="Height, pixels.")] = None,
    width: Annotated[int | None, typer.Option(min=1, help="Width, pixels.")] = None,
    threshold: Threshold = "relative:0.4",
    parser: Annotated[
        str | None, typer.Option(help="spaCy pipeline, name or folder [default: en_core_web_sm].")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another run in the folder.")
    ] = False,
) -> None:
    """Draw prompts, and measure the map of every head against those of its dependents."""
    from daam_syntax.language import read_prompts
    from daam_syntax.workflow import analyze as run

    texts = [*(prompts or []), *(read_prompts(prompts_file) if prompts_file else [])]
    if not texts:
        raise PromptError(
            'Expected a prompt ("a red cat on a bed") or --prompts FILE, but got none.'
        )
    _quiet_libraries()
    try:
        analysis = run(
            texts,
            model,
            seeds=seeds,
            steps=steps,
            guidance=guidance,
            height=height,
            width=width,
            threshold=threshold,
            parser=parser,
            out=out,
            overwrite=overwrite,
            progress=sys.stderr.isatty(),
        )
    except KeyboardInterrupt:
        _fail(f"interrupted; the same command takes up what is in {out}", 130)
    _show(analysis.pairs, analysis.summary, threshold)
    typer.echo(f"\nPictures, maps and tables are in {out}")


@app.command()
def measure(
    folder: Annotated[Path, typer.Argument(help="Folder that `analyze` wrote.")],
    threshold: Threshold = "relative:0.4",
) -> None:
    """Make the tables of a run again from its saved maps, without drawing."""
    from daam_syntax.run_folder import RunFolder
    from daam_syntax.workflow import tables, write_tables

    run = RunFolder(folder)
    pairs, words, summary = tables(run.maps(), threshold)
    write_tables(run, pairs, words, summary)
    run.note(threshold=threshold)
    _show(pairs, summary, threshold)
    there, wanted = len(run.names()), len(run.manifest()["settings"]["names"])
    missing = (
        f", of {there} of {wanted} images: `analyze` again to draw the others"
        if there < wanted
        else ""
    )
    typer.echo(f"\nThe tables in {folder} now use {threshold}{missing}")


def main() -> None:
    """Run the command line; bad input ends in one line on stderr and a non-zero exit."""
    try:
        app()
    except DaamSyntaxError as error:
        _fail(str(error), 1)


def _fail(message: str, code: int) -> NoReturn:
    print(f"daam-syntax: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


def _quiet_libraries() -> None:
    """Keep the bars and warnings of the libraries out of a terminal that has a bar of ours."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def _show(pairs: pd.DataFrame, summary: pd.DataFrame, threshold: str) -> None:
    """Print the dependency pairs and the summary as tables."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 110)
    chosen = pairs[pairs["kind"] == "dependency"]
    views = {
        f"Pairs of head and dependent ({threshold})": (
            chosen,
            ["image", "relation", "head", "dependent", "iou", "iod", "ioh", "lift", "reason"],
        ),
        "Summary by relation (means over prompts)": (
            summary,
            ["relation", "n_prompts", "n_images", "n_pairs", "iou", "iod", "ioh", "lift"],
        ),
    }
    for title, (table, columns) in views.items():
        view = Table(title=title, title_justify="left")
        numeric = table[columns].select_dtypes("number").columns
        for column in columns:
            view.add_column(column, justify="right" if column in numeric else "left")
        for row in table[columns].itertuples(index=False):
            # As Text: a prompt may hold what would be markup.
            view.add_row(*(Text(_cell(value)) for value in row))
        console.print(view)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.3f}"
    return str(value)


if __name__ == "__main__":
    main()
