"""Files that platforms read, and what a command says about itself."""

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import daam_syntax
from daam_syntax.cli.application import app
from daam_syntax.language.parser import default_parser
from daam_syntax.studies import STUDIES
from daam_syntax.util.extras import install_hint

ROOT = Path(__file__).parents[2]
KEYS = {
    *("cff-version", "message", "title", "type", "authors", "version", "license", "keywords"),
    *("references", "doi", "date-released", "repository-code", "abstract", "url"),
}
"""Keys of the Citation File Format 1.2.0 that this project uses or may use."""


def test_the_citation_has_the_structure_of_its_format():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(cited) <= KEYS
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == daam_syntax.__version__
    assert cited["license"] == "MIT"
    for work in (cited, *cited["references"]):
        assert work["type"] in ("software", "conference-paper")
        for author in work["authors"]:
            assert set(author) in ({"name"}, {"family-names", "given-names"})


def test_the_code_of_conduct_invents_no_contact():
    text = (ROOT / "CODE_OF_CONDUCT.md").read_text(encoding="utf-8")
    assert not re.search(r"@|https?://", text)


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["study"],
        *([command.callback.__name__.replace("_", "-")] for command in app.registered_commands),
        *(["study", name] for name in STUDIES),
    ],
)
def test_help_is_whole_at_80_columns(command):
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "80"}).output
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    assert not re.search(r"\w\.\.\.$", shown, re.MULTILINE)
    commands = shown.partition("Commands:")[2].strip()
    assert not re.search(r"\.$", commands, re.MULTILINE)  # a list of fragments


def test_help_names_the_parser_that_is_installed():
    shown = CliRunner().invoke(app, ["analyze", "--help"], env={"COLUMNS": "80"}).output
    assert f"[default: {default_parser()}]" in " ".join(shown.split())
    assert find_spec(default_parser()) is not None


@pytest.mark.parametrize(
    "room",
    [
        "analysis",
        "attention",
        "emoji",
        "explorer",
        "figures",
        "language",
        "maps",
        "pipelines",
        "runs",
        "studies",
    ],
)
def test_completion_offers_public_names_only(room):
    names = dir(getattr(daam_syntax, room))
    assert set(names) <= {*getattr(daam_syntax, room).__all__, "measures"}


@pytest.mark.parametrize("extra", ["cluster", "transport", "wordnet"])
def test_hints_name_extras_that_exist_and_work_in_a_checkout(extra):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert extra in extras
    assert f'pip install -c constraints.txt ".[{extra}]"' in install_hint(extra)
    used = [p for p in (ROOT / "daam_syntax").rglob("*.py") if extra in _hints(p)]
    assert used


def _hints(path):
    return re.findall(r"install_hint\([\"'](\w+)[\"']\)", path.read_text(encoding="utf-8"))
