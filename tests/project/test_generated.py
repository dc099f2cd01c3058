"""Committed files are what their generators make, and the check of that can fail."""

import json
from pathlib import Path

import pytest

from tools import check, digests, generated, lowest_versions
from tools.check import CURRENT, DUE, STALE, UNVERIFIED
from tools.generated import RECORDED, TEXTS, Recorded, Text

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("entry", TEXTS, ids=lambda entry: entry.name)
def test_what_is_cheap_to_make_is_current(entry):
    findings = list(check.check_text(entry))
    assert findings
    assert [f"{f.name}: {f.remedy}" for f in findings if f.state != CURRENT] == []


@pytest.mark.parametrize("entry", RECORDED, ids=lambda entry: entry.name)
def test_the_inputs_of_what_is_expensive_are_those_it_was_made_from(entry):
    finding = check.check_recorded(entry, digests.recorded())
    assert finding.state in (CURRENT, UNVERIFIED, DUE), finding.remedy
    assert (finding.state == DUE) is bool(entry.due), "what was remade is no longer due"
    assert entry.command or entry.note


def test_every_record_belongs_to_an_entry():
    assert set(digests.recorded()) == {entry.name for entry in RECORDED}


def test_a_text_that_differs_is_found_and_written(tmp_path, monkeypatch):
    monkeypatch.setattr(check, "ROOT", tmp_path)
    path = tmp_path / "page.md"
    entry = Text("page", lambda: {path: "new\n"})
    for text in (None, "old\n", "new\r\n"):
        if text is not None:
            path.write_bytes(text.encode())
        (finding,) = check.check_text(entry)
        assert finding == check.Finding("page.md", STALE, "python -m tools.check --write")
    check.write([entry])
    (finding,) = check.check_text(entry)
    assert finding.state == CURRENT


def test_changed_inputs_are_out_of_date_and_changed_code_may_be(tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"1")
    code = tmp_path / "module.py"
    code.write_text('"""One."""\nx = 1\n')
    entry = Recorded("figure", None, ("*.bin",), ("*.py",), "draw it")

    def state(then):
        return check.state_of(entry.digests(tmp_path), then)

    file = tmp_path / "digests.json"
    digests.record("figure", entry.digests(tmp_path), file)
    then = digests.recorded(file)["figure"]
    assert state(then) == CURRENT
    code.write_text('"""Another docstring."""\n\nx = 1  # and a comment\n')
    assert state(then) == CURRENT
    code.write_text("x = 2\n")
    assert state(then) == UNVERIFIED
    (tmp_path / "weights.bin").write_bytes(b"2")
    assert state(then) == STALE
    assert state({}) == STALE
    with pytest.raises(FileNotFoundError, match="none do"):
        digests.digest_of(["*.nothing"], tmp_path)


def test_what_is_due_says_why():
    entry = Recorded("made", ("-m", "made"), ("README.md",), due="of last week")
    finding = check.check_recorded(entry, {"made": {"inputs": "others", "code": ""}})
    assert finding.state == DUE
    assert finding.remedy == "of last week: python -m tools.check --make made"


def test_notebooks_count_by_their_code(tmp_path):
    def digest(code, text):
        cells = [
            {"cell_type": "code", "source": code, "outputs": [text]},
            {"cell_type": "markdown", "source": [text]},
        ]
        (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
        return digests.digest_of(["*.ipynb"], tmp_path)

    assert digest(["x = 1"], "one") == digest(["x = 1"], "two") != digest(["x = 2"], "one")


def test_the_command_reports_and_its_status_says_whether_a_file_is_out_of_date(monkeypatch, capsys):
    findings = [check.Finding("a", CURRENT, "make a"), check.Finding("b", UNVERIFIED, "make b")]
    monkeypatch.setattr(check, "check", lambda: findings)
    assert check.main([]) == 0
    assert "make a" not in (printed := capsys.readouterr().out)
    assert "make b" in printed
    findings.append(check.Finding("c", STALE, "make c"))
    assert check.main([]) == 1
    assert f"{STALE} " in capsys.readouterr().out


def test_entries_have_different_names():
    names = [entry.name for entry in (*TEXTS, *RECORDED)]
    assert len(names) == len(set(names))


def test_contributing_lists_every_generator():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [entry.name for entry in generated.RECORDED if f"`{entry.name}`" not in text] == []
    assert [entry.name for entry in generated.TEXTS if f"`{entry.name}`" not in text] == []


def test_lowest_versions_are_the_bounds():
    text = '[project]\ndependencies = ["b>=1.2,<3"]\n[project.optional-dependencies]\n'
    text += 'test = ["daam-syntax[docs]", "A>=2.0.1"]\n'
    assert lowest_versions.constraints(text).splitlines()[1:] == ["A==2.0.1", "b==1.2"]
    with pytest.raises(ValueError, match="lower bound in the requirement 'b'"):
        lowest_versions.constraints(text.replace("b>=1.2,<3", "b"))
