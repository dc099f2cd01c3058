"""The lock of the process that writes into the folder of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from daam_syntax.errors import FileError
from daam_syntax.util.whole_files import file_errors

LOCK: Final = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing into a folder; see `RunFolder.locked`."""
    path = folder / LOCK
    with file_errors(folder):
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise FileError(f"Expected a file at {path}, but it is something else; delete it.")
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise FileError(
                f"Expected exclusive access to {folder}, but another process is writing there; "
                "wait for it, end it, or choose another folder."
            ) from None
    try:
        yield
    finally:
        lock.release()
        with suppress(OSError):  # the folder may be gone, and the first error is more important
            if is_new and not any(name.name != LOCK for name in folder.iterdir()):
                path.unlink(missing_ok=True)
                folder.rmdir()
