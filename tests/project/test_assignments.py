"""Assignments: both versions agree, and a class of twenty is graded; the checks are in test_assignment_checks.py."""

import itertools
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

import daam_syntax as ds
from helpers.scripts import load_script

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
ASSIGNMENTS = NOTEBOOKS / "assignments"
DOMINATE, RED, CLAIMS = sorted(path.stem for path in ASSIGNMENTS.glob("*.ipynb"))

make = load_script(NOTEBOOKS / "instructors" / "make.py")


def read(path):
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", make.solutions(), ids=lambda path: path.stem)
def test_the_student_version_is_the_solution_with_gaps(path):
    made = make.student_version(read(path))
    assert read(ASSIGNMENTS / path.name) == made
    text = nbformat.writes(made)
    assert "SOLUTION" not in text
    kinds = [make.kind_of(cell) for cell in made.cells if make.kind_of(cell)]
    assert "answer" in kinds
    for gap, check in itertools.pairwise(kinds):
        assert gap != "gap" or check == "check"  # every gap has its check
    points = [cell.metadata.get("assignment", {}).get("points", 0) for cell in made.cells]
    assert sum(points) == 20
    for number in re.findall(r"\((\d+) points\)", text):
        assert 0 < int(number) <= 6
    assert "jupyter lab" in made.cells[0].source
    assert "%pip install daam_syntax-*.whl" in made.cells[0].source


def test_the_page_announces_the_points_and_times():
    page = (NOTEBOOKS.parent / "docs" / "assignments.md").read_text(encoding="utf-8")
    for path in make.solutions():
        minutes = re.search(r"\*20 points, about (\d+) minutes", read(path).cells[0].source).group(
            1
        )
        (row,) = [line for line in page.splitlines() if line.startswith("|") and path.name in line]
        assert f"| {minutes} min | 20 |" in row


@pytest.mark.parametrize("path", make.solutions(), ids=lambda path: path.stem)
def test_graders_get_the_same_questions(path):
    solution = read(path)
    points = {
        f"{c.metadata['assignment']['name']}-{make.kind_of(c)}": c.metadata["assignment"]["points"]
        for c in solution.cells
        if make.kind_of(c) in ("check", "answer")
    }
    graded = [
        c.metadata["nbgrader"]
        for c in make.nbgrader_version(solution).cells
        if "nbgrader" in c.metadata
    ]
    assert {m["grade_id"]: m["points"] for m in graded if m["grade"]} == points
    assert len({m["grade_id"] for m in graded}) == len(graded)
    raw = [c.source for c in make.otter_version(solution, path.stem).cells if c.cell_type == "raw"]
    questions = [text for text in raw if text.startswith("# BEGIN QUESTION")]
    assert len(questions) == len(points) == raw.count("# END QUESTION")
    assert sum(int(re.search(r"points: (\d+)", text).group(1)) for text in questions) == 20


GOOD = {
    DOMINATE: {"dominance": 5, "rules": 3, "area": 3, "per_prompt": 2, "interval": 3},
    RED: {"mass_on": 3, "leakage": 2, "color_words": 5, "per_prompt": 4},
    CLAIMS: {"reading": 4, "flaws": 4},
}
MEDIAN = """x = pairs[(pairs["kind"] == "dependency") & (pairs["relation"] != "punct")]
x = (x["iod"] - x["ioh"]).groupby([x["prompt_id"], x["image"]]).median()
return x.groupby("prompt_id").mean().mean()"""
MEDIAN_INTERVAL = 'return bootstrap((values,), np.median, method="percentile").confidence_interval'
EXCHANGED = """own, other = annotation.mask(other), annotation.mask(own)
row["leakage"] = leakage(mass_on(heat, own), mass_on(heat, other))
row["control"] = leakage(mass_on(np.ones(maps.image_size), own), mass_on(np.ones(maps.image_size), other))"""
NO_CONTROL = """row["leakage"] = leakage(mass_on(heat, annotation.mask(own)), mass_on(heat, annotation.mask(other)))
row["control"] = 0.5"""

