"""Records of finished shards: their files with checksums, and the number of their images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from daam_syntax.runs.field_types import check_fields, hexadecimal, mapping, number, whole
from daam_syntax.runs.store.checksums import sha256
from daam_syntax.runs.store.tables.schemas import ALL_TABLES, TABLES

_FILE: Final = {"sha256": hexadecimal(64), "n_bytes": whole(most=2**50), "n_rows": whole()}


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

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ShardRecord:
        """Return the record from the dictionary that `as_dict` makes of it.

        Raises
        ------
        ValueError
            If the dictionary is anything else.
        """
        numbers = dict.fromkeys(("shard", "n_images", "n_failed"), whole())
        found = check_fields(values, {**numbers, "files": mapping, "seconds": number})
        if found["seconds"] < 0:
            raise ValueError(f"it took {found['seconds']} seconds")
        if set(found["files"]) not in (set(TABLES), set(ALL_TABLES)):
            raise ValueError(f"it names the tables {sorted(map(str, found['files']))[:9]}")
        files = {t: FileRecord(**check_fields(f, _FILE)) for t, f in found["files"].items()}
        if found["n_failed"] > found["n_images"]:
            raise ValueError("it has more failed images than images")
        return cls(**{**found, "files": files})


def describe_file(path: Path, n_rows: int) -> FileRecord:
    """Return the record of a file that was written."""
    return FileRecord(sha256(path), path.stat().st_size, n_rows)
