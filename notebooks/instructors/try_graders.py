"""Grade two submissions with nbgrader and with Otter-Grader, each in an environment of its own.

``python notebooks/instructors/try_graders.py FOLDER`` makes both below FOLDER. They see the packages of the
environment that runs this script, so only the graders are installed. It prints the points that each grader gives to the
solution of assignment 3, and to a submission with a wrong answer. This takes minutes and needs the network, so it is
run by hand after a change of `make`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import make
import nbformat

NAME = "3-reading-claims"
WRONG = 'flaws = ["c"]'


def environment(folder: Path, *packages: str) -> Path:
    """Make an environment that sees the packages of this one, install others into it, and return its scripts."""
    venv.create(folder, with_pip=True, clear=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # After the environment's own packages, so that the grader's versions come first.
    (site / "_shared.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n", encoding="utf-8")
    run(folder / "bin" / "python", "-m", "pip", "install", "-q", *packages)
    return folder / "bin"


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command, and return its output."""
    path = os.pathsep.join(
        [str(Path(command[0]).parent), os.environ["PATH"]]
    )  # graders run other scripts
    environ = os.environ | {"PATH": path}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environ, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{command} failed:\\n{done.stdout[-2000:]}\\n{done.stderr[-4000:]}")
    return done.stdout


def fill(release: Path, *, wrong: bool) -> nbformat.NotebookNode:
    """Return a released notebook with every gap filled as the solution has it, or with a wrong last answer."""
    notebook = nbformat.read(release, as_version=4)
    solution = nbformat.read(make.FOLDER / "solutions" / f"{NAME}.ipynb", as_version=4)
    answers = [cell.source for cell in solution.cells if make.kind_of(cell) == "gap"]
    if wrong:
        answers[-1] = WRONG
    left = iter(answers)
    for cell in notebook.cells:
        is_gap = cell.metadata.get("nbgrader", {}).get("grade_id", "").endswith("-gap")
        if cell.cell_type == "code" and (is_gap or cell.source.strip() == "..."):
            cell.source = next(left)
    assert next(left, None) is None, "not every gap was found in the released notebook"
    return notebook


def try_nbgrader(folder: Path) -> dict[str, float]:
    """Return the points that nbgrader gives for checks, by student."""
    scripts = environment(folder / "env", "nbgrader")
    course = folder / "course"
    make.write_nbgrader(course)
    (course / "nbgrader_config.py").write_text(
        'c = get_config()\nc.CourseDirectory.course_id = "daam"\n'
    )
    run(scripts / "nbgrader", "generate_assignment", NAME, cwd=course)
    for student, wrong in (("right", False), ("wrong", True)):
        target = course / "submitted" / student / NAME
        target.mkdir(parents=True)
        release = course / "release" / NAME
        nbformat.write(fill(release / f"{NAME}.ipynb", wrong=wrong), target / f"{NAME}.ipynb")
        for helper in make.HELPERS:
            (target / helper).write_bytes((release / helper).read_bytes())
    run(scripts / "nbgrader", "autograde", NAME, cwd=course)
    run(scripts / "nbgrader", "export", cwd=course)
    rows = (course / "grades.csv").read_text(encoding="utf-8").splitlines()
    titles = rows[0].split(",")
    found = [dict(zip(titles, row.split(","), strict=True)) for row in rows[1:]]
    return {
        row["student_id"]: float(row["raw_score"]) for row in found if row["assignment"] == NAME
    }


def try_otter(folder: Path) -> dict[str, float]:
    """Return the points that Otter-Grader gives for checks, by student."""
    scripts = environment(folder / "env", "otter-grader")
    masters = folder / "masters"
    make.write_otter(masters)
    run(scripts / "otter", "assign", "--no-run-tests", f"{NAME}.ipynb", "dist", cwd=masters / NAME)
    (autograder,) = (masters / NAME / "dist" / "autograder").glob("*.zip")
    points = {}
    for student, wrong in (("right", False), ("wrong", True)):
        place = folder / student
        place.mkdir()
        nbformat.write(
            fill(masters / NAME / "dist" / "student" / f"{NAME}.ipynb", wrong=wrong),
            place / f"{NAME}.ipynb",
        )
        for helper in make.HELPERS:
            (place / helper).write_bytes((masters / NAME / helper).read_bytes())
        run(scripts / "otter", "run", "-a", autograder, "-o", place, f"{NAME}.ipynb", cwd=place)
        tests = json.loads((place / "results.json").read_text(encoding="utf-8"))["tests"]
        points[student] = sum(float(test.get("score", 0)) for test in tests)
    with ZipFile(autograder) as archive:
        assert any(name.endswith("checks.py") for name in archive.namelist())
    return points


def main() -> None:
    """Try both graders, and print their points; 8 are possible without the written answers."""
    folder = Path(sys.argv[1]).resolve()
    print("nbgrader:", try_nbgrader(folder / "nbgrader"))
    print("Otter-Grader:", try_otter(folder / "otter"))


if __name__ == "__main__":
    main()
