"""Studies of a stored run give the same numbers as drawing, without a model."""

import json

import pandas as pd
import pytest

from daam_syntax import runs
from daam_syntax.errors import StudyError
from daam_syntax.studies import run_study
from daam_syntax.workflow import analyze
from helpers.commands import run_here
from helpers.imports import MODEL_LIBRARIES, loaded_by

PROMPTS = ["a red cat and a blue car", "a small owl and a green bed"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory, emoji_pipe):
    return runs.run(
        PROMPTS, tmp_path_factory.mktemp("stored") / "run", emoji_pipe, seeds=2, steps=2
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("syntax", {"pairs": "iou"}),
        ("cohyponyms", {"images": "iou"}),
        ("adjectives", {"words": "effective_area", "maps": "adjective_outside_other"}),
    ],
)
def test_a_stored_run_gives_the_numbers_of_drawing(stored, emoji_pipe, name, columns):
    again = run_study(name, stored).tables
    drawn = run_study(name, emoji_pipe, prompts=PROMPTS, seeds=2, steps=2).tables
    same = ["prompt", "seed"]
    for table, column in columns.items():
        assert again[table][same].values.tolist() == drawn[table][same].values.tolist()
        # Stored maps have 16 bits, and batches may change the last bits, which may move a pixel across the threshold.
        pd.testing.assert_series_equal(again[table][column], drawn[table][column], atol=0.02)


def test_a_report_of_a_stored_run_names_its_source(stored, tmp_path):
    result = run_study("adjectives", stored)
    assert list(result.findings) == [
        "Breadth of the maps",
        "Attention outside the other word's mask",
        "Place of an adjective's attention",
    ]
    page = result.write(tmp_path).read_text(encoding="utf-8")
    assert "2 prompts, 2 seeds each, drawn by the embedded model" in page
    header = json.loads((tmp_path / "study.json").read_text(encoding="utf-8"))
    assert header["provenance"]["run"] == str(stored.path)
    assert header["provenance"]["steps"] == 2
    overlap = run_study("cohyponyms", stored)
    assert "correct" not in overlap.tables["images"].columns
    assert overlap.findings["Images that show both nouns"][0].startswith("Not judged")


@pytest.mark.slow
def test_no_model_library_is_loaded(stored):
    code = (
        "from daam_syntax import runs; from daam_syntax.studies import run_study; "
        f"run = runs.open_run({str(stored.path)!r}); "
        "[run_study(name, run) for name in ('syntax', 'cohyponyms', 'adjectives')]"
    )
    assert loaded_by(code, MODEL_LIBRARIES) == "[]"


@pytest.mark.slow
def test_the_command_line_with_the_folder_of_an_analysis(emoji_pipe, tmp_path):
    analyze(PROMPTS, emoji_pipe, seeds=2, steps=2, out=tmp_path / "run", overviews=False)
    done = run_here("study", "syntax", "--run", "run", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "compared with exchanged partners" in done.stdout
    assert "all head-dependent pairs" in done.stdout  # the table of the paper
    assert (tmp_path / "out" / "report.html").stat().st_size > 0


def test_studies_and_options_that_need_drawing_are_refused(stored, tmp_path):
    with pytest.raises(
        StudyError, match=r"\(adjectives, cohyponyms, syntax, verdicts\), but sanity must generate"
    ):
        run_study("sanity", stored)
    with pytest.raises(StudyError, match="but also got seeds, steps"):
        run_study("syntax", stored, seeds=3, steps=2)
    with pytest.raises(StudyError, match="draws the images of the sheet"):
        run_study("cohyponyms", stored, sheet=tmp_path)
    with pytest.raises(StudyError, match="draws the word pairs"):
        run_study("cohyponyms", stored, pairs=tmp_path / "pairs.csv")


def test_a_stored_run_takes_no_arguments_of_loading(tmp_path):
    options = ("--device", "cpu", "--dtype", "nope")
    done = run_here("study", "syntax", "--run", "run", "--out", "out", *options, cwd=tmp_path)
    assert done.returncode == 1
    assert "--run without --device cpu and --dtype nope, because a stored run" in done.stderr
    assert done.stderr.count("\n") == 1
