"""Finding a study by its name, and running it in Python and on the command line."""

import pytest

from daam_syntax.errors import StudyError
from daam_syntax.language import prompts
from daam_syntax.studies import STUDIES, load_study, run_study
from helpers.commands import run, run_here

OWLS = "a small owl on a green bed"


def test_every_design_is_complete():
    for name in STUDIES:
        design = load_study(name).DESIGN
        assert design.name == name
        assert design.question.endswith("?")
        for prose in (
            design.method,
            design.limits,
            *design.figures.values(),
            *design.tables.values(),
        ):
            assert prose[0].isupper(), prose
            assert prose.endswith("."), prose
        assert len(prompts(design.prompts)) >= 12


def test_an_unknown_study_lists_the_known_studies():
    with pytest.raises(StudyError, match=r"intervention.*'nothing'"):
        load_study("nothing")


@pytest.mark.parametrize("options", [{"pairs": "x.csv"}, {"threshold": "relative:0.4"}])
def test_an_option_that_a_study_lacks_is_refused(options):
    with pytest.raises(
        StudyError, match=f"retrieval \\(it has none\\), but got {next(iter(options))}"
    ):
        run_study("retrieval", None, **options)


@pytest.mark.slow
def test_the_command_line(tmp_path):
    (tmp_path / "prompts.txt").write_text(OWLS + "\n", encoding="utf-8")
    unknown = run_here("study", "nothing", "--out", "x", cwd=tmp_path)
    assert unknown.returncode == 1
    assert "intervention" in unknown.stderr
    options = ["--out", "out", "--prompts", "prompts.txt", "--seeds", 1, "--steps", 1]
    done = run("study", "retrieval", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "n = 1 prompt, 1 image" in done.stdout
    assert (tmp_path / "out" / "report.html").exists()
