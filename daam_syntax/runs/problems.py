"""The table of problems of a run: it names every prompt and image that a run leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import pandas as pd

from daam_syntax.errors import RowProblem
from daam_syntax.language import prompt_id

Stage = Literal["prompts", "draw", "write", "check"]

PROBLEM_COLUMNS: Final = {
    "stage": 'Where it occurred: "prompts" (reading them), "draw", "write" (to disk), "check" (of finished shards)',
    "problem": 'Short name: "out of memory", "disk full", "unreadable row", ...',
    "message": "Description of the problem",
    "consequence": "What the run did about it",
    "shard": "Number of the shard; missing if it does not concern a shard",
    "image": "Number of the image; missing if it does not concern an image",
    "prompt_id": 'Short name of the prompt; "" if it does not concern a prompt',
    "prompt": 'The prompt, or the row as it was read; "" if it does not concern a prompt',
    "seed": "Seed index; missing if it does not concern an image",
    "row": "Line of the file of prompts, or row of the table; missing if it does not concern a row",
}
"""Columns of the table of problems and their meanings."""

_OF_KIND: Final = {
    "pair": ("incomplete pair", "It is drawn as a prompt of its own."),
    "column": (
        "other columns",
        "They are in the tables under these names; no image depends on them.",
    ),
}


@dataclass(frozen=True)
class Problem:
    """One row of the table of problems; see `PROBLEM_COLUMNS`."""

    stage: Stage
    problem: str
    message: str
    consequence: str
    shard: int | None = None
    image: int | None = None
    prompt_id: str = ""
    prompt: str = ""
    seed: int | None = None
    row: int | None = None

    @classmethod
    def of_row(cls, problem: RowProblem) -> Problem:
        """Convert a problem with a row of the prompts."""
        name, consequence = _OF_KIND.get(problem.kind, ("unreadable row", "It was left out."))
        return cls(
            "prompts",
            name,
            problem.message,
            consequence,
            prompt=problem.text,
            prompt_id=prompt_id(problem.text) if problem.text else "",
            row=problem.row,
        )

    def __str__(self) -> str:
        where = [
            f"{name} {value}"
            for name, value in (("line", self.row), ("shard", self.shard), ("image", self.image))
            if value is not None
        ]
        place = f" ({', '.join(where)})" if where else ""
        return f"{self.problem}{place}: {self.message} {self.consequence}"


def without_empty_columns(problems: pd.DataFrame) -> pd.DataFrame:
    """Return a table of problems without the columns in which no problem has a value, for people to read."""
    return problems.loc[:, (problems.notna() & (problems != "")).any()]
