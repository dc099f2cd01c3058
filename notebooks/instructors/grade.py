"""Grade a class with the checks alone: ``python notebooks/instructors/grade.py SUBMISSION.ipynb ... --out grades.csv``.

All submissions of an assignment start from the same images, which are generated once. Every code cell runs in the
submission's own namespace; a check that passes earns its points. Written answers are left for a person.

Submissions are other people's code and run with your rights. Grade them in a container, or use nbgrader or
Otter-Grader with one (see `make`).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import nbformat
import pandas as pd
from matplotlib import pyplot as plt

import daam_syntax as ds

ASSIGNMENTS = Path(__file__).parents[1] / "assignments"


def once(analyze: Callable[..., ds.workflow.Analysis]) -> Callable[..., ds.workflow.Analysis]:
    """Return a version of `analyze` that keeps its results, so that equal calls generate images once."""

    @cache
    def kept(
        prompts: tuple[str, ...], options: tuple[tuple[str, Any], ...]
    ) -> ds.workflow.Analysis:
        return analyze(list(prompts), **dict(options))

    def call(prompts: Iterable[str], **options: Any) -> ds.workflow.Analysis:
        return kept(tuple(prompts), tuple(sorted(options.items())))

    return call


def grade(notebook: nbformat.NotebookNode) -> pd.DataFrame:
    """Run a submission and return its points.

    Parameters
    ----------
    notebook
        A filled notebook; its check cells have the tag "check", and a name and points in their metadata.

    Returns
    -------
    pandas.DataFrame
        One row per question: ``question``, ``points`` (NaN for a written answer), ``possible``, and ``message`` (the
        error of the check, if it did not pass).
    """
    rows = []
    scope: dict[str, Any] = {"__name__": "__main__"}
    for cell in notebook.cells:
        about = cell.metadata.get("assignment", {})
        tags = cell.metadata.get("tags", [])
        if "answer" in tags:
            rows.append((about["name"], float("nan"), about["points"], "read it"))
        if cell.cell_type != "code":
            continue
        message = _run(cell.source, scope)
        if "check" in tags:
            points = 0 if message else about["points"]
            rows.append((about["name"], points, about["points"], message))
    return pd.DataFrame(rows, columns=["question", "points", "possible", "message"])


def _run(source: str, scope: dict[str, Any]) -> str:
    """Run a cell, and return its error, or "" for none."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(source, "cell", "exec"), scope)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        plt.close("all")
    return ""


def grade_class(paths: Iterable[Path]) -> pd.DataFrame:
    """Grade notebooks, and return their rows with a column ``submission``."""
    sys.path.insert(0, str(ASSIGNMENTS))
    analyze, ds.analyze = ds.analyze, once(ds.analyze)
    try:
        parts = [
            grade(nbformat.read(path, as_version=4)).assign(submission=path.stem) for path in paths
        ]
    finally:
        ds.analyze = analyze
        sys.path.remove(str(ASSIGNMENTS))
    return pd.concat(parts, ignore_index=True)


def main() -> None:
    """Grade the notebooks of the command line, print the totals, and write every row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("submissions", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("grades.csv"))
    given = parser.parse_args()
    matplotlib.use("Agg")
    table = grade_class(given.submissions)
    table.to_csv(given.out, index=False)
    by_hand = table["points"].isna()
    totals = table[~by_hand].groupby("submission")[["points", "possible"]].sum()
    print(totals.to_string())
    print(f"{by_hand.sum()} written answers are left to grade; every row is in {given.out}.")


if __name__ == "__main__":
    main()
