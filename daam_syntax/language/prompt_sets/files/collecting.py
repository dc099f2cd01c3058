"""Turn the records of a file into prompts and problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from daam_syntax.errors import ProblemKind, RowProblem, RowUnit
from daam_syntax.language.prompt_sets.files.records import Record
from daam_syntax.language.prompt_sets.problems import excerpt
from daam_syntax.language.prompt_sets.rows import Prompt, read_row

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
    for record in records:
        if isinstance(record, RowProblem):
            found.problems.append(record)
            continue
        if "prompt" not in record.values and any(p.kind == "file" for p in found.problems):
            continue  # reported once, for the header
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
            text = excerpt(record.values.get("prompt"))
            found.problems += [RowProblem(record.row, m, text, record.unit, kind) for m in messages]
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
