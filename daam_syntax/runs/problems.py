"""What went wrong in a run, as rows of a table: nothing is left out silently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from daam_syntax.language import prompt_id
from daam_syntax.language.prompt_sets import RowProblem

Stage = Literal["prompts", "draw", "write", "check"]

PROBLEM_COLUMNS: Final = {
    "stage": 'Where: "prompts" (reading them), "draw", "write" (the disk), "check" (of finished shards)',
    "problem": 'What, in a word or two: "out of memory", "no map", "unreadable row", ...',
    "message": "What was said about it",
    "consequence": "What became of it",
    "shard": "Number of the shard; missing where none is concerned",
    "image": "Running number of the image; missing where it is not about one",
    "prompt_id": 'Short name of the prompt; "" where it is not about one',
    "prompt": 'The prompt, or the row as it was read; "" where it is not about one',
    "seed": "Number of the seed; missing where it is not about one",
    "row": "Line of the file of prompts, or row of the table; missing where it is not about one",
}
"""Columns of the table of problems and their meanings."""


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
        """Return what is said of a row of prompts that could not be used as it is."""
        is_prompt = problem.kind == "pair"
        return cls(
            "prompts",
            "incomplete pair" if is_prompt else "unreadable row",
            problem.message,
            "It is drawn as a prompt of its own." if is_prompt else "It was left out.",
            prompt=problem.text,
            prompt_id=prompt_id(problem.text),
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
