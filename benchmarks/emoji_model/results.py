"""The file of results: sections that are added one by one, all of the same weights and settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from daam_syntax.util.whole_files import whole_file

FOLDER: Final = Path(__file__).parents[1] / "results"
RESULTS: Final = FOLDER / "emoji_model.json"
"""The committed results."""

READING: Final = FOLDER / "emoji_reading.json"
"""The committed scores of the blind sheet, if somebody has read one."""


class Results:
    """Results of one model, saved after every addition, so that an interrupted benchmark goes on.

    Parameters
    ----------
    path
        The JSON file. Results of other weights or settings in it are dropped.
    settings
        What the results depend on.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self._path = path
        self._values: dict[str, Any] = {"settings": settings}
        if path.exists():
            before = json.loads(path.read_text(encoding="utf-8"))
            if before.get("settings") == settings:
                self._values = before

    def has(self, *keys: str) -> bool:
        """Whether there is a value at a path of keys."""
        inner: Any = self._values
        for key in keys:
            if key not in inner:
                return False
            inner = inner[key]
        return True

    def add(self, value: Any, *keys: str) -> None:
        """Set the value at a path of keys, and save."""
        inner = self._values
        for key in keys[:-1]:
            inner = inner.setdefault(key, {})
        inner[keys[-1]] = value
        with whole_file(self._path) as partial:
            partial.write_text(json.dumps(self._values, indent=2) + "\n", encoding="utf-8")

    @property
    def values(self) -> dict[str, Any]:
        """Everything so far."""
        return self._values
