"""Describe how a run that is to be resumed differs from the one in its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from daam_syntax.language import PromptSet

_SHOWN: Final = 2  # differences of one kind


def setting_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return each setting that differs, with both values; settings may be nested."""
    old, new = _flat(before), _flat(now)
    return [
        f"{name}: {old.get(name)!r} before, {new.get(name)!r} now"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def prompt_changes(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Return the first prompts that were removed and added; if there are none, the difference that remains."""
    removed = [f"prompt removed: {text!r}" for text in _without(before, now)]
    added = [f"prompt added: {text!r}" for text in _without(now, before)]
    if removed or added:
        return [*_first(removed), *_first(added)]
    return ["the order of the prompts" if before != now else "the parses of the same prompts"]


def metadata_changes(before: PromptSet, now: PromptSet) -> list[str]:
    """Return the first differences in the metadata of the same prompts."""
    old = {row.text: row.values() for row in before.rows}
    new = {row.text: row.values() for row in now.rows}
    return _first(
        [
            f"{name} of {text!r}: {old[text].get(name, '')!r} before, {values.get(name, '')!r} now"
            for text, values in new.items()
            for name in sorted({*old[text], *values})
            if old[text].get(name) != values.get(name)
        ]
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings under names such as ``"drawing.steps"``."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _without(texts: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return the texts that are not among others, in order."""
    known = set(others)
    return [text for text in texts if text not in known]


def _first(differences: Sequence[str]) -> list[str]:
    """Return the first differences, and the number of the others."""
    more = len(differences) - _SHOWN
    return [*differences[:_SHOWN], *([f"and {more:,} more"] if more > 0 else [])]
