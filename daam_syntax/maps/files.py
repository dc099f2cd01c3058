"""Heat maps on disk: one ``.npz`` (a zip, so that damage is noticed) of an array and a JSON header."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from daam_syntax.errors import FileError
from daam_syntax.whole_files import whole_file

_FORMAT: Final = "daam-syntax heat maps 1"


def write(path: Path, values: np.ndarray, header: Mapping[str, Any]) -> None:
    """Write maps, shape (token, y, x), and their header; an error leaves no half-written file."""
    text = json.dumps({"format": _FORMAT, **header}, ensure_ascii=False)
    with whole_file(path) as partial, partial.open("xb") as file:
        np.savez_compressed(file, maps=values, header=np.array(text))


@contextmanager
def reading(path: Path) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """Give maps and header; whatever is wrong with them inside the block becomes a `FileError`."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if archive.zip.testzip() is not None:
                raise ValueError("a checksum differs")
            header = json.loads(str(archive["header"]))
            if header.get("format") != _FORMAT:
                raise ValueError(f"its format is {header.get('format')!r}, not {_FORMAT!r}")
            values = archive["maps"]
        yield values, header
    except FileNotFoundError:
        raise FileError(f"Expected saved heat maps at {path}, but there is no such file.") from None
    except OSError as error:
        raise FileError(
            f"Expected saved heat maps at {path}, but it cannot be read: {error.strerror or error}."
        ) from error
    except Exception as error:
        # A damaged zip raises errors of many kinds, with no common base but Exception.
        reason = str(error) or type(error).__name__
        raise FileError(
            f"Expected saved heat maps in {path}, but it is damaged or something else: {reason}. "
            "Draw it again."
        ) from error
