"""Run a study: `study`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from daam_syntax.cli import options
from daam_syntax.cli.terminal import fail, quiet_libraries


def study(
    name: Annotated[str | None, typer.Argument(help="Which study; none lists them.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report, tables and figures.")
    ] = None,
    model: options.Model = "emoji",
    revision: options.Revision = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="File of prompts, or a set of the package [default: the study's own, for the emoji model]."
        ),
    ] = None,
    format: options.Format = None,
    stored: Annotated[
        Path | None,
        typer.Option(
            "--run", help="Folder that `run` wrote: measure its maps, draw nothing, need no model."
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Pictures per prompt [default: the study's].")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Denoising steps [default: the study's, for the emoji model]."),
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(help="Guidance scale; 1 is none [default: the model's].")
    ] = None,
    threshold: Annotated[
        str | None, typer.Option(help="As of `analyze` [default: relative:0.4].")
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="cohyponyms: file with slot.first, slot.second, metadata.similarity, not prompts."
        ),
    ] = None,
    similarity: Annotated[
        str | None,
        typer.Option(
            help="cohyponyms: how alike nouns are: a folder of WordNet's files, or wn:oewn:2024 of the library wn."
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(help="cohyponyms: folder for pictures and a blind sheet that people fill in."),
    ] = None,
    judgements: Annotated[
        list[Path] | None,
        typer.Option(help="cohyponyms: filled-in sheet of --sheet; may be given several times."),
    ] = None,
) -> None:
    """Run a study: draw, measure, infer, and write a report with tables and figures."""
    import matplotlib

    from daam_syntax.language.prompt_sets import find_prompts
    from daam_syntax.pipelines.loading import load_pipeline
    from daam_syntax.runs import open_run
    from daam_syntax.studies import STUDIES, check_options, load_study, run_study

    if name is None:
        for each in STUDIES:
            typer.echo(f"{each:<14} {load_study(each).DESIGN.title}")
        return
    if out is None:
        fail(f"Expected a folder for the report, such as --out {name}/, but got none.")
    own = {
        "threshold": threshold,
        "pairs": pairs,
        "similarity": similarity,
        "sheet": sheet,
        "judgements": judgements,
    }
    own = {option: value for option, value in own.items() if value is not None}
    check_options(name, own)  # before the model is loaded, which may take long
    texts = find_prompts(prompts, format) if prompts else None
    matplotlib.use("Agg")
    pipe: Any
    if stored is None:
        quiet_libraries()
        pipe = load_pipeline(model, revision=revision, device=device, dtype=dtype)
        pipe.set_progress_bar_config(disable=True)
    else:
        pipe = open_run(stored)
    result = run_study(
        name,
        pipe,
        prompts=texts,
        seeds=seeds,
        steps=steps,
        guidance=guidance,
        progress=sys.stderr.isatty(),
        **own,
    )
    written = result.write(out)
    typer.echo(result.design.title)
    for title, findings in result.findings.items():
        typer.echo(f"\n{title}")
        for finding in findings:
            typer.echo(f"- {finding}")
    if sheet and not judgements:
        typer.echo(f"\nFor each annotator, a copy of {sheet / 'sheet.csv'} (not of key.csv)")
    typer.echo(f"\nThe report is {written}")
