"""Execute notebooks from scratch, in place: ``python notebooks/execute.py [NOTEBOOK ...]``, all if none is named.

What is kept in the repository are executed documents; this makes them anew after a change of the code or of the
embedded model.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


def notebooks() -> list[Path]:
    """Return every notebook that runs as it stands: lessons and solutions, not the students' versions."""
    return sorted([*FOLDER.glob("*.ipynb"), *FOLDER.glob("assignments/solutions/*.ipynb")])


def execute(path: Path) -> nbformat.NotebookNode:
    """Return a notebook executed in a fresh kernel, in its own folder, a solution in that of its assignment.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails that is not marked ``raises-exception``.
    """
    notebook = nbformat.read(path, as_version=4)
    folder = path.parent.parent if path.parent.name == "solutions" else path.parent
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of day, different in every run
    return notebook


def main() -> None:
    """Execute and write back."""
    for path in [Path(name) for name in sys.argv[1:]] or notebooks():
        started = time.perf_counter()
        nbformat.write(execute(path), path)
        print(f"{path.name}: {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
