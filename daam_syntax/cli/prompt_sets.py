"""Check, sample and convert prompts: `prompts`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daam_syntax.cli import options
from daam_syntax.cli.terminal import cell


def prompts(
    source: Annotated[
        str | None,
        typer.Argument(
            help="File of prompts, or a shipped prompt set; without it, the shipped sets are listed."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write: CSV, TSV, JSONL, Parquet or text.")
    ] = None,
    format: options.Format = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Size of a random sample; with --by, per group.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="Column to balance the sample over; relation parses the prompts if there is no such column."
        ),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            help="Include only this group; may be given several times [default: all groups]."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
) -> None:
    """Check prompts, sample them, or write them in another format."""
    from daam_syntax.language import prompts as shipped
    from daam_syntax.language.prompt_sets import SHIPPED, find_prompts

    if source is None:
        for name, meaning in SHIPPED.items():
            typer.echo(f"{name:<16} {len(shipped(name)):>4} prompts: {meaning}")
        return
    chosen = find_prompts(source, format)
    for problem in chosen.problems:
        typer.echo(cell(problem), err=True)
    summary = f"{len(chosen):,} prompts"
    if sample is not None and by is not None:
        balanced = chosen.stratify(sample, by=by, groups=group, seed=seed)
        chosen, summary = balanced.prompts, str(balanced)
    elif sample is not None:
        chosen = chosen.sample(sample, seed=seed)
        summary = f"{len(chosen):,} prompts"
    if out is None:
        for text in chosen:
            typer.echo(cell(text))
    else:
        chosen.to_file(out)
        typer.echo(f"{summary}\nThey are in {out}")
