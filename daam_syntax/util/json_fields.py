"""Values with fields, from JSON that other people may have written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


def read_fields(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return a dataclass whose fields are whole numbers and texts from a JSON object.

    Raises
    ------
    ValueError
        If a field has another type.
    TypeError
        If a field is missing or unknown.
    """
    made = kind(**values)
    for field in fields(made):  # type: ignore[arg-type]
        value = getattr(made, field.name)
        # Annotations are strings; all others than "int" name strings or literals.
        fits = type(value) is int if field.type == "int" else isinstance(value, str)
        if not fits:
            raise ValueError(f"{field.name!r} of a {kind.__name__.lower()} is {repr(value)[:60]}")
    return made
