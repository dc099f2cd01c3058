"""What `python -m daam_syntax.cli` runs."""

from daam_syntax.cli.application import main

main()
