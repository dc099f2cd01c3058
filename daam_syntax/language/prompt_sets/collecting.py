"""From the rows of a file to prompts and problems."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from daam_syntax.language.prompt_sets.problems import RowProblem, excerpt
from daam_syntax.language.prompt_sets.rows import Prompt, read_row
from daam_syntax.language.prompt_sets.tables import Record


@dataclass
class Collected:
    """The prompts of a file, each once, and what is wrong with the other rows."""

    rows: list[Prompt] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)


def collect(records: Iterable[Record | RowProblem]) -> Collected:
    """Read rows; a prompt, or an id, that was there before is a problem."""
    found = Collected()
    texts: dict[str, int] = {}
    ids: dict[str, int] = {}
    for record in records:
        if isinstance(record, RowProblem):
            found.problems.append(record)
            continue
        prompt, messages = read_row(record.values)
        if prompt is not None:
            for what, value, seen in (
                ("prompt", prompt.text, texts),
                ("id", prompt.id.casefold(), ids),  # some file systems do not tell cases apart
            ):
                if value in seen and not messages:
                    messages.append(
                        f"Expected each {what} once, but {value[:80]!r} stands in {record.unit} {seen[value]} too."
                    )
        if prompt is None or messages:
            text = excerpt(record.values.get("prompt"))
            found.problems += [RowProblem(record.row, m, text, record.unit) for m in messages]
            continue
        texts[prompt.text] = ids[prompt.id.casefold()] = record.row
        found.rows.append(prompt)
    return found
