"""Checksums of what is in the folder of a run, without the names of runs and the times of sessions."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

_VIEWS: Final = ("*.csv", "*.html", "images/*.png", "overview-*.png")


def digest(folder: Path) -> dict[str, str]:
    """Return checksums of the tables, heat maps, and images of a run, and of its files for people to look at.

    Raises
    ------
    DaamSyntaxError
        If something is damaged or missing.
    AssertionError
        If the run is not complete, or files of an interrupted command are left.
    """
    from daam_syntax import runs

    run = runs.open_run(folder)
    assert run.is_complete, "the run is not complete"
    left = [*folder.rglob("*.partial"), *folder.glob(".work/*")]
    assert not left, f"{left[0]} is left"
    tables = {table: getattr(run, table)() for table in ("pairs", "words", "images")}
    found = {table: _of(frame.to_csv().encode()) for table, frame in tables.items()}
    for number, maps in run.numbered_maps():
        found[f"maps {number}"] = _of(maps.data.values.tobytes(), repr(maps.provenance).encode())
    for number, image in run.pil_images():
        found[f"image {number}"] = _of(image.tobytes())
    for pattern in _VIEWS:
        for path in folder.glob(pattern):
            found[str(path.relative_to(folder))] = _of(path.read_bytes())
    return found


def _of(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()
