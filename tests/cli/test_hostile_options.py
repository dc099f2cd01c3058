"""Options that nobody means: one line that says what was expected, and no traceback."""

import sys

import pytest

from daam_syntax.cli import main
from daam_syntax.workflow import analyze

LONG = "a" * 3000
HUGE = "99999999999999999999"


@pytest.fixture(scope="module")
def folder(emoji_pipe, tmp_path_factory):
    """A finished folder, beside a file of prompts."""
    place = tmp_path_factory.mktemp("hostile")
    (place / "prompts.csv").write_text("prompt\na cat\n")
    analyze("a cat", emoji_pipe, steps=1, out=place / "out")
    return place


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["analyze", "a cat", "--model", ""], "Expected a name that a file can have"),
        (["analyze", "a cat", "--parser", ""], "Expected a name that a file can have"),
        (
            ["analyze", "a cat", "--parser", LONG],
            "Expected an installed spaCy pipeline or a folder",
        ),
        (["run", "prompts.csv", "--out", "o", "--model", ""], "Expected a name that a file can"),
        (["report", "out", "--parser", LONG], "Expected an installed spaCy pipeline or a folder"),
        (["explore", "out", "--out", ""], "Expected the name of a file to write, but got '.'"),
        (["prompts", ""], "Expected a name that a file can have"),
        (["prompts", "prompts.csv", "--sample", HUGE], "Expected a finite number below"),
    ],
)
def test_a_hostile_option_is_one_line(folder, command, expected, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["daam-syntax", *command])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    printed = capsys.readouterr().err
    assert expected in printed
    assert "Traceback" not in printed


def test_more_images_than_there_can_be_are_all_images(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["daam-syntax", "explore", "out", "--limit", HUGE])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert "The page with 1 image is" in capsys.readouterr().out
