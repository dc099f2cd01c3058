"""Entry point of the command line, which imports it."""

import sys


def main() -> None:
    """Run the command line, see `daam_syntax.cli.application`.

    Importing it takes a second, and its commands import the libraries that they need. An interrupt ends in one line
    then, too.
    """
    try:
        from daam_syntax.cli.application import main as run

        run()
    except (KeyboardInterrupt, ImportError, SystemError) as error:
        if not _is_interrupt(error):
            raise
        print("daam-syntax: interrupted", file=sys.stderr)
        raise SystemExit(130) from None


def _is_interrupt(error: BaseException | None) -> bool:
    """Return whether an error is an interrupt, or what a module in C that was being imported made of it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None
