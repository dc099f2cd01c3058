"""Grade two submissions with nbgrader and with Otter-Grader, each in an environment of its own.

``python notebooks/instructors/try_graders.py FOLDER [ASSIGNMENT ...]`` makes both below FOLDER. They see the packages
of the environment that runs this script, so only the graders are installed. For each assignment it prints the points
that each grader gives to the solution, and to a submission with a wrong answer. This takes minutes and needs the
network, so it is run by hand after a change of `make`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import make
import nbformat

WRONG = {
    "1-does-the-head-dominate": ("np.mean", "np.median"),
    "2-whose-red-is-it": ("other / (own + other)", "own / (own + other)"),
    "3-reading-claims": ('["a", "b", "e"]', '["c"]'),
}
"""What the wrong submission to each assignment has, and what it replaces."""


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
    """Return a released notebook with every gap filled as the solution has it, or with one wrong answer."""
    notebook = nbformat.read(release, as_version=4)
    solution = nbformat.read(make.FOLDER / "solutions" / release.name, as_version=4)
    answers = [cell.source for cell in solution.cells if make.kind_of(cell) == "gap"]
    if wrong:
        changed = [answer.replace(*WRONG[release.stem]) for answer in answers]
        assert changed != answers, "the wrong answer replaces nothing"
        answers = changed
    left = iter(answers)
    for cell in notebook.cells:
        is_gap = cell.metadata.get("nbgrader", {}).get("grade_id", "").endswith("-gap")
        is_open = any(line.strip() == "..." for line in cell.source.splitlines())
        if cell.cell_type == "code" and (is_gap or is_open):
            cell.source = next(left)
    assert next(left, None) is None, "not every gap was found in the released notebook"
    return notebook


def try_nbgrader(scripts: Path, folder: Path, name: str) -> dict[str, float]:
    """Return the points that nbgrader gives for the checks of an assignment, by student."""
    course = folder / "course"
    make.write_nbgrader(course)
    with (course / "nbgrader_config.py").open("a", encoding="utf-8") as config:
        config.write('c.CourseDirectory.course_id = "daam"\n')
    run(scripts / "nbgrader", "generate_assignment", name, cwd=course)
    for student, wrong in (("right", False), ("wrong", True)):
        target = course / "submitted" / student / name
        target.mkdir(parents=True)
        release = course / "release" / name
        nbformat.write(fill(release / f"{name}.ipynb", wrong=wrong), target / f"{name}.ipynb")
        for helper in make.HELPERS:
            (target / helper).write_bytes((release / helper).read_bytes())
    run(scripts / "nbgrader", "autograde", name, cwd=course)
    run(scripts / "nbgrader", "export", cwd=course)
    rows = (course / "grades.csv").read_text(encoding="utf-8").splitlines()
    titles = rows[0].split(",")
    found = [dict(zip(titles, row.split(","), strict=True)) for row in rows[1:]]
    return {
        row["student_id"]: float(row["raw_score"]) for row in found if row["assignment"] == name
    }


def try_otter(scripts: Path, folder: Path, name: str) -> dict[str, float]:
    """Return the points that Otter-Grader gives for the checks of an assignment, by student."""
    masters = folder / "masters"
    make.write_otter(masters)
    run(scripts / "otter", "assign", "--no-run-tests", f"{name}.ipynb", "dist", cwd=masters / name)
    (autograder,) = (masters / name / "dist" / "autograder").glob("*.zip")
    points = {}
    for student, wrong in (("right", False), ("wrong", True)):
        place = folder / student
        place.mkdir(parents=True)
        nbformat.write(
            fill(masters / name / "dist" / "student" / f"{name}.ipynb", wrong=wrong),
            place / f"{name}.ipynb",
        )
        for helper in make.HELPERS:
            (place / helper).write_bytes((masters / name / helper).read_bytes())
        run(scripts / "otter", "run", "-a", autograder, "-o", place, f"{name}.ipynb", cwd=place)
        tests = json.loads((place / "results.json").read_text(encoding="utf-8"))["tests"]
        points[student] = sum(float(test.get("score", 0)) for test in tests)
    with ZipFile(autograder) as archive:
        assert any(name.endswith("checks.py") for name in archive.namelist())
    return points


def main() -> None:
    """Try both graders, and print their points."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("assignments", nargs="*", metavar="ASSIGNMENT", default=list(WRONG))
    given = parser.parse_args()
    folder = given.folder.resolve()
    graders = {
        "nbgrader": (environment(folder / "nbgrader-env", "nbgrader"), try_nbgrader),
        "Otter-Grader": (environment(folder / "otter-env", "otter-grader"), try_otter),
    }
    for name in given.assignments:
        for grader, (scripts, try_it) in graders.items():
            print(f"{name}, {grader}:", try_it(scripts, folder / name / grader, name), flush=True)


if __name__ == "__main__":
    main()
