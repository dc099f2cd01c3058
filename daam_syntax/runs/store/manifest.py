"""The manifest of a run, and its second copy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from daam_syntax.errors import FileError
from daam_syntax.runs.field_types import (
    check_fields,
    each,
    flag,
    hexadecimal,
    mapping,
    number,
    text,
    whole,
)
from daam_syntax.runs.store.checksums import sealed, unsealed
from daam_syntax.runs.store.shards import ShardPlan
from daam_syntax.runs.store.tables.schemas import FORMAT
from daam_syntax.util.regular_files import check_regular
from daam_syntax.util.whole_files import whole_file
from daam_syntax.util.wording import one_line

MANIFEST: Final = "manifest.json"
BACKUP: Final = "manifest.backup.json"
"""Written after the manifest, so that one of the two is whole at any moment."""

_KIND: Final = "daam-syntax run"
_LARGEST: Final = 2**26  # bytes; a manifest has some kilobytes, and some for each session
_STATUSES: Final = ("running", "incomplete", "complete")
_SESSION: Final = {
    "started": text,
    "versions": mapping,
    "text_limits": each(mapping),
    "images": whole(),
    "seconds": number,
}
_PEAKS: Final = dict.fromkeys(("peak_memory", "peak_gpu_memory"), whole(most=2**60))


def _session(value: object) -> bool:
    """Whether a value describes a session, see `daam_syntax.runs.drawing.sessions`."""
    try:
        return bool(check_fields(value, _SESSION, _PEAKS))
    except ValueError:
        return False


_FIELDS: Final = {
    "format": lambda value: value == FORMAT,
    "kind": lambda value: value == _KIND,
    "run": hexadecimal(32),
    "status": lambda value: value in _STATUSES,
    "settings": mapping,
    "plan": mapping,
    "prompts": hexadecimal(64),
    "parses": hexadecimal(64),
    "sessions": each(_session),
}
_VIEWS: Final = {
    "threshold": text,
    "schemes": each(text),
    "overviews": flag,
    "shards": hexadecimal(64),
    "files": mapping,
}


def _views(value: object) -> bool:
    """Whether a value describes views, see `daam_syntax.runs.views`."""
    found = check_fields(value, _VIEWS, {"sizes": mapping})  # earlier versions did not write it
    is_size = whole(most=2**50)
    return all(map(hexadecimal(64), found["files"].values())) and all(
        map(is_size, found.get("sizes", {}).values())
    )


_OPTIONAL: Final = {"views": _views}


class DamagedManifestError(FileError):
    """A manifest that is missing, or is not what was written."""


def read_manifest(folder: Path) -> tuple[dict[str, Any], str]:
    """Return the manifest of a run, from its second copy if the first is missing or damaged.

    Returns
    -------
    manifest : dict
        The manifest.
    damage : str
        What is wrong with the first copy; "" if nothing is.

    Raises
    ------
    DamagedManifestError
        If neither copy can be used.
    FileError
        If it is that of something else, or of an unknown version.
    """
    try:
        return _read(folder / MANIFEST), ""
    except DamagedManifestError as error:
        damage = error
    try:
        return _read(folder / BACKUP), str(damage)
    except DamagedManifestError:
        raise damage from None


def read_backup(folder: Path) -> dict[str, Any] | None:
    """Return the second copy of a manifest; None if it cannot be used."""
    try:
        return _read(folder / BACKUP)
    except FileError:
        return None


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest and then its second copy, each completely or not at all."""
    written = sealed({"format": FORMAT, "kind": _KIND, **manifest})
    for name in (MANIFEST, BACKUP):
        with (
            whole_file(folder / name) as partial,
            partial.open("w", encoding="utf-8") as file,
        ):
            file.write(written)
            file.flush()
            # Shards can be drawn again after a power failure, but the plan exists only here.
            os.fsync(file.fileno())


def _read(path: Path) -> dict[str, Any]:
    try:
        check_regular(path, _LARGEST)
        manifest = unsealed(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DamagedManifestError(
            f"Expected the folder of a run, but there is no {path}; make one with `daam-syntax run` or "
            "`daam-syntax analyze`."
        ) from None
    except NotADirectoryError:
        raise FileError(
            f"Expected the folder of a run, but {path.parent} is not a folder; name the folder."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedManifestError(
            f"Expected the manifest of a run in {path}, but {one_line(error)}; "
            "run the same command again to restore it."
        ) from error
    found = (manifest.get("kind"), manifest.get("format"))
    try:
        if found != (_KIND, FORMAT):
            raise ValueError(
                f"it is {str(found[0])[:40]!r}, format {str(found[1])[:40]}, not {_KIND!r}, format {FORMAT}, which is "
                "all that this version reads; draw the prompts again into another folder, or use the version that "
                "wrote it"
            )
        checked = check_fields(manifest, _FIELDS, _OPTIONAL)
        ShardPlan.from_dict(checked["plan"])
    except ValueError as error:
        raise FileError(f"Expected the manifest of a run in {path}, but {error}.") from error
    return checked
