"""Write files whole or not at all, with errors that name the file."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from daam_syntax.errors import FileError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file whole: yield a temporary path, which replaces `path` at the end of the block.

    If the block fails, the old file is unchanged and the temporary one is deleted.

    Raises
    ------
    FileError
        If the file system refuses: the folder does not exist, may not be written, or its disk is full.
    """
    # `tempfile` would create a file that only its owner may read.
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
            f"Could not read or write {path}: {error.strerror or error}. "
            "Choose a folder that can be written, with room on its disk."
        ) from error
