"""The command line `daam-syntax`: thin commands over the functions of the package. It may import every package."""

from daam_syntax.cli.entry import main as main