# What each of twenty students changes in the solution, and the questions that they lose.
CLASS = [
    (DOMINATE, {}, ()),
    (DOMINATE, {"dominance": MEDIAN}, ("dominance",)),
    (DOMINATE, {"dominance": 'return float((pairs["iod"] - pairs["ioh"]).mean())'}, ("dominance",)),
    (DOMINATE, {"rules": 'pairs = run.pairs\nby_rule = pd.Series({"relative:0.4": 0.0})'}, ("rules",)),
    (DOMINATE, {"area": 'return float((pairs["iod"] - pairs["ioh"]).abs().max())'}, ("area",)),
    (DOMINATE, {"interval": "return np.quantile(values, [0.025, 0.975])"}, ("interval",)),
    (DOMINATE, {"interval": MEDIAN_INTERVAL}, ("interval",)),
    (DOMINATE, {"dominance": None}, ("dominance", "rules", "per_prompt")),
    (RED, {}, ()),
    (RED, {"mass_on": "return float(heat[mask].mean())"}, ("mass_on", "color_words")),
    (RED, {"mass_on": "return float(heat[mask].sum() / max(heat.sum(), 1e-9))"}, ("mass_on",)),
    (RED, {"leakage": "return own / (own + other) if own + other > 0 else math.nan"}, ("leakage", "color_words")),
    (RED, {"leakage": "return other / (own + other)"}, ("leakage",)),
    (RED, {"color_words": EXCHANGED}, ("color_words",)),
    (RED, {"color_words": NO_CONTROL}, ("color_words",)),
    (RED, {"per_prompt": 'return table.groupby("prompt")["leakage"].median()'}, ("per_prompt",)),
    (CLAIMS, {}, ()),
    (CLAIMS, {"reading": 'reading = dict.fromkeys(["amod", "det", "case", "cc", "fixed"], "supported")'}, ("reading",)),
    (CLAIMS, {"flaws": 'flaws = ["a", "e"]'}, ("flaws",)),
    (CLAIMS, {"reading": "reading = {}", "flaws": None}, ("reading", "flaws")),
]  # fmt: skip


def submission(name, changes):
    """The students' notebook of an assignment, with every gap filled as `changes` or the solution has it."""
    solution = read(NOTEBOOKS / "instructors" / "solutions" / f"{name}.ipynb")
    filled = make.student_version(solution)
    for cell, right in zip(filled.cells, solution.cells, strict=True):
        if make.kind_of(cell) != "gap":
            continue
        question = cell.metadata["assignment"]["name"]
        if question not in changes:
            cell.source = right.source
        elif changes[question] is not None:  # None: the gap is left as it is
            (indent,) = re.findall(rf"^( *){re.escape(make.GAP)}", cell.source, re.MULTILINE)
            lines = "\n".join(indent + line for line in changes[question].splitlines())
            cell.source = cell.source.replace(indent + make.GAP, lines)
    return filled


@pytest.fixture(scope="module")
def grades(tmp_path_factory, emoji_pipe):
    """The points of the class, from images of one step."""
    folder = tmp_path_factory.mktemp("class")
    paths = []
    for number, (name, changes, _) in enumerate(CLASS):
        paths.append(folder / f"student-{number:02d}.ipynb")
        nbformat.write(submission(name, changes), paths[-1])
    grader = load_script(NOTEBOOKS / "instructors" / "grade.py")
    analyze = ds.analyze
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ds,
            "analyze",
            lambda prompts, *, seeds, steps: analyze(prompts[:3], emoji_pipe, seeds=1, steps=1),
        )
        table = grader.grade_class(paths)
    sys.modules.pop("checks", None)
    sys.modules.pop("worlds", None)
    return table


@pytest.mark.slow
def test_a_class_of_twenty_gets_its_points(grades):
    assert grades["submission"].nunique() == len(CLASS) == 20
    for number, (name, _, lost) in enumerate(CLASS):
        rows = grades[(grades["submission"] == f"student-{number:02d}") & grades["points"].notna()]
        expected = {q: 0 if q in lost else points for q, points in GOOD[name].items()}
        got = dict(zip(rows["question"], rows["points"], strict=True))
        assert got == expected, (number, rows[["question", "message"]].to_dict("records"))
    failed = grades[grades["points"] == 0]
    assert failed["message"].str.len().min() > 30  # every lost point is explained
    assert grades["points"].isna().sum() == 8 + 8 + 2 * 4  # written answers


@pytest.mark.slow
def test_an_open_gap_says_what_to_do(grades):
    (message,) = grades.loc[
        (grades["submission"] == "student-07") & (grades["question"] == "dominance"), "message"
    ]
    assert "replace this line with your code" in message


def test_what_students_get_is_complete_without_solutions(tmp_path):
    handed_out = shutil.copytree(
        ASSIGNMENTS, tmp_path / "assignments", ignore=shutil.ignore_patterns("__pycache__")
    )
    assert {path.name for path in handed_out.iterdir()} == {
        *make.HELPERS,
        *(path.name for path in make.solutions()),
    }
    table = pd.DataFrame(
        [cell.source for p in handed_out.glob("*.ipynb") for cell in read(p).cells]
    )
    assert not table[0].str.contains("SOLUTION").any()
