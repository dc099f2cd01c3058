"""Paths of the data files that ship with the project."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from daam_syntax.errors import FileError

_PACKAGE: Final = Path(__file__).parents[1]
_ROOTS: Final = (_PACKAGE / "data", _PACKAGE.parent / "data")  # in a wheel, in a checkout


def data_path(*parts: str) -> Path:
    """Return the path of a shipped file or folder.

    Parameters
    ----------
    *parts
        The path below ``data/``, for instance ``data_path("sprites", "cat.png")``.

    Raises
    ------
    FileError
        If neither the installed package nor the checkout has it.
    """
    for root in _ROOTS:
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise FileError(
        f"Expected the shipped file data/{'/'.join(parts)}, but it is missing: "
        "the installation is incomplete; reinstall daam-syntax."
    )
