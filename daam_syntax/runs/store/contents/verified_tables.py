"""Tables of a run that were compared with their checksums, the run, and what they may hold."""

from __future__ import annotations

from functools import cached_property

import pyarrow as pa

from daam_syntax.errors import FileError
from daam_syntax.runs.run_settings import RunSettings
from daam_syntax.runs.store.contents.checks import ContentChecks
from daam_syntax.runs.store.records import ShardRecord
from daam_syntax.runs.store.run_folder import RunFolder
from daam_syntax.runs.store.shards import ShardPlan
from daam_syntax.runs.store.tables.schemas import Stamp
from daam_syntax.runs.store.tables.stored_prompts import PromptNames
from daam_syntax.util.regular_files import file_state


class VerifiedTables:
    """Compares each table of a run when it is first read, and again if its file was replaced since.

    Parameters
    ----------
    folder
        The folder of the run.
    run, digest
        Identity of the run, and checksum of its settings, plan, and prompts.
    settings, plan
        Settings and plan of the run.
    """

    def __init__(
        self, folder: RunFolder, run: str, digest: str, settings: RunSettings, plan: ShardPlan
    ) -> None:
        self._folder = folder
        self._run, self._digest = run, digest
        self._plan = plan
        self._contents = ContentChecks(settings)
        self._states: dict[tuple[str, int], tuple[int, int, int]] = {}

    def verify(self, record: ShardRecord, table: str) -> pa.Table | None:
        """Compare a table of a finished shard, and return it if it was read whole for that.

        Raises
        ------
        FileError
            If it is not as it was written, or is of something else.
        """
        key, rows = (table, record.shard), None
        # Before the file is read, so that one which is replaced meanwhile is compared again.
        state = file_state(self._folder.shards.file(table, record.shard))
        if self._states.get(key) != state:
            stamp = Stamp(self._run, record.shard, self._digest)
            path = self._folder.shards.verify(record, table, stamp)
            if table != "problems":
                images = self._folder.shards.file("images", record.shard)
                planned = self._names.planned(record.shard)
                try:
                    rows = self._contents.check(table, path, images, record, planned)
                except FileError:
                    self._folder.prompts()  # raises if they are not those of the run
                    raise
            self._states[key] = state
        return rows

    @cached_property
    def _names(self) -> PromptNames:
        return PromptNames(self._folder.path, self._plan)
