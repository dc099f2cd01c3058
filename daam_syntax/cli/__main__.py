"""Entry point of `python -m daam_syntax.cli`."""

from daam_syntax.cli import main

main()
