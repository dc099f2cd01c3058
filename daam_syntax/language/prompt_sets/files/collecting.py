"""Turn the records of a file into prompts and problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from daam_syntax.errors import ProblemKind, RowProblem, RowUnit
from daam_syntax.language.prompt_sets.files.records import Record
from daam_syntax.language.prompt_sets.problems import excerpt
from daam_syntax.language.prompt_sets.rows import Prompt, read_row

_MOST_PROBLEMS = 100_000
"""Problems after which a file is not read on, because it is of another kind, and millions of them take minutes."""

_Place = tuple[int, RowUnit]


@dataclass
class Collected:
    """The usable prompts of a file, each once, and the problems of the other rows."""

    rows: list[Prompt] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)


def collect(records: Iterable[Record | RowProblem]) -> Collected:
    """Check records. A repeated prompt or id, and a pair without exactly two prompts, are problems.

    The prompts of a broken pair remain, as prompts without a pair.
    """
    found = Collected()
    texts: dict[str, int] = {}
    ids: dict[str, int] = {}
    places: list[_Place] = []
    has_header = True
    for record in records:
        if len(found.problems) > _MOST_PROBLEMS:
            message = f"More than {_MOST_PROBLEMS:,} rows cannot be used; those from here on were not read."
            found.problems.append(RowProblem(record.row, message, unit=record.unit, kind="file"))
            break
        if isinstance(record, RowProblem):
            found.problems.append(record)
            has_header = has_header and record.kind != "file"
            continue
        if "prompt" not in record.values and not has_header:
            continue  # reported once, for the header
        text = record.values.get("prompt")
        if len(record.values) == 1 and isinstance(text, str) and text in texts:
            # A short cut, so that a file of a million equal lines does not take a minute.
            message = _again("prompt", text, record, texts)
            found.problems.append(
                RowProblem(record.row, message, excerpt(text), record.unit, "repeat")
            )
            continue
        prompt, messages = read_row(record.values)
        kind: ProblemKind = "row"
        if prompt is not None:
            name = prompt.id.casefold()  # some file systems ignore case
            if prompt.text in texts:
                kind = "repeat"
                messages = [_again("prompt", prompt.text, record, texts)]
            elif name in ids:
                messages = [_again("id", name, record, ids)]
        if prompt is None or messages:
            shown = excerpt(text)
            found.problems += [
                RowProblem(record.row, m, shown, record.unit, kind) for m in messages
            ]
            continue
        texts[prompt.text] = ids[name] = record.row
        found.rows.append(prompt)
        places.append((record.row, record.unit))
    _check_pairs(found, places)
    return found


def _again(what: str, value: str, record: Record, seen: Mapping[str, int]) -> str:
    return f"Expected each {what} once, but {value[:80]!r} is also in {record.unit} {seen[value]}."


def without_broken_pairs(rows: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """Return all prompts; those of a pair without exactly two prompts lose their pair."""
    sizes = Counter(row.pair for row in rows)
    return tuple(
        replace(row, pair="", role="") if row.pair and sizes[row.pair] != 2 else row for row in rows
    )


def _check_pairs(found: Collected, places: Sequence[_Place]) -> None:
    """Dissolve each pair without exactly two prompts, and report it."""
    sizes = Counter(row.pair for row in found.rows)
    whole = without_broken_pairs(found.rows)
    for row, kept, (place, unit) in zip(found.rows, whole, places, strict=True):
        if row != kept:
            message = (
                f"Expected two prompts in the pair {row.pair[:80]!r}, but got {sizes[row.pair]}."
            )
            found.problems.append(RowProblem(place, message, excerpt(row.text), unit, "pair"))
    found.rows = list(whole)
