"""Draw a few prompts and measure their maps: `analyze`, `measure`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from daam_syntax.cli import options
from daam_syntax.cli.terminal import quiet_libraries, resumable, show_tables
from daam_syntax.errors import PromptError
from daam_syntax.pipelines.loading import DEFAULT_MODEL


def analyze(
    prompts: Annotated[list[str] | None, typer.Argument(help="Prompts, each in quotes.")] = None,
    prompts_file: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            help="File of prompts (CSV, TSV, JSONL, Parquet, text, ...), or a shipped prompt set (see `prompts`).",
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
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier analysis in the folder.")
    ] = False,
) -> None:
    """Draw prompts and measure the overlap of heads and dependents."""
    from daam_syntax.language.prompt_sets import find_prompts
    from daam_syntax.workflow import analyze as run

    if prompts and len(prompts) > 1 and not any(len(prompt.split()) > 1 for prompt in prompts):
        raise PromptError(
            f"Expected each prompt in quotes, but got the single words {', '.join(prompts)}: write "
            f'"{" ".join(prompts)}" if that is one prompt.'
        )
    given = find_prompts(prompts_file, format) if prompts_file else ()
    texts = [*(prompts or []), *given]
    if not texts:
        raise PromptError(
            'Expected a prompt, but got none: give one in quotes ("a red cat on a bed") or a file with --prompts FILE.'
        )
    quiet_libraries()
    with resumable(out):
        analysis = run(
            texts,
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
            out=out,
            overwrite=overwrite,
            progress=sys.stderr.isatty(),
        )
    show_tables(analysis.pairs, analysis.summary, threshold)
    typer.echo(
        f"\nImages, maps and tables are in {out}; open its interactive pages explore-….html in a browser"
    )


def measure(
    folder: Annotated[Path, typer.Argument(help="Folder that `analyze` wrote.")],
    threshold: options.Threshold = "relative:0.4",
    scheme: options.Schemes = None,
) -> None:
    """Compute the tables of an analysis again from its stored maps."""
    from daam_syntax.language import check_schemes
    from daam_syntax.runs.analysis_folder import AnalysisFolder
    from daam_syntax.workflow import tables, write_tables

    run = AnalysisFolder(folder)
    schemes = check_schemes(scheme or ["ud"])
    pairs, words, summary = tables(run.maps(), threshold, schemes)
    write_tables(run, pairs, words, summary)
    run.note(threshold=threshold, schemes=list(schemes))
    show_tables(pairs, summary, threshold)
    stored, wanted = len(run.names()), len(run.manifest()["settings"]["names"])
    missing = (
        f", for {stored} of {wanted} images: run `analyze` again to draw the others"
        if stored < wanted
        else ""
    )
    typer.echo(f"\nThe tables in {folder} now use {threshold}{missing}")
