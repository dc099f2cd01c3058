"""What was known of the prompts beside the rows of a table."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from daam_syntax.language import PromptSet, prompt_id


class PromptMetadata:
    """Joins the columns of a set of prompts to a table that has their ``prompt_id``.

    Parameters
    ----------
    prompts
        The set.
    taken
        Columns of the table; those of the prompts with the same names are left out.

    Attributes
    ----------
    columns
        The columns that it joins.
    """

    def __init__(self, prompts: PromptSet, taken: Sequence[str]) -> None:
        frame = prompts.to_frame()
        self.columns = [name for name in frame.columns if name not in taken]
        self._ids = pa.array([prompt_id(text) for text in prompts])
        self._values = {name: pa.array(frame[name], pa.string()) for name in self.columns}

    def joined(self, rows: pa.Table, columns: Sequence[str]) -> pa.Table:
        """Return these columns of the rows, each of the table or of its prompt."""
        place = pc.index_in(rows["prompt_id"], value_set=self._ids)
        return pa.table(
            {
                name: self._values[name].take(place) if name in self._values else rows[name]
                for name in columns
            }
        )
