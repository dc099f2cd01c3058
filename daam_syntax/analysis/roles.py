"""Names of columns that belong to the head or to the dependent of a pair."""

from __future__ import annotations


def other_role(column: str) -> str:
    """Return the name of the same column of the other word; the name itself for a column of both."""
    for role, other in (("head", "dependent"), ("dependent", "head")):
        if column == role or column.startswith(f"{role}_"):
            return other + column.removeprefix(role)
    return column
