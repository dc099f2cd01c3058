"""The command line: thin commands over the package's functions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from daam_syntax.errors import DaamSyntaxError, PromptError, PromptFileError

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # which would take "[default: x]" in a help text for markup
    help="Where did each word of a prompt go, and does the picture respect the sentence?",
)

Threshold = Annotated[
    str,
    typer.Option(
        help="Rule that makes a mask of a map: relative:0.4 (x maximum) or absolute:0.15 (probability)."
    ),
]

Thresholds = Annotated[
    list[str] | None,
    typer.Option("--threshold", help="As of `analyze`; may be given several times [relative:0.4]."),
]
Schemes = Annotated[
    list[str] | None,
    typer.Option(
        "--scheme",
        help="Whose edges: ud (Universal Dependencies), enhanced (their graph) or native (the parser's own labels); "
        "may be given several times [ud].",
    ),
]
Format = Annotated[
    str | None,
    typer.Option("--format", help="Format of the file of prompts [default: told from the file]."),
]
Model = Annotated[str, typer.Option(help="emoji, a Hub id, or a folder in diffusers format.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a model on the Hub.")]
Device = Annotated[str | None, typer.Option(help="cuda, mps, cpu, ... [default: cuda if any].")]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="float32, float16 or bfloat16 [default: float32 on a CPU, float16 elsewhere]."
    ),
]


@app.command()
def analyze(
    prompts: Annotated[list[str] | None, typer.Argument(help="Prompts, each in quotes.")] = None,
    prompts_file: Annotated[
        Path | None,
        typer.Option(
            "--prompts", help="Read prompts from a file: CSV, TSV, JSONL, Parquet, text, ..."
        ),
    ] = None,
    format: Format = None,
    out: Annotated[Path, typer.Option(help="Folder for pictures, maps and tables.")] = Path("out"),
    seeds: Annotated[int, typer.Option(min=1, help="Pictures per prompt.")] = 1,
    model: Model = "emoji",
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Guidance scale; 1 is none.")] = None,
    height: Annotated[int | None, typer.Option(min=1, help="Height, pixels.")] = None,
    width: Annotated[int | None, typer.Option(min=1, help="Width, pixels.")] = None,
    threshold: Threshold = "relative:0.4",
    scheme: Schemes = None,
    parser: Annotated[
        str | None, typer.Option(help="spaCy pipeline, name or folder [default: en_core_web_sm].")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another run in the folder.")
    ] = False,
) -> None:
    """Draw prompts, and measure the map of every head against those of its dependents."""
    from daam_syntax.language import PromptSet
    from daam_syntax.workflow import analyze as run

    given = PromptSet.from_file(prompts_file, format) if prompts_file else ()
    texts = [*(prompts or []), *given]
    if not texts:
        raise PromptError(
            'Expected a prompt ("a red cat on a bed") or --prompts FILE, but got none.'
        )
    _quiet_libraries()
    try:
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
    except KeyboardInterrupt:
        _fail(f"interrupted; the same command takes up what is in {out}", 130)
    _show(analysis.pairs, analysis.summary, threshold)
    typer.echo(f"\nPictures, maps and tables are in {out}")


@app.command()
def measure(
    folder: Annotated[Path, typer.Argument(help="Folder that `analyze` wrote.")],
    threshold: Threshold = "relative:0.4",
    scheme: Schemes = None,
) -> None:
    """Make the tables of a run again from its saved maps, without drawing."""
    from daam_syntax.language import check_schemes
    from daam_syntax.run_folder import RunFolder
    from daam_syntax.workflow import tables, write_tables

    run = RunFolder(folder)
    schemes = check_schemes(scheme or ["ud"])
    pairs, words, summary = tables(run.maps(), threshold, schemes)
    write_tables(run, pairs, words, summary)
    run.note(threshold=threshold, schemes=list(schemes))
    _show(pairs, summary, threshold)
    there, wanted = len(run.names()), len(run.manifest()["settings"]["names"])
    missing = (
        f", of {there} of {wanted} images: `analyze` again to draw the others"
        if there < wanted
        else ""
    )
    typer.echo(f"\nThe tables in {folder} now use {threshold}{missing}")


@app.command("run")
def run_corpus(
    prompts: Annotated[
        Path,
        typer.Argument(help="CSV, TSV, JSONL or Parquet with a column prompt, text, ..."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    format: Format = None,
    model: Model = "emoji",
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
    seeds: Annotated[int, typer.Option(min=1, help="Pictures per prompt.")] = 1,
    steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Guidance scale; 1 is none.")] = None,
    height: Annotated[int | None, typer.Option(min=1, help="Height, pixels.")] = None,
    width: Annotated[int | None, typer.Option(min=1, help="Width, pixels.")] = None,
    threshold: Thresholds = None,
    scheme: Schemes = None,
    parser: Annotated[
        str | None, typer.Option(help="spaCy pipeline, name or folder [default: en_core_web_sm].")
    ] = None,
    map_size: Annotated[
        int | None, typer.Option(min=1, help="Longest side of stored maps [default: as recorded].")
    ] = None,
    images: Annotated[bool, typer.Option(help="Whether to store the pictures.")] = True,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Pictures drawn together [default: what fits].")
    ] = None,
    shard_size: Annotated[
        int, typer.Option(min=1, help="Pictures finished as a whole; a killed run loses no more.")
    ] = 64,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Draw shards with failed pictures again.")
    ] = False,
    cluster: Annotated[
        str | None,
        typer.Option(help="local, slurm (see dask-jobqueue), or a Dask scheduler's address."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Workers of a cluster [default: one a GPU, or one job]."),
    ] = None,
) -> None:
    """Draw many prompts times several seeds into a folder; the same command goes on where it was."""
    from daam_syntax.corpus import run
    from daam_syntax.corpus.prompts import gather

    chosen = gather(prompts, format)
    _quiet_libraries()
    try:
        done = run(
            chosen,
            out,
            model,
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
            batch_size=batch_size,
            shard_size=shard_size,
            retry_failed=retry_failed,
            cluster=cluster,
            workers=workers,
            progress=True,
        )
    except KeyboardInterrupt:
        _fail(f"interrupted; the same command takes up what is in {out}", 130)
    _show_problems(done.problems())
    typer.echo(repr(done))
    if not done.is_complete:
        _fail("some shards are missing; the same command draws them", 1)
    typer.echo(f"The tables are in {out}; `daam-syntax report {out}` sums them up")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder that `run` wrote.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write [default: report/ in that folder].")
    ] = None,
    threshold: Thresholds = None,
    scheme: Schemes = None,
    measure: Annotated[
        list[str] | None, typer.Option(help="Measures by name; may be given several times.")
    ] = None,
    parser: Annotated[
        str | None, typer.Option(help="Parse the prompts again with this spaCy pipeline.")
    ] = None,
) -> None:
    """Sum a corpus run up in tables and a page; other rules measure its stored maps again. Needs no model."""
    from daam_syntax.corpus import open as open_run
    from daam_syntax.corpus import report as write_report

    run = open_run(folder)
    tables = None
    if threshold or scheme or measure or parser:
        try:
            tables = run.reanalyse(
                threshold=threshold, schemes=scheme, measures=measure, parser=parser, progress=True
            )
        except ValueError as error:  # no such measure
            if isinstance(error, DaamSyntaxError):
                raise
            _fail(str(error), 1)
    written = write_report(run, out, tables=tables)
    _show_summary((tables or run).summarize())
    _show_problems(run.problems())
    typer.echo(f"\n{run!r}\nThe report is in {written}")


@app.command()
def plan(
    prompts: Annotated[Path, typer.Argument(help="The prompts, as for `run`.")],
    pilot: Annotated[
        Path, typer.Option(help="Folder of a small run with the same settings on the same machine.")
    ],
    format: Format = None,
    seeds: Annotated[int, typer.Option(min=1, help="Pictures per prompt.")] = 1,
    rate: Annotated[
        float | None,
        typer.Option(min=1e-9, help="Pictures per second of a worker [default: of the small run]."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw.")] = 1,
) -> None:
    """Calculate the time, disk and memory of a corpus from a small run."""
    from daam_syntax.corpus import plan as calculate
    from daam_syntax.corpus.prompts import gather

    typer.echo(str(calculate(gather(prompts, format), seeds, pilot, rate=rate, workers=workers)))


@app.command("prompts")
def choose_prompts(
    source: Annotated[
        str | None,
        typer.Argument(
            help="File of prompts, or a set that comes with the package; none lists those."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write: CSV, TSV, JSONL, Parquet or text.")
    ] = None,
    format: Format = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="How many, drawn at random; with --by, of each group.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Column to balance a sample over; relation parses where there is none."),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(help="Only this group; may be given several times [default: all]."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
) -> None:
    """Check prompts, draw a sample of them, and write them in another format."""
    from daam_syntax.language import PromptSet
    from daam_syntax.language import prompts as shipped
    from daam_syntax.language.prompt_sets import SHIPPED

    if source is None:
        for name, meaning in SHIPPED.items():
            typer.echo(f"{name:<16} {len(shipped(name)):>4} prompts: {meaning}")
        return
    chosen = shipped(source) if source in SHIPPED else PromptSet.from_file(source, format)
    for problem in chosen.problems:
        typer.echo(_cell(problem), err=True)
    summary = f"{len(chosen):,} prompts"
    if sample is not None and by is not None:
        balanced = chosen.stratify(sample, by=by, groups=group, seed=seed)
        chosen, summary = balanced.prompts, str(balanced)
    elif sample is not None:
        chosen = chosen.sample(sample, seed=seed)
        summary = f"{len(chosen):,} prompts"
    if out is None:
        for text in chosen:
            typer.echo(_cell(text))
    else:
        chosen.to_file(out)
        typer.echo(f"{summary}\nThey are in {out}")


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="Which study; an unknown name lists them.")],
    out: Annotated[Path, typer.Option(help="Folder for the report, tables and figures.")],
    model: Model = "emoji",
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
    prompts: Annotated[
        Path | None,
        typer.Option(help="File of prompts [default: the study's own, for the emoji model]."),
    ] = None,
    format: Format = None,
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

    from daam_syntax.corpus import open as open_run
    from daam_syntax.language import PromptSet
    from daam_syntax.loading import load_pipeline
    from daam_syntax.studies import check_options, run_study

    own = {
        "threshold": threshold,
        "pairs": pairs,
        "similarity": similarity,
        "sheet": sheet,
        "judgements": judgements,
    }
    own = {option: value for option, value in own.items() if value is not None}
    check_options(name, own)  # before the model is loaded, which may take long
    texts = PromptSet.from_file(prompts, format) if prompts else None
    matplotlib.use("Agg")
    pipe: Any
    if stored is None:
        _quiet_libraries()
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


def main() -> None:
    """Run the command line; bad input ends in one line on stderr and a non-zero exit."""
    try:
        app()
    except PromptFileError as error:
        first, *others = str(error).splitlines()
        _fail("\n".join([first, *map(_cell, others)]), 1)
    except DaamSyntaxError as error:
        _fail(" ".join(str(error).split()), 1)


def _fail(message: str, code: int) -> NoReturn:
    print(f"daam-syntax: {message}", file=sys.stderr)
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
    scheme = ["scheme"] if pairs["scheme"].nunique() > 1 else []
    columns = ["relation", "head", "dependent", "iou", "iod", "ioh", "lift", "reason"]
    title = f"Pairs of head and dependent ({threshold})"
    _print_table(pairs[pairs["kind"] == "dependency"][["image", *scheme, *columns]], title)
    _show_summary(summary)


def _show_summary(summary: pd.DataFrame) -> None:
    """Print the summary; the schemes and thresholds where there are several."""
    several = [name for name in ("scheme", "threshold") if summary[name].nunique() > 1]
    columns = ["relation", "n_prompts", "n_images", "n_pairs", "iou", "iod", "ioh", "lift"]
    _print_table(summary[[*several, *columns]], "Summary by relation (means over prompts)")


def _show_problems(problems: pd.DataFrame) -> None:
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
        view.add_row(*(Text(_cell(value)) for value in row))
    Console(width=None if sys.stdout.isatty() else 110).print(view)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.3f}"
    text = str(value)
    # What a terminal would obey is shown as an escape: a prompt may hold it.
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


if __name__ == "__main__":
    main()
