"""Many prompts and seeds: `run`, `report`, `plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daam_syntax.cli import options
from daam_syntax.cli.terminal import (
    fail,
    one_line_errors,
    quiet_libraries,
    resumable,
    show_problems,
    show_summary,
)
from daam_syntax.pipelines.loading import DEFAULT_MODEL


def run(
    prompts: Annotated[
        Path,
        typer.Argument(
            help="CSV, TSV, JSONL or Parquet file with a column prompt, text, ...; or a shipped set (see `prompts`)."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    format: options.Format = None,
    model: options.Model = DEFAULT_MODEL,
    revision: options.Revision = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    seeds: options.Seeds = 1,
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    height: options.Height = None,
    width: options.Width = None,
    threshold: options.Thresholds = None,
    scheme: options.Schemes = None,
    parser: options.Parser = None,
    map_size: Annotated[
        int | None,
        typer.Option(min=1, help="Longest side of the stored maps [default: as recorded]."),
    ] = None,
    images: Annotated[bool, typer.Option(help="Store the images.")] = True,
    relation: options.Relations = None,
    relation_axis: options.RelationAxes = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images drawn together [default: as many as fit].")
    ] = None,
    shard_size: Annotated[
        int, typer.Option(min=1, help="Images saved together, the most that a killed run can lose.")
    ] = 64,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Draw shards with failed images again.")
    ] = False,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Cluster: local, slurm (see dask-jobqueue), or the address of a Dask scheduler."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Workers of the cluster [default: one per GPU, or one job]."),
    ] = None,
) -> None:
    """Generate images of many prompts with several seeds. Repeating the command resumes the run."""
    from daam_syntax.runs import run as draw

    quiet_libraries()
    with resumable(out):
        done = draw(
            prompts,
            out,
            model,
            format=format,
            revision=revision,
            device=device,
            dtype=dtype,
            seeds=seeds,
            steps=steps,
            guidance=guidance,
            height=height,
            width=width,
            threshold=threshold or "relative:0.4",
            schemes=scheme or ["ud"],
            parser=parser,
            map_size=map_size,
            keep_images=images,
            relations=relation or (),
            relation_axes=relation_axis or (),
            batch_size=batch_size,
            shard_size=shard_size,
            retry_failed=retry_failed,
            cluster=cluster,
            workers=workers,
            progress=True,
        )
    show_problems(done.problems())
    typer.echo(repr(done))
    if not done.is_complete:
        fail("some shards are missing: repeat the command to draw them")
    typer.echo(f"The tables are in {out}; `daam-syntax report {out}` summarizes them")


def report(
    folder: Annotated[Path, typer.Argument(help="Folder that `analyze` or `run` wrote.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the report [default: report/ in the folder of the run]."),
    ] = None,
    threshold: options.Thresholds = None,
    scheme: options.Schemes = None,
    measure: Annotated[
        list[str] | None, typer.Option(help="Name of a measure; may be given several times.")
    ] = None,
    parser: Annotated[
        str | None, typer.Option(help="Parse the prompts again with this spaCy pipeline.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Column to group by, of the pairs or of the prompts: relation, head_pos, category, slot.NAME, ...; "
            "may be given several times [default: relation]."
        ),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            help="Property in which pairs and the pairs they are compared with may differ: place, distance, ..., or "
            "all; the effect is then named after it, too; may be given several times [default: none]."
        ),
    ] = None,
) -> None:
    """Summarize a run in tables and a page. Other rules are applied to its stored maps; no model is needed."""
    from daam_syntax.runs import open_run
    from daam_syntax.runs.reporting import write_report

    run = open_run(folder)
    groups = by or ["relation"]
    accepted = "all" if accept and "all" in accept else accept or ()
    tables = None
    with one_line_errors():  # no such measure, or column
        if threshold or scheme or measure or parser:
            tables = run.reanalyze(
                threshold=threshold, schemes=scheme, measures=measure, parser=parser, progress=True
            )
        written, summary = write_report(run, out, by=groups, accept=accepted, tables=tables)
    shown = {"measures": measure} if measure else {}
    show_summary(summary, by=groups, **shown)
    show_problems(run.problems())
    typer.echo(f"\n{run!r}\nThe report is in {written}")


def plan(
    prompts: Annotated[Path, typer.Argument(help="Prompts, as for `run`.")],
    pilot: Annotated[
        Path, typer.Option(help="Folder of a small run with the same settings on the same machine.")
    ],
    format: options.Format = None,
    seeds: options.Seeds = 1,
    rate: Annotated[
        float | None,
        typer.Option(
            min=1e-9, help="Images per second and worker [default: that of the small run]."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of worker processes.")] = 1,
) -> None:
    """Estimate the time, disk space and memory of a run. The estimate comes from a small run."""
    from daam_syntax.runs import plan as calculate
    from daam_syntax.runs.drawing.prompt_reading import read_prompts

    typer.echo(
        str(
            calculate(
                read_prompts(prompts, format)[0],
                seeds,
                pilot,
                rate=rate,
                workers=workers,
            )
        )
    )
