"""What is noted of a finished shard: its files, their checksums, its images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daam_syntax.runs.store.checksums import sha256
from daam_syntax.runs.store.schemas import TABLES


@dataclass(frozen=True)
class Written:
    """One file of a shard: its checksum, its size in bytes, its rows."""

    sha256: str
    n_bytes: int
    n_rows: int


@dataclass(frozen=True)
class ShardRecord:
    """A shard that was drawn.

    Attributes
    ----------
    shard
        Its number.
    files
        Table to file.
    n_images, n_failed
        Images of the shard, and how many of them have no maps.
    seconds
        How long it took.
    """

    shard: int
    files: Mapping[str, Written]
    n_images: int
    n_failed: int
    seconds: float

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ShardRecord:
        """Return the record that ``asdict`` made a dictionary of; anything else is refused."""
        files = {table: Written(**values["files"][table]) for table in TABLES}
        if set(values["files"]) != set(TABLES):
            raise ValueError(f"it names the tables {sorted(values['files'])}")
        return cls(**{**values, "files": files})


def describe_file(path: Path, n_rows: int) -> Written:
    """Describe a file that was written."""
    return Written(sha256(path), path.stat().st_size, n_rows)
