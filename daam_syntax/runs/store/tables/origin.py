"""Check that the file of a table is that of a shard: the mark of its run, and the images that its rows are of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from daam_syntax.errors import FileError
from daam_syntax.runs.store.tables.schemas import Stamp, identity_of, read_table
from daam_syntax.util.regular_files import check_regular
from daam_syntax.util.wording import one_line

DAMAGE: Final = (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException)
"""What reading a damaged file raises."""

PlannedRow = tuple[int, str, str, int]
"""Number of an image, id and text of its prompt, and its seed."""

_COLUMNS: Final = ("image", "prompt_id", "prompt", "seed")
_MOST_ROWS: Final = 2_000_000  # of an image; 512 words have 131,000 pairs, times rules and schemes
_MOST_BYTES: Final = 2**30  # of an image, uncompressed

_MOST_METADATA: Final = (
    2**17
)  # of an image; a table of 30 columns takes some kilobytes for each batch


class ForeignShardError(FileError):
    """A shard of another run, or of other prompts, seeds, or settings."""


def stamp_of(path: Path) -> Stamp | None:
    """Return what a file says about its origin; None if it says nothing, or is not a regular file.

    Raises
    ------
    OSError, ValueError, pyarrow.ArrowException, ...
        If it cannot be read, see `DAMAGE`.
    """
    return _opened(path)[0]


def _opened(path: Path) -> tuple[Stamp | None, pq.FileMetaData]:
    check_regular(path)
    with pq.ParquetFile(path) as file:
        found = identity_of(file.schema_arrow)
        metadata = file.metadata
    try:
        return Stamp(**{name: found[name] for name in ("run", "shard", "digest")}), metadata
    except KeyError:
        return None, metadata


def check_stamp(path: Path, stamp: Stamp) -> pq.FileMetaData:
    """Check that a file is marked as that of a run and a shard, and return its metadata.

    Raises
    ------
    ForeignShardError
        If it is marked as another one.
    FileError
        If it cannot be read.
    """
    try:
        found, metadata = _opened(path)
    except DAMAGE as error:
        raise FileError(f"Expected a table of a run in {path}, but {one_line(error)}") from error
    if found != stamp:
        raise ForeignShardError(
            f"Expected a file of shard {stamp.shard} of this run ({stamp.run[:8]}), but {path} is marked as {found}."
        )
    return metadata


def check_images(path: Path, shard: int, planned: Sequence[PlannedRow]) -> None:
    """Check that a table of images has exactly the planned images of a shard.

    Raises
    ------
    ForeignShardError
        If it has others.
    """
    rows = read_table(path, "images", columns=_COLUMNS)
    found = list(zip(*(rows[name].to_pylist() for name in _COLUMNS), strict=True))
    if found != list(planned):
        wrong = next((f for f, p in zip(found, planned, strict=False) if f != p), found[-1:])
        raise ForeignShardError(
            f"Expected the images that were planned for shard {shard}, but {path.name} has "
            f"(image, prompt_id, prompt, seed) {wrong}."
        )


def check_size(path: Path, metadata: pq.FileMetaData, n_rows: int, n_images: int) -> None:
    """Check that a file has the recorded number of rows, and no more rows and bytes than so many images can have.

    A small file can have millions of equal rows, which would fill the memory.

    Raises
    ------
    FileError
        If it has other sizes.
    """
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    n_bytes = sum(group.total_byte_size for group in groups)
    if metadata.num_rows != n_rows or n_rows > _MOST_ROWS * n_images:
        raise FileError(
            f"Expected {n_rows:,} rows of {n_images:,} images in {path}, but it has {metadata.num_rows:,}; the folder "
            "is not as daam-syntax writes it, so draw the prompts again into another folder."
        )
    if metadata.serialized_size > _MOST_METADATA * (n_images + 1):
        raise FileError(
            f"Expected a table of {n_images:,} images in {path}, but its metadata have {metadata.serialized_size:,} "
            "bytes; the folder is not as daam-syntax writes it, so draw the prompts again into another folder."
        )
    if n_bytes > _MOST_BYTES * n_images:
        raise FileError(
            f"Expected at most {_MOST_BYTES * n_images:,} bytes in {path}, but it has {n_bytes:,} uncompressed; the "
            "folder is not as daam-syntax writes it, so draw the prompts again into another folder."
        )


def check_rows(rows: pa.Table, path: Path, planned: Sequence[PlannedRow]) -> None:
    """Check that each row of a table is of a planned image, with its prompt and its seed.

    Parameters
    ----------
    rows, path
        Any table but the problems, with those of the columns image, prompt_id, prompt, and seed that it has; its file.
    planned
        The images of the shard, in order.

    Raises
    ------
    FileError
        If a row is of something else.
    """
    expected = dict(zip(_COLUMNS, map(pa.array, zip(*planned, strict=True)), strict=True))
    names = [name for name in _COLUMNS if name in rows.column_names]
    place = pc.index_in(rows["image"], value_set=expected["image"])
    for name in names:
        wrong = pc.fill_null(pc.not_equal(rows[name], expected[name].take(place)), True)
        number = pc.index(wrong, True).as_py()
        if number >= 0:
            row = {each: rows[each][number].as_py() for each in names}
            raise FileError(
                f"Expected rows of the planned images {planned[0][0]} to {planned[-1][0]} in {path}, but it has {row}; "
                "the folder is not as daam-syntax writes it, so draw the prompts again into another folder."
            )
