"""Tables in a terminal of 80 columns."""

import sys

import pandas as pd
import pytest

from daam_syntax.analysis import measure_pairs, summarize
from daam_syntax.cli.terminal import show_problems, show_summary
from daam_syntax.runs.problems import PROBLEM_COLUMNS
from helpers.examples import make_maps


@pytest.fixture
def terminal(monkeypatch, capsys):
    """Return what a call prints in a terminal of 80 columns, as lines."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")

    def lines(show, *arguments, **options):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        show(*arguments, **options)
        return capsys.readouterr().out.splitlines()

    return lines


@pytest.fixture(scope="module")
def pairs():
    return measure_pairs(make_maps(image_size=(40, 60)), threshold=0.4)


@pytest.mark.parametrize("groups", [["relation"], ["category", "relation"]])
def test_a_summary_fits_without_breaking_a_word_or_a_number(terminal, pairs, groups):
    summary = summarize(pairs.assign(category="landscape"), groups, n_resamples=99)
    printed = terminal(show_summary, summary, by=groups)
    assert max(map(len, printed)) <= 80
    table = "\n".join(printed)
    for row in summary.view().itertuples(index=False):
        assert any(all(str(value) in line for value in row) for line in printed), row
    assert "95%" in table


def test_a_remedy_is_an_option_of_the_command_line(terminal, pairs):
    summary = summarize(pairs, n_resamples=99)
    summary["note"] = 'few (vary their parts of speech, or pass accept="place")'
    printed = " ".join(terminal(show_summary, summary))
    assert "or use `report --accept place`" in printed
    assert "accept=" not in printed


def test_problems_are_shown_without_empty_columns(terminal):
    empty = dict.fromkeys(PROBLEM_COLUMNS, pd.NA) | {"prompt": "", "prompt_id": ""}
    one = empty | {"stage": "prompts", "problem": "other columns", "message": "Kept."}
    printed = terminal(show_problems, pd.DataFrame([one]))
    assert [line.split() for line in printed if "stage" in line] == [
        ["stage", "problem", "message"]
    ]
    two = terminal(show_problems, pd.DataFrame([one, one | {"shard": 3}]))
    assert "<NA>" not in " ".join([*printed, *two])
