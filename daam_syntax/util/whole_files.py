"""Writing files whole or not at all, and errors that name the file."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from daam_syntax.errors import FileError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to; what is there at the end of the block replaces `path`.

    If the block fails, the old file stays as it was and nothing half-written is left beside it.

    Raises
    ------
    FileError
        If the file system refuses (no such folder, no permission, no room).
    """
    # Not a file of `tempfile`, which nobody but its owner could read.
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise FileError(
            f"Could not write {path}: {error.strerror or error}. "
            "Choose a folder that exists and can be written, with room on its disk."
        ) from error
    finally:
        # A read-only disk matters more: the error that is under way says it.
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn an error of the file system into one that says which file and why."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"Could not read or write {path}: {error.strerror or error}. "
            "Choose a folder that can be written, with room on its disk."
        ) from error
