"""Execute notebooks from scratch, in place: ``python notebooks/execute.py [NOTEBOOK ...]``; all by default.

The notebooks are committed with their outputs. After a change of the code or of the embedded model, ``python -m
tools.check --make notebooks`` runs this script and records what they were made from.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


def notebooks() -> list[Path]:
    """Return every complete notebook: lessons and solutions, but not the students' versions."""
    return sorted([*FOLDER.glob("*.ipynb"), *FOLDER.glob("instructors/solutions/*.ipynb")])


def execute(path: Path) -> nbformat.NotebookNode:
    """Execute a notebook in a fresh kernel; solutions run in the folder of the assignments.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell without the tag ``raises-exception`` fails.
    """
    notebook = nbformat.read(path, as_version=4)
    folder = FOLDER / "assignments" if path.parent.name == "solutions" else path.parent
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of day differ in every run
        if "outputs" in cell:  # a bar appears where the machine was slow
            cell.outputs = [each for each in cell.outputs if not is_progress(each)]
    return notebook


def is_progress(output: nbformat.NotebookNode) -> bool:
    """Whether an output of a cell is a progress bar of this package, and nothing else."""
    text = output.get("text", "") if output.get("name") == "stderr" else ""
    return bool(re.fullmatch(r"(\w[\w ]*: [\d,]+ of [\d,]+ .* left\s*)+", text))


def main() -> None:
    """Execute the notebooks and write them back."""
    for path in [Path(name) for name in sys.argv[1:]] or notebooks():
        started = time.perf_counter()
        nbformat.write(execute(path), path)
        print(f"{path.name}: {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
