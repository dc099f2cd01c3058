"""Write files whole or not at all, with errors that name the file."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from daam_syntax.errors import FileError

_WAITS: Final = (0.01, 0.04, 0.15, 0.3, 0.5)  # seconds


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file whole: yield a temporary path, which replaces `path` at the end of the block.

    If the block fails, the old file is unchanged and the temporary one is deleted.

    Raises
    ------
    FileError
        If the path has no name, or the file system refuses: the folder does not exist, may not be written, or its disk
        is full.
    """
    if not path.name:
        raise FileError(f"Expected the name of a file to write, but got {str(path)!r}.")
    # `tempfile` would create a file that only its owner may read. The name is short, because systems limit the length
    # of names (255 bytes) and of paths (260 characters on Windows).
    partial = path.with_name(f".{uuid.uuid4().hex[:12]}.partial")
    try:
        yield partial
        replace_file(partial, path)
    except OSError as error:
        # A writer inside the block may have wrapped an error of the temporary file, which no user knows.
        cause = error.__cause__ if isinstance(error, FileError) else error
        reason = cause.strerror if isinstance(cause, OSError) else None
        raise FileError(
            f"Could not write {path}: {reason or error}. {_remedy(path, cause)}"
        ) from error
    finally:
        # On a read-only disk this fails too; the first error is the one to report.
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn an error of the file system inside the block into a `FileError` that names `path`."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"Could not read or write {path}: {error.strerror or error}. {_remedy(path, error)}"
        ) from error


@contextmanager
def errors_with(path: Path) -> Iterator[None]:
    """Add the path of a file to errors about what it holds."""
    try:
        yield
    except FileError as error:
        raise FileError(f"{path}: {error}") from error


def replace_file(source: Path, target: Path) -> None:
    """Move a file to another path, whose file it replaces.

    Windows refuses while any program has one of the two open. Virus scanners and indexers have each new file open for
    a moment, so refusals are waited out for about a second.

    Raises
    ------
    OSError
        If the file system refuses.
    """
    for seconds in _WAITS:
        try:
            os.replace(source, target)
        except PermissionError:
            time.sleep(seconds)
        else:
            return
    os.replace(source, target)


def _remedy(path: Path, error: BaseException | None) -> str:
    if isinstance(error, PermissionError) and path.is_file():
        return (
            "Close the program that has it open, such as a spreadsheet, or choose another folder."
        )
    if isinstance(error, FileExistsError):
        return "It is not a folder; rename or delete it, or choose another folder."
    return "Choose a folder that exists and can be written, with room on its disk."
