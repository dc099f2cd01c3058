"""A prompt with its columns, and how to read one from the fields of a row."""

from __future__ import annotations

import difflib
import numbers
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from daam_syntax.errors import PromptError
from daam_syntax.language.prompt_sets.field_checks import check_field, check_id
from daam_syntax.language.prompt_text import check_prompt, name_of, plain
from daam_syntax.util.arguments.checks import checked

COLUMNS: Final = {
    "id": 'Name of the prompt: at most 64 letters, digits, ".", "_" and "-"; if empty, made from the text',
    "prompt": "Text of the prompt",
    "template": "Template that the prompt was made from",
    "pair": "Name of the pair that the prompt belongs to; a pair has two rows, in order",
    "role": "Role of the prompt in its pair",
    "category": "Category to group prompts by",
    "relation": "Dependency relation that the prompt was chosen for",
    "source": "Source of the prompt",
    "slot.NAME": "Text that fills the slot NAME of the template",
    "metadata.NAME": "Anything else",
}
"""Columns of a set of prompts and their meanings; only ``prompt`` is required."""

TEXT_COLUMNS: Final = tuple(name for name in COLUMNS if not name.endswith(".NAME"))
GROUPS: Final = {"slot": "slots", "metadata": "metadata"}
"""Maps each column prefix to the attribute of `Prompt` that holds the values."""

_PREFIXES: Final = {attribute: prefix for prefix, attribute in GROUPS.items()}
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
MOST_COLUMNS: Final = 1_000
"""Maximum number of columns of a table, or of fields of a row."""

_LIKENESS: Final = 0.8  # as difflib measures it; "location" and "relation" have 0.75
_MISSING: Final = ("NAType", "NaTType")
_GROUP: Final = re.compile(r"(slots?|metadata|meta)[._: -]", re.IGNORECASE)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)


@checked
@dataclass(frozen=True, slots=True)  # a set may have 100,000
class Prompt:
    """A prompt with its columns, "" where unknown; see `COLUMNS`.

    Attributes
    ----------
    text
        The prompt (column ``prompt``).
    id, template, pair, role, category, relation, source
        The columns with these names.
    slots, metadata
        Values by name, from the columns ``slot.NAME`` and ``metadata.NAME``.
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
            values = dict(getattr(self, name))
            object.__setattr__(self, name, MappingProxyType(values) if values else _NOTHING)
        object.__setattr__(self, "id", self.id or name_of(self.text))

    @classmethod
    def _of_checked(cls, **values: Any) -> Prompt:
        """Make a prompt of values that were checked: a check of the types of each would take most of the time."""
        made = object.__new__(cls)
        cls.__init__.__wrapped__(made, **values)  # type: ignore[attr-defined]
        return made

    def values(self) -> dict[str, str]:
        """Return the values by column, without empty columns."""
        row = {name: getattr(self, "text" if name == "prompt" else name) for name in TEXT_COLUMNS}
        for prefix, attribute in GROUPS.items():
            row |= {f"{prefix}.{name}": text for name, text in getattr(self, attribute).items()}
        return {name: text for name, text in row.items() if text}


@lru_cache(maxsize=4096)  # it is asked about each field of each row
def is_column(name: str) -> bool:
    """Whether a set of prompts may have a column with this name."""
    prefix, dot, rest = name.partition(".")
    return name in TEXT_COLUMNS or bool(dot and prefix in GROUPS and _NAME.fullmatch(rest))


def unknown_columns(names: Iterable[str]) -> list[str]:
    """Return a message for each column that a set of prompts may not have."""
    messages = []
    for name in names:
        if not is_column(name):
            near = similar_column(name)
            advice = f"did you mean '{near}'? Or, to" if near else "to"
            messages.append(
                f"Expected columns such as {', '.join(TEXT_COLUMNS[:3])}, but got {name[:80]!r}; {advice} "
                f"keep it, call it '{metadata_name(name)}'."
            )
    return messages


def similar_column(name: str) -> str | None:
    """Return the column that a name looks like a misspelling of; None if there is none."""
    group = _GROUP.match(name)
    if group is not None:
        return f"{'slot' if group[1].lower().startswith('slot') else 'metadata'}.NAME"
    return next(iter(difflib.get_close_matches(name.lower(), TEXT_COLUMNS, 1, _LIKENESS)), None)


def metadata_name(name: str) -> str:
    """Return the column of metadata that a column with any other name becomes."""
    kept = re.sub(r"[^A-Za-z0-9_-]", "_", name).lstrip("0123456789-")
    return f"metadata.{kept[:40] or 'more'}"


def read_row(values: Mapping[str, Any]) -> tuple[Prompt | None, list[str]]:
    """Check the fields of a row and make a prompt from them.

    Parameters
    ----------
    values
        Values by column, None where missing. Slots and metadata may be columns such as ``slot.NAME``, or two mappings
        ``slots`` and ``metadata``.

    Returns
    -------
    prompt : Prompt or None
        None if there is a problem.
    messages : list of str
        All problems.
    """
    flat, messages = _flat(values)
    if len(flat) > MOST_COLUMNS:
        return None, [f"Expected at most {MOST_COLUMNS:,} fields, but got {len(flat):,}."]
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
    """Make a prompt from checked fields."""
    groups: dict[str, dict[str, str]] = {attribute: {} for attribute in GROUPS.values()}
    plain: dict[str, Any] = {"text": fields["prompt"]}
    for name, text in fields.items():
        prefix, dot, rest = name.partition(".")
        if dot and text:
            groups[GROUPS[prefix]][rest] = text
        elif not dot and name != "prompt":
            plain[name] = text
    return Prompt._of_checked(**plain | groups)


def _flat(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the values by column, with ``slots`` and ``metadata`` spread over columns of their own, and messages."""
    flat: dict[str, Any] = {}
    messages = []
    for name, value in values.items():
        prefix = _PREFIXES.get(name)
        if prefix is None:
            flat[str(name)] = value
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                column = f"{prefix}.{key}"
                if column in values:
                    messages.append(
                        f"Expected each column once, but got {column[:80]!r} and {key!r} in '{name}'."
                    )
                flat[column] = inner
        elif value is not None:
            messages.append(
                f"Expected names and texts in '{name}', but got {type(value).__name__}."
            )
    return flat, messages


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return plain(value)
    is_number = isinstance(value, numbers.Real | np.bool_)
    if type(value).__name__ in _MISSING or (is_number and value != value):  # NaN, or one of pandas
        return ""
    if name != "prompt" and is_number:
        # A column of whole numbers with missing values has floats.
        is_name = name in ("id", "pair") and isinstance(value, float) and value.is_integer()
        return f"{value:.0f}" if is_name else str(value)
    kind = type(value).__name__
    raise PromptError(f"Expected text in '{name}', but got {kind}.")


def columns_of(rows: Sequence[Prompt]) -> list[str]:
    """Return the columns that any row has, in the order of `COLUMNS`; always ``id`` and ``prompt``."""
    there = {name: None for row in rows for name in row.values()}
    fixed = [name for name in TEXT_COLUMNS if name in there or name in ("id", "prompt")]
    return fixed + [n for prefix in GROUPS for n in there if n.startswith(f"{prefix}.")]
