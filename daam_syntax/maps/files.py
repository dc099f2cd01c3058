"""Heat maps on disk: one ``.npz`` (a zip, so that damage is noticed) of an array and a JSON header."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from daam_syntax.errors import FileError

_FORMAT: Final = "daam-syntax heat maps 1"


def write(path: Path, values: np.ndarray, header: Mapping[str, Any]) -> None:
    """Write maps, shape (token, y, x), and their header; an error leaves no half-written file."""
    text = json.dumps({"format": _FORMAT, **header}, ensure_ascii=False)
    # Not a file of `tempfile`, which nobody but its owner could read.
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("xb") as file:
            np.savez_compressed(file, maps=values, header=np.array(text))
        os.replace(partial, path)
    except OSError as error:
        raise FileError(
            f"Could not write heat maps to {path}: {error.strerror or error}. "
            "Choose a folder that exists and can be written, with room on its disk."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


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
