"""The program `daam-syntax` with all its commands."""

from __future__ import annotations

import atexit
import errno
import gc
import sys
from typing import Annotated, Final

import typer

from daam_syntax.cli.device import check_gpu
from daam_syntax.cli.explorer import explore
from daam_syntax.cli.images import analyze, measure
from daam_syntax.cli.prompt_sets import prompts
from daam_syntax.cli.runs import plan, report, run
from daam_syntax.cli.study import study
from daam_syntax.cli.terminal import accept_any_text, cell, fail, fail_to_write
from daam_syntax.errors import DaamSyntaxError, PromptFileError
from daam_syntax.util.version import __version__
from daam_syntax.util.wording import one_line

_NEW_OBJECTS: Final = 50_000
_UNWRITTEN: Final = (errno.EPIPE, errno.EINVAL, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Why output cannot be written; errors of files have a name."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would parse "[default: x]" in a help text as markup
)


def show_version(wanted: bool) -> None:
    """Print the version and exit, if wanted."""
    if wanted:
        typer.echo(f"daam-syntax {__version__}")
        raise typer.Exit


@app.callback(help="Where did each word of a prompt go, and does the image respect the sentence?")
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Read the options before the command."""


for command in (analyze, measure, explore, run, report, plan, prompts, check_gpu):
    # click would cut the sentence that it finds by itself.
    app.command(short_help=(command.__doc__ or "").partition(". ")[0].strip().rstrip("."))(command)
app.add_typer(study, name="study")


def collect_garbage_rarely() -> None:
    """Let the cyclic garbage collector run after 50,000 new objects instead of 700, and not at the exit.

    What the libraries import lives until a command ends, and the collector would look through all of it again and
    again: `python -m benchmarks.first_command` measures a fifth of the first command.
    """
    gc.set_threshold(_NEW_OBJECTS)
    atexit.register(gc.freeze)


def main() -> None:
    """Run the command line; on bad input, print one line to stderr and exit with a non-zero code."""
    accept_any_text()
    collect_garbage_rarely()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except PromptFileError as error:
        first, *others = str(error).splitlines()
        fail("\n".join([first, *map(cell, others)]))
    except DaamSyntaxError as error:
        fail(one_line(error))
    except SystemExit as ended:
        # What typer does after an interrupt that no command explained.
        exited = ended.__context__
        if isinstance(exited, typer.Exit) and isinstance(exited.__cause__, KeyboardInterrupt):
            fail("interrupted", 130)
        raise
    except OSError as error:
        # Any import may be the one that finds no handle left.
        if error.filename is None and error.errno in _UNWRITTEN:
            fail_to_write(error)
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        fail(
            f"Expected to open {error.filename or 'a file'}, but too many files are open; raise the "
            "limit (`ulimit -n 4096`), or close other programs"
        )
