"""``python -m daam_syntax`` is the command ``daam-syntax``."""

from daam_syntax.cli import main

if __name__ == "__main__":
    main()
