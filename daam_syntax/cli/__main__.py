"""Entry point of `python -m daam_syntax.cli`."""

from daam_syntax.cli.application import main

main()
