"""Check the rows of the table of images, and which images other tables must have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from daam_syntax.drawing.seeds import generator_seed
from daam_syntax.errors import FileError
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.runs.store.contents.parsed_rows import StoredParse
from daam_syntax.runs.store.contents.ranges import impossible
from daam_syntax.runs.store.stored_maps import DAMAGE as INCONSISTENT
from daam_syntax.runs.store.stored_maps import checked_provenance
from daam_syntax.runs.store.tables.origin import DAMAGE
from daam_syntax.runs.store.tables.schemas import IMAGES_SCHEMA, read_table
from daam_syntax.util.wording import one_line

_COLUMNS: Final = (
    "image",
    "prompt",
    "seed",
    "generator_seed",
    "status",
    "reason",
    "height",
    "width",
    "truncated_at",
    "sentence",
)
DESCRIBED: Final = (
    *_COLUMNS,
    "prompt_id",
    "truncated_by",
    "provenance",
)
"""Columns of the table of images that checks read; all but the images themselves."""
_LONGEST: Final = 2**16  # pixels

Size = tuple[int, int]
"""Height and width in pixels."""


def read_image_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of the table of images of a shard, without the images themselves."""
    return read_table(path, "images", IMAGES_SCHEMA, _COLUMNS).to_pylist()


def check_image_rows(
    rows: Sequence[Mapping[str, Any]],
    path: Path,
    n_images: int,
    n_failed: int,
    drawing: DrawingSettings,
    size: Size | None,
) -> Size | None:
    """Check that the rows of images are possible, and return the size of the images, which is the same in a run.

    Parameters
    ----------
    rows, path
        The rows of a shard, and their file.
    n_images, n_failed
        Number of images, and of those that could not be drawn, from the record of the shard.
    drawing
        Settings of the run.
    size
        Size of the images in other shards; None if it is unknown.

    Returns
    -------
    tuple of int, or None
        Height and width; None if no image was drawn yet.

    Raises
    ------
    FileError
        If a row is not possible.
    """
    if size is None and drawing.height is not None and drawing.width is not None:
        size = drawing.height, drawing.width
    numbers = [row["image"] for row in rows]
    if len(rows) != n_images:
        raise impossible(path, f"{n_images:,} images", f"it has {len(rows):,}")
    if numbers != sorted(set(numbers)):
        raise impossible(path, "images in order, each once", f"it has {str(numbers)[:60]}")
    for row in rows:
        if row["status"] not in ("drawn", "failed"):
            raise _wrong(path, row, "images that were drawn or failed", "status")
        is_drawn = row["status"] == "drawn"
        if row["reason"] is None or bool(row["reason"]) == is_drawn:
            raise _wrong(path, row, "a reason for each failure", "reason")
        if row["generator_seed"] != generator_seed(row["prompt"], row["seed"]):
            raise _wrong(path, row, "the generator_seed of prompt and seed", "generator_seed")
        limit = row["truncated_at"]
        if limit is not None and not 0 <= limit <= len(row["prompt"]):
            raise _wrong(path, row, "a place in the prompt", "truncated_at")
        found = row["height"], row["width"]
        if not is_drawn:
            continue
        if not all(side is not None and 1 <= side <= _LONGEST for side in found):
            raise _wrong(path, row, f"sides of 1 to {_LONGEST:,} pixels", "height", "width")
        if size is not None and found != size:
            wanted = (
                f"images of {size[0]} x {size[1]} pixels (height x width), the size of the run,"
            )
            raise _wrong(path, row, wanted, "height", "width")
        size = found
    failed = sum(row["status"] == "failed" for row in rows)
    if failed != n_failed:
        raise impossible(path, f"{n_failed:,} failed images", f"it has {failed:,}")
    return size


def _wrong(path: Path, row: Mapping[str, Any], expected: str, *names: str) -> FileError:
    shown = ", ".join(f"{name} {str(row[name])[:60]!r}" for name in names)
    return impossible(path, expected, f"image {row['image']} has {shown}")


def check_provenance(rows: pa.Table, path: Path) -> None:
    """Check that the provenance of each image that was drawn is of this image.

    Parameters
    ----------
    rows, path
        The table with the columns `DESCRIBED`, and its file.

    Raises
    ------
    FileError
        If it is not.
    """
    for row in rows.to_pylist():
        if row["status"] == "drawn":
            try:
                checked_provenance(row["provenance"], row)
            except INCONSISTENT as error:
                found = f"image {row['image']}: {one_line(error)}"
                raise impossible(path, "the provenance of each image", found) from error


def drawn_parses(rows: Sequence[Mapping[str, Any]], path: Path) -> dict[int, StoredParse]:
    """Return the parse of each image that was drawn, by its number.

    Raises
    ------
    FileError
        If one is not a parse of its prompt.
    """
    known: dict[str, StoredParse] = {}  # seeds of a prompt share its parse
    found = {}
    for row in rows:
        if row["status"] != "drawn":
            continue
        written = row["sentence"]
        try:
            if written not in known:
                known[written] = StoredParse(written, row["prompt"])
        except (*DAMAGE, LookupError, RecursionError) as error:
            what = f"the parse of {str(row['prompt'])[:60]!r} with image {row['image']}"
            raise impossible(path, what, one_line(error)) from error
        found[row["image"]] = known[written]
    return found
