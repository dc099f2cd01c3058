"""The folder of a run: pictures, maps, tables and a manifest, all in open formats.

::

    out/
      manifest.json             settings, versions, status ("running", then "complete")
      images/<prompt_id>-<seed>.png
      maps/<prompt_id>-<seed>.npz
      overview-<prompt_id>-<seed>.png
      explore-<prompt_id>.html  a page to click through, with all seeds of a prompt
      pairs.csv  words.csv  summary.csv
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from daam_syntax.errors import FileError
from daam_syntax.util.whole_files import file_errors, whole_file

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

    from daam_syntax.maps import HeatMaps

MANIFEST: Final = "manifest.json"
TABLES: Final = ("pairs", "words", "summary")
_FORMAT: Final = 1


class AnalysisFolder:
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

    def check_writable(self) -> None:
        """Make the folder where it is missing, and see that something can be written there.

        Raises
        ------
        FileError
            If not.
        """
        with file_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        self.write(".writable", lambda path: path.write_bytes(b""))
        (self.path / ".writable").unlink()

    def start(self, settings: Mapping[str, Any], *, overwrite: bool = False) -> None:
        """Begin a run with these settings, or take up one that began with the same.

        Parameters
        ----------
        settings
            All that the pictures depend on, and ``names``: the names of all images, in order.
        overwrite
            Whether to replace a run with other settings. Only files that its manifest names are deleted.

        Raises
        ------
        FileError
            If the folder cannot be written, or holds a run with other settings, or files of another origin.
        """
        with file_errors(self.path):
            is_run = (self.path / MANIFEST).exists()
            strange = not is_run and [
                str(file) for name in ("images", "maps") for file in (self.path / name).glob("*")
            ]
        if strange:
            raise FileError(
                f"Expected a new folder or that of a run, but {self.path} has files of another origin, "
                f"for instance {strange[0]}; choose another folder."
            )
        if is_run:
            before = self.manifest()["settings"]
            now = json.loads(json.dumps(dict(settings)))
            if before == now:
                return
            if self.names() and not overwrite:  # a run that drew nothing is not worth keeping
                changed = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
                raise FileError(
                    f"Expected a new folder or the same run in {self.path}, but it holds a run with "
                    f"other settings ({', '.join(changed)}); choose another folder, or overwrite it "
                    "(overwrite=True, --overwrite)."
                )
            self._delete(before.get("names", []))
        self._write_manifest({"format": _FORMAT, "status": "running", "settings": dict(settings)})

    def _delete(self, names: Iterable[str]) -> None:
        """Delete the files of a run, and nothing else."""
        files = [f"{table}.csv" for table in TABLES]
        for name in names:
            files += [f"images/{name}.png", f"maps/{name}.npz", f"overview-{name}.png"]
            files.append(f"explore-{name.rpartition('-')[0]}.html")
        with file_errors(self.path):
            for file in files:
                (self.path / file).unlink(missing_ok=True)

    def finish(self, **more: Any) -> None:
        """Mark the run complete, and add to its manifest."""
        self.note(status="complete", **more)

    def note(self, **more: Any) -> None:
        """Add to the manifest."""
        self._write_manifest({**self.manifest(), **more})

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
            if "kind" in manifest:  # a corpus: its format is counted apart
                raise ValueError(
                    f"it is that of a {manifest['kind']}, which `daam-syntax report` reads"
                )
            if manifest["format"] != _FORMAT or "settings" not in manifest:
                raise ValueError(f"it has format {manifest['format']!r}, not {_FORMAT}")
        except FileNotFoundError:
            raise FileError(
                f"Expected the folder of a run, but there is no {path}; make one with `daam-syntax analyze`."
            ) from None
        except (OSError, ValueError) as error:
            raise FileError(f"Expected the manifest of a run in {path}, but {error}.") from error
        except (KeyError, TypeError) as error:
            raise FileError(f"Expected the manifest of a run in {path}, but {error!r}.") from error
        return dict(manifest)

    def add(self, name: str, image: Image, maps: HeatMaps) -> None:
        """Keep one picture and its maps; the maps last, so that they stand for both."""
        self.write(f"images/{name}.png", lambda path: image.save(path, format="PNG"))
        with file_errors(self.path):
            (self.path / "maps").mkdir(exist_ok=True)
        maps.save(self.path / "maps" / f"{name}.npz")

    def get(self, name: str) -> tuple[Image, HeatMaps] | None:
        """Return a picture and its maps, or None if they were not kept yet."""
        from PIL import Image as PillowImage

        from daam_syntax.maps import HeatMaps

        image, maps = self.path / "images" / f"{name}.png", self.path / "maps" / f"{name}.npz"
        with file_errors(image):
            if not (image.exists() and maps.exists()):
                return None
            picture = PillowImage.open(image).convert("RGB")
        return picture, HeatMaps.load(maps)

    def names(self) -> list[str]:
        """Return the names of the run's images that are there, in the order of the run."""
        names = self.manifest()["settings"].get("names", [])
        return [name for name in names if (self.path / "maps" / f"{name}.npz").exists()]

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
        """Write a table as ``<name>.csv`` that no spreadsheet takes for formulas, see `write_table`."""
        from daam_syntax.analysis import write_table

        with file_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        write_table(table, self.path / f"{name}.csv")

    def write(self, name: str, save: Callable[[Path], Any]) -> None:
        """Let `save` write a file beside its place, then move it there."""
        target = self.path / name
        with file_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as partial:
            save(partial)

    def _write_manifest(self, manifest: Mapping[str, Any]) -> None:
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        self.write(MANIFEST, lambda path: path.write_text(text, encoding="utf-8"))
