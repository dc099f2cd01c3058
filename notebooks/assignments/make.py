"""Make the students' notebooks from the solutions: ``python notebooks/assignments/make.py``.

In code cells, the lines between ``### BEGIN SOLUTION`` and ``### END SOLUTION`` become a gap; Markdown cells tagged
"answer" become empty answers; outputs are removed. The two versions cannot diverge, because a test compares them.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

FOLDER = Path(__file__).parent
_SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?### END SOLUTION", re.DOTALL | re.MULTILINE)
_GAP = r'\1# Your code here.\n\1raise NotImplementedError("fill the gap above this line")'


def student_version(solution: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a solution without its answers."""
    notebook = nbformat.from_dict(solution)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = _SOLUTION.sub(_GAP, cell.source)
            cell.outputs, cell.execution_count = [], None
        elif "answer" in cell.metadata.get("tags", []):
            cell.source = "*Your answer (two to five sentences):*"
    return notebook


def main() -> None:
    """Write the student version of every solution."""
    for path in sorted(FOLDER.glob("solutions/*.ipynb")):
        solution = nbformat.read(path, as_version=4)
        nbformat.write(student_version(solution), FOLDER / path.name)


if __name__ == "__main__":
    main()
