"""Draw a few prompts and measure their maps: `analyze`, `measure`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daam_syntax.cli import options
from daam_syntax.cli.terminal import (
    quiet_libraries,
    resumable,
    show_tables,
    warnings_as_lines,
)
from daam_syntax.errors import PromptError
from daam_syntax.pipelines.loading import DEFAULT_MODEL

if TYPE_CHECKING:
    from daam_syntax.language import Prompt, PromptSet


def analyze(
    prompts: Annotated[list[str] | None, typer.Argument(help="Prompts, each in quotes.")] = None,
    prompts_file: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            help="File of prompts (CSV, TSV, JSONL, Parquet, text, CoNLL-U, ...), or a shipped set (see `prompts`).",
        ),
    ] = None,
    format: options.Format = None,
    out: Annotated[Path, typer.Option(help="Folder for images, maps and tables.")] = Path("out"),
    seeds: options.Seeds = 1,
    model: options.Model = DEFAULT_MODEL,
    revision: options.Revision = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    height: options.Height = None,
    width: options.Width = None,
    threshold: options.Threshold = "relative:0.4",
    scheme: options.Schemes = None,
    parser: options.Parser = None,
    relation: options.Relations = None,
    relation_axis: options.RelationAxes = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier analysis in the folder.")
    ] = False,
    overviews: Annotated[
        bool, typer.Option(help="Draw an overview figure of each image, about a second each.")
    ] = True,
) -> None:
    """Generate images of prompts, and measure the overlap of heads and dependents."""
    from daam_syntax.workflow import analyze as run

    if prompts and len(prompts) > 1 and not any(len(prompt.split()) > 1 for prompt in prompts):
        raise PromptError(
            f"Expected each prompt in quotes, but got the single words {', '.join(prompts)}: write "
            f'"{" ".join(prompts)}" if that is one prompt.'
        )
    quiet_libraries()
    with resumable(out), warnings_as_lines():
        analysis = run(
            _chosen(prompts or [], prompts_file, format),
            model,
            revision=revision,
            device=device,
            dtype=dtype,
            seeds=seeds,
            steps=steps,
            guidance=guidance,
            height=height,
            width=width,
            threshold=threshold,
            schemes=scheme or ["ud"],
            parser=parser,
            relations=relation or (),
            relation_axes=relation_axis or (),
            out=out,
            overwrite=overwrite,
            overviews=overviews,
            progress=sys.stderr.isatty(),
        )
    show_tables(analysis.pairs, analysis.summary, threshold)
    typer.echo(f"\nImages, maps and tables are in {out}; open {out / 'index.html'} in a browser")


def _chosen(
    texts: list[str], file: Path | None, format: str | None
) -> PromptSet | list[Prompt | Path]:
    """Return the prompts of the command line and of a file, with their columns; a file of CoNLL-U as it is."""
    from daam_syntax.language import PromptSet, check_prompts
    from daam_syntax.language.parses import SUFFIXES
    from daam_syntax.language.prompt_sets import find_prompts

    if not texts and file is None:
        raise PromptError(
            'Expected a prompt, but got none: give one in quotes ("a red cat on a bed") or a file with --prompts FILE.'
        )
    typed = PromptSet.from_records(check_prompts(texts)).rows if texts else ()
    if file is not None and file.suffix.lower() in SUFFIXES:
        return [*typed, file]
    read = find_prompts(file, format) if file is not None else None
    for problem in () if read is None else read.problems:
        if problem.kind == "column":
            print(f"daam-syntax: {problem.message}", file=sys.stderr)
    rows = () if read is None else read.rows
    return PromptSet((*typed, *rows))


def measure(
    folder: Annotated[Path, typer.Argument(help="Folder that `analyze` or `run` wrote.")],
    threshold: options.Threshold = "relative:0.4",
    scheme: options.Schemes = None,
    overviews: Annotated[
        bool, typer.Option(help="Draw an overview figure of each image, about a second each.")
    ] = True,
) -> None:
    """Compute the tables of a run again from its stored maps. No model is needed."""
    from daam_syntax.runs import open_run
    from daam_syntax.workflow import stored_analysis

    run = open_run(folder)
    analysis = stored_analysis(
        folder, threshold=threshold, schemes=scheme or ["ud"], overviews=overviews
    )
    show_tables(analysis.pairs, analysis.summary, threshold)
    stored, wanted = len(analysis.images), run.plan.n_images
    missing = (
        f", for {stored} of {wanted} images: run the same command again to draw the others"
        if stored < wanted
        else ""
    )
    typer.echo(f"\nThe tables in {folder} now use {threshold}{missing}")
