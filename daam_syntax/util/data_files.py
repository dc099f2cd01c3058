"""Where the files that the project ships are: in the installed package, or in the checkout."""

from __future__ import annotations

from pathlib import Path

from daam_syntax.errors import FileError


def data_path(*parts: str) -> Path:
    """Return the path of a shipped file or folder.

    Parameters
    ----------
    *parts
        The path below ``data/``, for instance ``data_path("sprites", "cat.png")``.

    Raises
    ------
    FileError
        If it is neither in the installed package nor in the checkout.
    """
    package = Path(__file__).parents[1]
    for root in (package / "data", package.parent / "data"):
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise FileError(
        f"Expected the shipped file data/{'/'.join(parts)}, but it is missing: "
        "the installation is incomplete; reinstall daam-syntax."
    )
