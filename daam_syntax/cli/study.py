"""Run a study: `study`. Each study is a subcommand; its own options come from the signature of its `run`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, cast

import typer
from typer.core import TyperCommand, TyperGroup

from daam_syntax.cli import options
from daam_syntax.cli.study_options import own_options
from daam_syntax.cli.terminal import fail, one_line_errors, quiet_libraries
from daam_syntax.errors import StudyError
from daam_syntax.pipelines.loading import DEFAULT_MODEL

_UsageError: Final = cast("type[typer.BadParameter]", typer.BadParameter.__bases__[0])
"""Base of typer's errors about a command line; typer exports only some of its subclasses."""


class _StudyCommand(TyperCommand):
    """Command of one study, which reports an invalid command line in one line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except _UsageError as error:
            from daam_syntax.studies.running import option_names

            message = error.format_message()
            names = [f"--{name.replace('_', '-')}" for name in option_names(str(self.name))]
            own = f"the options {', '.join(names)}" if names else "no options"
            raise StudyError(
                f"{message.removesuffix('.')}. The study {self.name} has {own} of its own; "
                f"`daam-syntax study {self.name} --help` explains all options."
            ) from None


class _StudyGroup(TyperGroup):
    """The studies as subcommands, each created only when needed, since importing a study takes time."""

    def list_commands(self, ctx: Any) -> list[str]:
        from daam_syntax.studies import STUDIES

        return list(STUDIES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return _command_of(cmd_name)


study = typer.Typer(cls=_StudyGroup, rich_markup_mode=None, invoke_without_command=True)


@study.callback(short_help="Run a study: generate, measure, estimate, and write a report")
def list_studies(ctx: typer.Context) -> None:
    """Run a study: generate, measure, estimate, and write a report. Without a name, list the studies."""
    if ctx.invoked_subcommand is None:
        from daam_syntax.studies import STUDIES, load_study

        width = max(map(len, STUDIES))
        for name in STUDIES:
            typer.echo(f"{name:<{width}}  {load_study(name).DESIGN.title}")


def _command_of(name: str) -> Any:
    """Return the command of a study, with the options of all studies and its own."""
    from daam_syntax.studies import load_study

    module = load_study(name)
    own = own_options(module.run)
    names = [parameter.name for parameter in own]

    def command(**given: Any) -> None:
        chosen = {option: given.pop(option) for option in names}
        # Options that were not given are None or an empty list.
        _run(name, {k: v for k, v in chosen.items() if v not in (None, [], ())}, **given)

    _, _, *common = inspect.signature(_run, eval_str=True).parameters.values()
    command.__signature__ = inspect.Signature([*common, *own])  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in (*common, *own)}
    single = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )
    title = module.DESIGN.title
    text = f"{title}{'' if title.endswith('?') else '.'}\n\n{module.DESIGN.question}"
    single.command(name, cls=_StudyCommand, help=text, short_help=title)(command)
    return typer.main.get_command(single)


def _run(
    name: str,
    own: Mapping[str, Any],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report, tables and figures.")
    ] = None,
    model: options.Model = DEFAULT_MODEL,
    revision: options.Revision = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="File of prompts, or a shipped prompt set [default: the study's own, for the embedded model]."
        ),
    ] = None,
    format: options.Format = None,
    stored: Annotated[
        Path | None,
        typer.Option(
            "--run",
            help="Folder that `analyze` or `run` wrote: measure its maps instead of drawing. Needs no model. "
            "Studies that must draw images themselves refuse it.",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Number of images per prompt [default: the study's own number]."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Denoising steps [default: the study's own number, for the embedded model]."
        ),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="Guidance scale; 1 means no guidance [default: the model's]."),
    ] = None,
    parser: options.Parser = None,
) -> None:
    """Run a study, write its report, and print its findings."""
    import matplotlib

    from daam_syntax.language.prompt_sets import find_prompts
    from daam_syntax.pipelines.loading import load_pipeline
    from daam_syntax.runs import open_run
    from daam_syntax.studies import run_study

    if out is None:
        fail(f"Expected a folder for the report, such as --out {name}/, but got none.")
    loading = {"model": model, "revision": revision, "device": device, "dtype": dtype}
    loading["model"] = None if model == DEFAULT_MODEL else model
    if stored is not None and (given := [f"--{n} {v}" for n, v in loading.items() if v]):
        fail(f"Expected --run without {' and '.join(given)}, because a stored run needs no model.")
    texts = find_prompts(prompts, format) if prompts else None
    matplotlib.use("Agg")
    pipe: Any
    if stored is None:
        quiet_libraries()
        pipe = load_pipeline(model, revision=revision, device=device, dtype=dtype)
        pipe.set_progress_bar_config(disable=True)
    else:
        pipe = open_run(stored)
    with one_line_errors():
        result = run_study(
            name,
            pipe,
            prompts=texts,
            seeds=seeds,
            steps=steps,
            guidance=guidance,
            parser=parser,
            progress=sys.stderr.isatty(),
            **own,
        )
    written = result.write(out)
    typer.echo(result.design.title)
    for title, findings in result.findings.items():
        typer.echo(f"\n{title}")
        for finding in findings:
            typer.echo(f"- {finding}")
    for table in result.design.printed:
        typer.echo(f"\n{result.tables[table].round(3).to_string(index=False, na_rep='')}")
    if "sheet" in own and "judgments" not in own:
        typer.echo(
            f"\nGive each annotator a copy of {Path(own['sheet']) / 'sheet.csv'} (not of key.csv)"
        )
    typer.echo(f"\nThe report is {written}")
