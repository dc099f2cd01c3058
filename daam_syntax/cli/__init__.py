"""The command line: thin commands over the package's functions."""

from daam_syntax.cli.application import app, main

__all__ = ["app", "main"]
