"""Records of finished shards: their files with checksums, and the number of their images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daam_syntax.runs.store.checksums import sha256
from daam_syntax.runs.store.schemas import TABLES


@dataclass(frozen=True)
class FileRecord:
    """Checksum, size in bytes, and number of rows of one file of a shard."""

    sha256: str
    n_bytes: int
    n_rows: int


@dataclass(frozen=True)
class ShardRecord:
    """Record of a finished shard.

    Attributes
    ----------
    shard
        Number of the shard.
    files
        Maps each table's name to the record of its file.
    n_images, n_failed
        Number of images of the shard, and how many of them could not be drawn.
    seconds
        Time it took to draw the shard.
    """

    shard: int
    files: Mapping[str, FileRecord]
    n_images: int
    n_failed: int
    seconds: float

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ShardRecord:
        """Return the record from the dictionary that ``asdict`` makes of it.

        Raises
        ------
        ValueError, KeyError, TypeError
            If the dictionary is anything else.
        """
        files = {table: FileRecord(**values["files"][table]) for table in TABLES}
        if set(values["files"]) != set(TABLES):
            raise ValueError(f"it names the tables {sorted(values['files'])}")
        return cls(**{**values, "files": files})


def describe_file(path: Path, n_rows: int) -> FileRecord:
    """Return the record of a file that was written."""
    return FileRecord(sha256(path), path.stat().st_size, n_rows)
