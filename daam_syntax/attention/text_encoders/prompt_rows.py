"""Which row of a text encoder's batch is which prompt.

It is found by the token ids, since a pipeline may encode several texts at once, or one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from daam_syntax.attention.text_encoders.components import EncoderParts
from daam_syntax.attention.texts.token_spans import Reading, find_prompts

Kept = Sequence[int | None]


@dataclass(frozen=True)
class PromptRow:
    """The row of a prompt.

    Attributes
    ----------
    reading
        The tokenizer's reading of the prompt.
    row
        Number of the row.
    kept
        For each position in the row, that of the reading; None for padding that the pipeline added.
    """

    reading: Reading
    row: int
    kept: Kept


def find_rows(
    parts: EncoderParts,
    prompts: Sequence[str],
    readings: Sequence[Reading],
    rows: Sequence[Sequence[int]],
) -> list[PromptRow] | None:
    """Find the rows of prompts among those of an encoder's call.

    Parameters
    ----------
    parts
        The encoder and its tokenizer.
    prompts
        The prompts, in the order in which the pipeline encodes them. The same prompt may occur several times.
    readings
        What the tokenizer read so far.
    rows
        Token ids of each row.

    Returns
    -------
    list of PromptRow or None
        The row of each prompt; None if this call has not the rows of all of them.
    """
    for start in range(len(readings)):
        found = find_prompts(
            parts.tokenizer, prompts, readings[start:], has_template=parts.has_template
        )
        if found is None:
            return None
        free = set(range(len(rows)))
        placed = []
        for reading in found:
            place = _place(reading, rows, free)
            if place is None:
                break
            free.discard(place.row)
            placed.append(place)
        if len(placed) == len(prompts):
            return placed
    return None


def _place(reading: Reading, rows: Sequence[Sequence[int]], free: set[int]) -> PromptRow | None:
    """Return the first free row that holds the tokens of a reading."""
    ids = list(reading.ids)
    for number, row in enumerate(rows):
        if number not in free:
            continue
        more = len(row) - len(ids)
        if more < 0 and list(row) == ids[: len(row)] and not any(reading.mask[len(row) :]):
            return PromptRow(reading, number, list(range(len(row))))  # the pipeline cut off padding
        if more >= 0 and list(row[:-more] if more else row) == ids:
            return PromptRow(reading, number, [*range(len(ids)), *[None] * more])
        if more > 0 and list(row[more:]) == ids:
            return PromptRow(reading, number, [*[None] * more, *range(len(ids))])
    return None
