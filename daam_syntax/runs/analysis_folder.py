"""The folder of `analyze`: images, maps, tables and a manifest, all in open formats.

::

    out/
      manifest.json             settings, versions, status ("running", then "complete")
      images/<prompt_id>-<seed>.png
      maps/<prompt_id>-<seed>.npz
      overview-<prompt_id>-<seed>.png
      explore-<prompt_id>.html  an interactive page with all seeds of a prompt
      pairs.csv  words.csv  summary.csv
"""

from __future__ import annotations

import json
import re
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
_NAME: Final = re.compile(r"[0-9a-f]{10}-[0-9]{1,9}", re.ASCII)  # names never leave the folder


class AnalysisFolder:
    """The folder of an analysis, for reading and writing.

    Every file is written completely or not at all. An interruption or a full disk therefore leaves no partial files,
    and the analysis can be resumed.

    Parameters
    ----------
    path
        The folder; it is created when something is written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def check_writable(self) -> None:
        """Create the folder if it is missing, and check that files can be written in it.

        Raises
        ------
        FileError
            If the folder cannot be created or written.
        """
        with file_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        self.write(".writable", lambda path: path.write_bytes(b""))
        (self.path / ".writable").unlink()

    def start(self, settings: Mapping[str, Any], *, overwrite: bool = False) -> None:
        """Start an analysis with these settings, or resume one with the same settings.

        Parameters
        ----------
        settings
            Everything that determines the images, and ``names``: the names of all images, in order.
        overwrite
            Whether to replace an analysis with other settings. Only files named in its manifest are deleted.

        Raises
        ------
        FileError
            If the folder cannot be written, or holds an analysis with other settings, or files that daam-syntax did not
            write.
        """
        with file_errors(self.path):
            is_analysis = (self.path / MANIFEST).exists()
            other_files = not is_analysis and [
                str(file) for name in ("images", "maps") for file in (self.path / name).glob("*")
            ]
        if other_files:
            raise FileError(
                f"Expected a new folder or that of an analysis, but {self.path} has files that daam-syntax did not "
                f"write, for instance {other_files[0]}; choose another folder."
            )
        if is_analysis:
            before = self.manifest()["settings"]
            now = json.loads(json.dumps(dict(settings)))
            if before == now:
                return
            if self.names() and not overwrite:  # an analysis without images is replaced
                changed = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
                raise FileError(
                    f"Expected a new folder or the same analysis in {self.path}, but it holds one with "
                    f"other settings ({', '.join(changed)}); choose another folder, or overwrite it "
                    "(overwrite=True, --overwrite)."
                )
            self._delete(before.get("names", []))
        self._write_manifest({"format": _FORMAT, "status": "running", "settings": dict(settings)})

    def _delete(self, names: Iterable[str]) -> None:
        """Delete the files of an analysis, and no others."""
        files = [f"{table}.csv" for table in TABLES]
        for name in names:
            files += [f"images/{name}.png", f"maps/{name}.npz", f"overview-{name}.png"]
            files.append(f"explore-{name.rpartition('-')[0]}.html")
        with file_errors(self.path):
            for file in files:
                (self.path / file).unlink(missing_ok=True)

    def finish(self, **more: Any) -> None:
        """Mark the analysis as complete, and add entries to its manifest."""
        self.note(status="complete", **more)

    def note(self, **more: Any) -> None:
        """Add entries to the manifest."""
        self._write_manifest({**self.manifest(), **more})

    def manifest(self) -> dict[str, Any]:
        """Return the manifest.

        Raises
        ------
        FileError
            If it is missing, or cannot be read.
        """
        path = self.path / MANIFEST
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            if "kind" in manifest:  # a run, whose formats are numbered separately
                raise ValueError("it is that of a run, which `daam-syntax report` reads")
            if manifest["format"] != _FORMAT or "settings" not in manifest:
                raise ValueError(f"it has format {manifest['format']!r}, not {_FORMAT}")
            for name in manifest["settings"].get("names", []):
                if not isinstance(name, str) or _NAME.fullmatch(name) is None:
                    raise ValueError(f"it has an image named {str(name)[:80]!r}")
        except FileNotFoundError:
            raise FileError(
                f"Expected the folder of an analysis, but there is no {path}; make one with `daam-syntax analyze`."
            ) from None
        except (OSError, ValueError) as error:
            raise FileError(
                f"Expected the manifest of an analysis in {path}, but {error}."
            ) from error
        except (KeyError, TypeError, AttributeError) as error:
            raise FileError(
                f"Expected the manifest of an analysis in {path}, but {error!r}."
            ) from error
        return dict(manifest)

    def add(self, name: str, image: Image, maps: HeatMaps) -> None:
        """Write one image and its maps. The maps come last, so that their presence implies that of the image."""
        self.write(f"images/{name}.png", lambda path: image.save(path, format="PNG"))
        with file_errors(self.path):
            (self.path / "maps").mkdir(exist_ok=True)
        maps.save(self.path / "maps" / f"{name}.npz")

    def get(self, name: str) -> tuple[Image, HeatMaps] | None:
        """Return an image and its maps, or None if they are not stored yet."""
        from PIL import Image as PillowImage

        from daam_syntax.maps import HeatMaps

        image_path = self.path / "images" / f"{name}.png"
        maps_path = self.path / "maps" / f"{name}.npz"
        with file_errors(image_path):
            if not (image_path.exists() and maps_path.exists()):
                return None
            image = PillowImage.open(image_path).convert("RGB")
        return image, HeatMaps.load(maps_path)

    def names(self) -> list[str]:
        """Return the names of the stored images, in the order of the analysis."""
        names = self.manifest()["settings"].get("names", [])
        return [name for name in names if (self.path / "maps" / f"{name}.npz").exists()]

    def maps(self) -> list[HeatMaps]:
        """Return all stored maps.

        Raises
        ------
        FileError
            If there are none, or a file is damaged.
        """
        from daam_syntax.maps import HeatMaps

        names = self.names()
        if not names:
            raise FileError(
                f"Expected saved maps in {self.path / 'maps'}, but there are none: run `daam-syntax analyze` again."
            )
        return [HeatMaps.load(self.path / "maps" / f"{name}.npz") for name in names]

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table as ``<name>.csv``, whose cells no spreadsheet executes as formulas; see `write_table`."""
        from daam_syntax.analysis import write_table

        with file_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        write_table(table, self.path / f"{name}.csv")

    def write(self, name: str, save: Callable[[Path], Any]) -> None:
        """Let `save` write a temporary file, then move it to its final path."""
        target = self.path / name
        with file_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as partial:
            save(partial)

    def _write_manifest(self, manifest: Mapping[str, Any]) -> None:
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        self.write(MANIFEST, lambda path: path.write_text(text, encoding="utf-8"))
