"""The file with the prompts of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from daam_syntax.errors import FileError, PromptError
from daam_syntax.language import PromptSet
from daam_syntax.language.prompt_sets.files.tabular import holds_parquet
from daam_syntax.runs.store.checksums import prompts_digest
from daam_syntax.runs.store.shards import ShardPlan
from daam_syntax.runs.store.tables.origin import DAMAGE, PlannedRow
from daam_syntax.util.regular_files import check_regular
from daam_syntax.util.wording import one_line

PROMPTS: Final = "prompts.parquet"


def read_prompts(folder: Path, digest: str) -> PromptSet:
    """Return the prompts of a run with their metadata, in order.

    Parameters
    ----------
    folder
        The folder of the run.
    digest
        Checksum of the prompts with which the run started.

    Raises
    ------
    FileError
        If they are missing, or differ from those.
    """
    path = folder / PROMPTS
    try:
        check_regular(path)
        found = PromptSet.from_file(path)
        if prompts_digest(found) != digest:
            raise ValueError("they differ from those with which the run started")
    except (OSError, PromptError, ValueError) as error:
        raise _damaged(path, error) from error
    return found


def write_prompts(folder: Path, prompts: PromptSet) -> None:
    """Write the prompts of a run, unless its file has exactly these."""
    path = folder / PROMPTS
    try:
        check_regular(path)
        is_written = holds_parquet(path, prompts.rows)
    except (OSError, ValueError):
        is_written = False
    if not is_written:
        prompts.to_file(path)


class PromptNames:
    """Ids and texts of the prompts of a run, read in a moment even if there are 100,000, without their checksum.

    Parameters
    ----------
    folder
        The folder of the run.
    plan
        Its plan.

    Raises
    ------
    FileError
        If they cannot be read, or are not as many as planned.
    """

    def __init__(self, folder: Path, plan: ShardPlan) -> None:
        self._plan = plan
        path = folder / PROMPTS
        try:
            check_regular(path)
            with pq.ParquetFile(path) as file:
                if file.metadata.num_rows != plan.n_prompts:
                    raise ValueError(f"it has {file.metadata.num_rows:,}, not {plan.n_prompts:,}")
                table = file.read(columns=["id", "prompt"])
            table.validate(full=True)  # texts are UTF-8
            self._ids, self._texts = (table[name].cast(pa.string()) for name in ("id", "prompt"))
        except DAMAGE as error:
            raise _damaged(path, error) from error

    def planned(self, shard: int) -> Sequence[PlannedRow]:
        """Return the images that a shard must contain."""
        images = self._plan.images(shard)
        numbers = [image.prompt for image in images]
        ids, texts = (names.take(numbers).to_pylist() for names in (self._ids, self._texts))
        return [
            (image.number, name, text, image.seed)
            for image, name, text in zip(images, ids, texts, strict=True)
        ]


def _damaged(path: Path, error: BaseException) -> FileError:
    return FileError(
        f"Expected the prompts of the run in {path}, but {one_line(error)}. Run the same `daam-syntax run` command "
        "again to restore them."
    )
