"""Entry point of `python -m daam_syntax.cli`."""

from daam_syntax.cli.entry import main

main()
