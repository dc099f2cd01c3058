"""Join prompt metadata to a table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from daam_syntax.language import PromptSet


class PromptMetadata:
    """Columns of a set of prompts, to be joined to a table by its ``prompt_id``.

    Parameters
    ----------
    prompts
        The set of prompts.
    taken
        Columns of the table; columns of the prompts with the same names are not joined.

    Attributes
    ----------
    columns
        Columns that can be joined.
    """

    def __init__(self, prompts: PromptSet, taken: Sequence[str]) -> None:
        frame = prompts.to_frame()
        self.columns = [name for name in frame.columns if name not in taken]
        self._ids = pa.array([row.id for row in prompts.rows])
        self._values = {name: pa.array(frame[name], pa.string()) for name in self.columns}

    def join(self, rows: pa.Table, columns: Sequence[str]) -> pa.Table:
        """Return the given columns for the rows of a table, each from the table or from the row's prompt."""
        place = pc.index_in(rows["prompt_id"], value_set=self._ids)
        return pa.table(
            {
                name: self._values[name].take(place) if name in self._values else rows[name]
                for name in columns
            }
        )


def with_prompt_columns(table: pd.DataFrame, prompts: PromptSet) -> pd.DataFrame:
    """Return a table with the columns of its prompts: category, pair, role, slots, and metadata.

    Parameters
    ----------
    table
        A table with the column ``prompt_id``.
    prompts
        The set of prompts. Columns that the table has, too, are those of the table.
    """
    frame = prompts.to_frame().set_index("id")
    added = frame.drop(columns=[name for name in frame.columns if name in table.columns])
    joined = table.join(added, on="prompt_id")
    joined.attrs = table.attrs
    return joined
