"""Make what students get from the solutions: ``python notebooks/instructors/make.py``.

Without options it writes the notebooks of `notebooks/assignments/`. With ``--nbgrader FOLDER`` it writes the source of
a course for nbgrader, with ``--otter FOLDER`` master notebooks for Otter-Grader. A test compares the notebooks of
students with the solutions.

A solution has cells with the tags "gap" (code; the lines between ``### BEGIN SOLUTION`` and ``### END SOLUTION`` are
left out), "check" (code that grades the gap above it), and "answer" (Markdown that is graded by hand). Their metadata
``assignment`` holds a name and the points.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_notebook, new_raw_cell

FOLDER = Path(__file__).parent
ASSIGNMENTS = FOLDER.parent / "assignments"
HELPERS = ("checks.py", "worlds.py")

_SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?### END SOLUTION", re.DOTALL | re.MULTILINE)
GAP = 'raise NotImplementedError("Fill this gap: replace this line with your code.")'
ANSWER = "*Your answer (three to eight sentences):*"


def solutions() -> list[Path]:
    """Return the paths of all solutions."""
    return sorted(FOLDER.glob("solutions/*.ipynb"))


def kind_of(cell: Any) -> str:
    """Return "gap", "check" or "answer", or "" for any other cell."""
    tags = set(cell.metadata.get("tags", [])) & {"gap", "check", "answer"}
    return tags.pop() if tags else ""


def student_version(solution: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a solution without its answers and outputs."""
    notebook = _without_outputs(solution)
    for cell in notebook.cells:
        if kind_of(cell) == "gap":
            cell.source = _SOLUTION.sub(rf"\1{GAP}", cell.source)
        elif kind_of(cell) == "answer":
            cell.source = ANSWER
    return notebook


def nbgrader_version(solution: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return the source notebook of nbgrader, which makes the students' version from it by itself."""
    notebook = _without_outputs(solution)
    for cell in notebook.cells:
        kind = kind_of(cell)
        if not kind:
            continue
        about = cell.metadata["assignment"]
        cell.metadata["nbgrader"] = {
            "schema_version": 3,
            "grade_id": f"{about['name']}-{kind}",
            "grade": kind != "gap",
            "solution": kind != "check",
            "locked": kind == "check",
            "task": False,
        } | ({"points": about["points"]} if kind != "gap" else {})
    return notebook


def otter_version(solution: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    """Return the master notebook of Otter-Grader."""
    made = new_notebook(metadata=nbformat.from_dict(solution).metadata)
    files = "".join(f"\n- {helper}" for helper in HELPERS)
    config = f"# ASSIGNMENT CONFIG\nname: {name}\nfiles:{files}\ngenerate: true\nexport_cell: false"
    made.cells = [new_raw_cell(config), *_otter_cells(solution)]
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number:03d}"
    return made


def _otter_cells(solution: nbformat.NotebookNode) -> Iterator[Any]:
    """Yield the cells with raw cells around every question."""
    points = {
        cell.metadata["assignment"]["name"]: cell.metadata["assignment"]["points"]
        for cell in solution.cells
        if kind_of(cell) == "check"
    }
    for cell in nbformat.from_dict(solution).cells:
        kind = kind_of(cell)
        about = cell.metadata.get("assignment", {})
        cell.metadata = {}
        if cell.cell_type == "code" and kind != "check":
            cell.outputs, cell.execution_count = [], None
        if kind == "gap":
            cell.source = re.sub(r"^( *)###", r"\1#", cell.source, flags=re.MULTILINE)
            yield _question(about["name"], points[about["name"]])
            yield from (new_raw_cell("# BEGIN SOLUTION"), cell, new_raw_cell("# END SOLUTION"))
        elif kind == "check":
            yield from (new_raw_cell("# BEGIN TESTS"), cell, new_raw_cell("# END TESTS"))
            yield new_raw_cell("# END QUESTION")
        elif kind == "answer":
            yield _question(about["name"], about["points"], manual=True)
            yield from (new_raw_cell("# BEGIN SOLUTION"), cell, new_raw_cell("# END SOLUTION"))
            yield new_raw_cell("# END QUESTION")
        else:
            yield cell


def _question(name: str, points: float, *, manual: bool = False) -> Any:
    by_hand = "\nmanual: true" if manual else ""
    return new_raw_cell(f"# BEGIN QUESTION\nname: {name}\npoints: {points}{by_hand}")


def _without_outputs(solution: nbformat.NotebookNode) -> nbformat.NotebookNode:
    notebook = nbformat.from_dict(solution)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def write_students(folder: Path = ASSIGNMENTS) -> None:
    """Write the students' notebooks."""
    for path in solutions():
        nbformat.write(student_version(nbformat.read(path, as_version=4)), folder / path.name)


NBGRADER_CONFIG = """c = get_config()
# Seconds for a cell. The default, 30, is too short: the first cell of an assignment generates images.
c.Execute.timeout = 900
c.Execute.iopub_timeout = 60
"""


def write_nbgrader(course: Path) -> None:
    """Write ``source/ASSIGNMENT/`` of a course, with the helpers that the notebooks import.

    A course without a configuration gets one with more time for a cell.
    """
    course.mkdir(parents=True, exist_ok=True)
    if not (course / "nbgrader_config.py").exists():
        (course / "nbgrader_config.py").write_text(NBGRADER_CONFIG, encoding="utf-8")
    for path in solutions():
        _write(
            nbgrader_version(nbformat.read(path, as_version=4)),
            course / "source" / path.stem,
            path.name,
        )


def write_otter(folder: Path) -> None:
    """Write a folder with a master notebook for each assignment."""
    for path in solutions():
        made = otter_version(nbformat.read(path, as_version=4), path.stem)
        _write(made, folder / path.stem, path.name)


def _write(notebook: nbformat.NotebookNode, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / name)
    for helper in HELPERS:
        shutil.copy(ASSIGNMENTS / helper, folder)


def main() -> None:
    """Write the versions that the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nbgrader", type=Path, metavar="FOLDER", help="folder of the course")
    parser.add_argument("--otter", type=Path, metavar="FOLDER", help="folder of master notebooks")
    given = parser.parse_args()
    if given.nbgrader:
        write_nbgrader(given.nbgrader)
    if given.otter:
        write_otter(given.otter)
    if not (given.nbgrader or given.otter):
        write_students()


if __name__ == "__main__":
    main()
