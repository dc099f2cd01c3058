"""One prompt of a set, and how it is read from the fields of a row."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from daam_syntax.errors import PromptError
from daam_syntax.language.prompt_sets.checks import (
    check_field,
    check_id,
    check_prompt,
    prompt_id,
)

COLUMNS: Final = {
    "id": 'Name of the prompt: letters, digits, ".", "_" and "-", at most 64; made of the text where it is empty',
    "prompt": "What to draw",
    "template": "The template it was made of",
    "pair": "Name of the pair that it is one of; each pair has two rows, the first one first",
    "role": "Its part in the pair",
    "category": "What it is grouped by",
    "relation": "The dependency relation that it is there for",
    "source": "Where it is from",
    "slot.NAME": "What fills the slot NAME of the template",
    "metadata.NAME": "Anything else",
}
"""Columns of a set of prompts and their meanings; only ``prompt`` must be there."""

TEXT_COLUMNS: Final = tuple(name for name in COLUMNS if not name.endswith(".NAME"))
GROUPS: Final = {"slot": "slots", "metadata": "metadata"}
"""Prefix of a column to the attribute of `Prompt` that its values go to."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)


@dataclass(frozen=True)
class Prompt:
    """A prompt, and what is known of it; "" stands for what is not. See `COLUMNS`.

    Attributes
    ----------
    text
        The prompt (column ``prompt``).
    id, template, pair, role, category, relation, source
        The columns of these names.
    slots, metadata
        Name to value, of the columns ``slot.NAME`` and ``metadata.NAME``.
    """

    text: str
    id: str = ""
    template: str = ""
    pair: str = ""
    role: str = ""
    category: str = ""
    relation: str = ""
    source: str = ""
    slots: Mapping[str, str] = field(default_factory=dict, hash=False)
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in GROUPS.values():
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        object.__setattr__(self, "id", self.id or prompt_id(self.text))

    def values(self) -> dict[str, str]:
        """Return the columns that are not empty, by name."""
        row = {name: getattr(self, "text" if name == "prompt" else name) for name in TEXT_COLUMNS}
        for prefix, attribute in GROUPS.items():
            row |= {f"{prefix}.{name}": text for name, text in getattr(self, attribute).items()}
        return {name: text for name, text in row.items() if text}


def is_column(name: str) -> bool:
    """Whether a set of prompts can have a column of this name."""
    prefix, dot, rest = name.partition(".")
    return name in TEXT_COLUMNS or bool(dot and prefix in GROUPS and _NAME.fullmatch(rest))


def unknown_columns(names: Iterable[str]) -> list[str]:
    """Return a message for each column that a set of prompts cannot have."""
    messages = []
    for name in names:
        if not is_column(name):
            near = difflib.get_close_matches(name.lower(), TEXT_COLUMNS, n=1)
            kept = re.sub(r"[^A-Za-z0-9_-]", "_", name).lstrip("0123456789-") or "more"
            advice = f"is it '{near[0]}'? Or, to" if near else "to"
            messages.append(
                f"Expected columns such as {', '.join(TEXT_COLUMNS[:3])}, but got {name[:80]!r}; {advice} "
                f"keep it, call it 'metadata.{kept[:40]}'."
            )
    return messages


def read_row(values: Mapping[str, Any]) -> tuple[Prompt | None, list[str]]:
    """Read a row.

    Parameters
    ----------
    values
        Column to value, None for what is missing; slots and metadata as columns ``slot.NAME``, or together as
        mappings ``slots`` and ``metadata``.

    Returns
    -------
    prompt : Prompt or None
        None if something is wrong.
    messages : list of str
        All that is wrong.
    """
    flat, messages = _flat(values)
    messages += unknown_columns(flat)
    fields: dict[str, str] = {}
    for name, value in {"prompt": None, **flat}.items():
        try:
            text = check_field(name, _text(name, value))
            if name == "prompt":
                check_prompt(text)
            if name == "id" and text:
                check_id(text)
            fields[name] = text
        except PromptError as error:
            messages.append(str(error))
    if messages:
        return None, messages
    return prompt_of(fields), []


def prompt_of(fields: Mapping[str, str]) -> Prompt:
    """Return the prompt of checked fields."""
    groups: dict[str, dict[str, str]] = {attribute: {} for attribute in GROUPS.values()}
    plain: dict[str, Any] = {"text": fields["prompt"]}
    for name, text in fields.items():
        prefix, dot, rest = name.partition(".")
        if dot and text:
            groups[GROUPS[prefix]][rest] = text
        elif not dot and name != "prompt":
            plain[name] = text
    return Prompt(**plain | groups)


def _flat(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return values by column name, those of the mappings ``slots`` and ``metadata`` among them."""
    flat: dict[str, Any] = {}
    messages = []
    for name, value in values.items():
        prefix = next((p for p, attribute in GROUPS.items() if attribute == name), None)
        if prefix is None:
            flat[str(name)] = value
        elif isinstance(value, Mapping):
            flat |= {f"{prefix}.{key}": inner for key, inner in value.items()}
        elif value is not None:
            messages.append(
                f"Expected names and texts in '{name}', but got {type(value).__name__}."
            )
    return flat, messages


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isnan(value):  # how tables mark what is missing
        return ""
    if name != "prompt" and isinstance(value, bool | int | float):
        return str(value)
    kind = type(value).__name__
    raise PromptError(f"Expected text in '{name}', but got {kind}.")


def columns_of(rows: Sequence[Prompt]) -> list[str]:
    """Return the columns that some row has, in the order of `COLUMNS`; ``id`` and ``prompt`` always."""
    there = {name: None for row in rows for name in row.values()}
    fixed = [name for name in TEXT_COLUMNS if name in there or name in ("id", "prompt")]
    return fixed + [n for prefix in GROUPS for n in there if n.startswith(f"{prefix}.")]
