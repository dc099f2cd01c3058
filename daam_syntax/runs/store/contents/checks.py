"""Check that the tables of a shard have the rows that its plan, settings, and prompts call for, with possible values.

Checksums find damage. A folder from someone else can have been changed together with its checksums, so everything that
the plan, the settings, the parses, and the ranges of measures decide is checked as well. Values that are possible in
every respect are taken as they are: that they were measured on the stored maps, only measuring again can show
(`Run.reanalyze`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from daam_syntax.runs.run_settings import RunSettings
from daam_syntax.runs.store.contents.image_rows import (
    DESCRIBED,
    Size,
    check_image_rows,
    check_provenance,
    drawn_parses,
    read_image_rows,
)
from daam_syntax.runs.store.contents.parsed_rows import check_pairs, check_words
from daam_syntax.runs.store.contents.ranges import (
    check_pair_values,
    check_ranges,
    check_word_values,
    impossible,
)
from daam_syntax.runs.store.records import ShardRecord
from daam_syntax.runs.store.tables.origin import PlannedRow, check_rows
from daam_syntax.runs.store.tables.schemas import read_table, schema_of

_IDENTITY: Final = ("image", "prompt_id", "seed")
_COLUMNS: Final = {
    "maps": (*_IDENTITY, "map_height", "map_width"),
    "attention": _IDENTITY,
    "images": DESCRIBED,
}
"""Columns of tables that are not read whole."""
_LONGEST: Final = 2**16


class ContentChecks:
    """Checks of the tables of a run.

    Parameters
    ----------
    settings
        The settings of the run.
    """

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings
        self._size: Size | None = None

    def check(
        self,
        table: str,
        path: Path,
        images: Path,
        record: ShardRecord,
        planned: Sequence[PlannedRow],
    ) -> pa.Table | None:
        """Check a table of a shard.

        Parameters
        ----------
        table
            Name of the table, any but the problems.
        path
            Its file.
        images
            The file of the shard's images.
        record
            The record of the shard.
        planned
            The images of the shard, in order.

        Returns
        -------
        pyarrow.Table, or None
            The table, if all its columns were read.

        Raises
        ------
        FileError
            If a row is not possible, or one is missing.
        """
        settings = self._settings
        schema, columns = schema_of(table, settings.map_dtype), _COLUMNS.get(table)
        rows = read_table(path, table, schema, columns)
        check_rows(rows, path, planned)
        if table == "pairs":
            check_pair_values(rows, path)
        elif table == "words":
            check_word_values(rows, path)
        elif table == "maps":
            side = settings.map_size or _LONGEST
            check_ranges(rows, {"map_height": (1, side), "map_width": (1, side)}, path)
        # Images may be deleted to save room: tables can be read without them.
        if images.exists():
            self._check_with_images(table, rows, path, images, record)
        return rows if columns is None else None

    def _check_with_images(
        self, table: str, rows: pa.Table, path: Path, images: Path, record: ShardRecord
    ) -> None:
        settings = self._settings
        described = read_image_rows(images)
        counts = record.n_images, record.n_failed
        self._size = check_image_rows(described, images, *counts, settings.drawing, self._size)
        parses = drawn_parses(described, images)
        if table == "pairs":
            check_pairs(rows, path, parses, settings.schemes, settings.thresholds)
        elif table == "words":
            check_words(rows, path, parses, settings.thresholds)
        elif table == "images":
            check_provenance(rows, path)
        else:
            _check_numbers(rows, path, list(parses))


def _check_numbers(rows: pa.Table, path: Path, drawn: Sequence[int]) -> None:
    """Check that a table has rows of each image that was drawn, in order, and of no other."""
    numbers = rows["image"].to_numpy()
    found = [int(number) for number in numbers[np.flatnonzero(np.diff(numbers, prepend=-1))]]
    if found != drawn:
        wrong = next((n for n, m in zip_longest(found, drawn) if n != m), None)
        state = "lacks some" if wrong is None else f"has image {wrong} in the wrong place"
        raise impossible(path, "rows of each image that was drawn, in order", f"it {state}")
