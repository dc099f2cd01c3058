"""Refuse what is not a plain file or folder, in folders that other people may have made.

Reading a pipe waits forever, a device has no end, and a link leads out of the folder.
"""

from __future__ import annotations

import stat
from pathlib import Path

from daam_syntax.errors import FileError
from daam_syntax.util.whole_files import file_errors


def check_regular(path: Path, most_bytes: int | None = None) -> None:
    """Check that a path is a regular file of limited size, and not a link.

    Raises
    ------
    ValueError
        If it is anything else.
    OSError
        If it does not exist.
    """
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")
    if most_bytes is not None and status.st_size > most_bytes:
        raise ValueError(f"it has {status.st_size:,} bytes")


def file_state(path: Path) -> tuple[int, int, int]:
    """Return numbers that change when a file is replaced or written; zeros if there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_mtime_ns, status.st_size


def make_folder(root: Path, *names: str) -> Path:
    """Create a folder inside another one, and return it; none of its parents may be a link out of `root`.

    Raises
    ------
    FileError
        If there is a link, or the folder cannot be created.
    """
    path = root
    for name in names:
        path = path / name
        check_no_link(path)
        with file_errors(path):
            path.mkdir(exist_ok=True)
    return path


def check_no_link(folder: Path) -> None:
    """Check that a folder, which need not exist, is neither a link nor anything else.

    Raises
    ------
    FileError
        If it is.
    """
    with file_errors(folder):
        if folder.is_symlink():
            raise FileError(
                f"Expected a folder at {folder}, but it is a link; put the folder itself there."
            )
        if folder.exists() and not folder.is_dir():
            raise FileError(
                f"Expected a folder at {folder}, but it is a file; rename or delete it."
            )
