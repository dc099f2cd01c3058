"""The folder of a run: pictures, maps, tables and a manifest, all in open formats.

::

    out/
      manifest.json             settings, versions, status ("running", then "complete")
      images/<prompt_id>-<seed>.png
      maps/<prompt_id>-<seed>.npz
      overview-<prompt_id>-<seed>.png
      pairs.csv  words.csv  summary.csv
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from daam_syntax.errors import FileError
from daam_syntax.whole_files import whole_file

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

    from daam_syntax.maps import HeatMaps

MANIFEST: Final = "manifest.json"
_FORMAT: Final = 1


class RunFolder:
    """Reads and writes the folder of a run.

    Every file is written whole or not at all, so that an interrupted run or a full disk leaves
    nothing half-written, and a run can be taken up again.

    Parameters
    ----------
    path
        The folder; made when something is written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def start(self, settings: Mapping[str, Any], *, overwrite: bool = False) -> None:
        """Begin a run with these settings, or take up one that began with the same.

        Raises
        ------
        FileError
            If the folder cannot be written, or holds a run with other settings.
        """
        if (self.path / MANIFEST).exists() and not overwrite:
            before = self.manifest()["settings"]
            now = json.loads(json.dumps(dict(settings)))
            if before == now:
                return
            if self.names():  # a run that drew nothing is not worth keeping
                changed = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
                raise FileError(
                    f"Expected an empty folder or the same run in {self.path}, but it holds a run with "
                    f"other settings ({', '.join(changed)}); choose another folder, or overwrite it "
                    "(overwrite=True, --overwrite)."
                )
        with _told(self.path):
            for name in ("images", "maps"):
                folder = self.path / name
                folder.mkdir(parents=True, exist_ok=True)
                for old in [*folder.glob("*.png"), *folder.glob("*.npz")]:
                    old.unlink()
            for old in self.path.glob("overview-*.png"):
                old.unlink()
        self._write_manifest({"format": _FORMAT, "status": "running", "settings": dict(settings)})

    def finish(self, provenance: Mapping[str, Any]) -> None:
        """Mark the run complete, and say with what it was made."""
        self._write_manifest({**self.manifest(), "status": "complete", **provenance})

    def manifest(self) -> dict[str, Any]:
        """Return the manifest.

        Raises
        ------
        FileError
            If there is none, or it cannot be read.
        """
        path = self.path / MANIFEST
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            if manifest["format"] != _FORMAT or "settings" not in manifest:
                raise ValueError(f"it has format {manifest['format']!r}, not {_FORMAT}")
        except FileNotFoundError:
            raise FileError(
                f"Expected the folder of a run, but there is no {path}; make one with `daam-syntax analyze`."
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FileError(f"Expected the manifest of a run in {path}, but {error!r}.") from error
        return dict(manifest)

    def add(self, name: str, image: Image, maps: HeatMaps) -> None:
        """Keep one picture and its maps; the maps last, so that they stand for both."""
        self.write(f"images/{name}.png", lambda path: image.save(path, format="PNG"))
        maps.save(self.path / "maps" / f"{name}.npz")

    def get(self, name: str) -> tuple[Image, HeatMaps] | None:
        """Return a picture and its maps, or None if they were not kept yet."""
        from PIL import Image as PillowImage

        from daam_syntax.maps import HeatMaps

        image, maps = self.path / "images" / f"{name}.png", self.path / "maps" / f"{name}.npz"
        if not (image.exists() and maps.exists()):
            return None
        with _told(image):
            picture = PillowImage.open(image).convert("RGB")
        return picture, HeatMaps.load(maps)

    def names(self) -> list[str]:
        """Return the names of all kept maps, in the order in which the run drew them."""
        found = {path.stem for path in (self.path / "maps").glob("*.npz")}
        ordered = [name for name in self.manifest()["settings"].get("names", []) if name in found]
        return ordered + sorted(found - set(ordered))

    def maps(self) -> list[HeatMaps]:
        """Return all kept maps.

        Raises
        ------
        FileError
            If there are none, or one is damaged.
        """
        from daam_syntax.maps import HeatMaps

        names = self.names()
        if not names:
            raise FileError(f"Expected saved maps in {self.path / 'maps'}, but there are none.")
        return [HeatMaps.load(self.path / "maps" / f"{name}.npz") for name in names]

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table as ``<name>.csv``."""
        self.write(f"{name}.csv", lambda path: table.to_csv(path, index=False, lineterminator="\n"))

    def write(self, name: str, save: Callable[[Path], Any]) -> None:
        """Let `save` write a file beside its place, then move it there."""
        target = self.path / name
        with _told(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as partial:
            save(partial)

    def _write_manifest(self, manifest: Mapping[str, Any]) -> None:
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        self.write(MANIFEST, lambda path: path.write_text(text, encoding="utf-8"))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn an error of the file system into one that says which file and why."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"Could not read or write {path}: {error.strerror or error}. "
            "Choose a folder that can be written, with room on its disk."
        ) from error
