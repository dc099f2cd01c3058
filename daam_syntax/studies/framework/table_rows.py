"""Rows of the tables of a study: the columns that identify their image, and tables without rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from daam_syntax.errors import StudyError
from daam_syntax.language import Sentence, prompt_id


def image_row(sentence: Sentence, seed: int) -> dict[str, Any]:
    """Return the columns that identify the image of a row."""
    name = prompt_id(sentence.text)
    return {"prompt_id": name, "prompt": sentence.text, "image": f"{name}-{seed}", "seed": seed}


def require_rows(rows: Sequence[Mapping[str, Any]], what: str) -> pd.DataFrame:
    """Return rows as a table.

    Raises
    ------
    StudyError
        If there are no rows, because no prompt has what the study examines.
    """
    if not rows:
        raise StudyError(f"Expected prompts with {what}, but none has one: choose other prompts.")
    return pd.DataFrame(rows)
