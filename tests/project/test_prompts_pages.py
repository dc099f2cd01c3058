"""The pages on prompts and on replication: their commands are understood, their code runs."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import daam_syntax as ds
from daam_syntax.cli.application import app
from daam_syntax.errors import StudyError
from daam_syntax.language.prompt_sets import COLUMNS, FORMATS, SHIPPED
from daam_syntax.studies import STUDIES

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    name: (DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("prompts", "replication")
}
COMMANDS = [
    line.partition("  #")[0].strip()
    for page in PAGES.values()
    for line in page.splitlines()
    if line.startswith("    daam-syntax ")
]


def parsed(command):
    """Parse a command line without running it; the studies are commands of `study`."""
    _, name, *arguments = shlex.split(command)
    parser = typer.main.get_command(app).commands[name]
    given = {}
    if name == "study":
        given["study"], *arguments = arguments
        parser = parser.get_command(None, given["study"])
    return name, given | parser.make_context(name, arguments).params


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_understood(command):
    _, given = parsed(command)
    if given.get("format") is not None:
        assert given["format"] in FORMATS


def test_every_study_is_replicated():
    studies = {given["study"] for name, given in map(parsed, COMMANDS) if name == "study"}
    assert studies == set(STUDIES)
    with pytest.raises(Exception, match="No such option"):
        parsed("daam-syntax run x.csv --out y --color red")
    with pytest.raises(StudyError, match="No such option"):
        parsed("daam-syntax study modes --out y --threshold otsu")


def test_the_page_names_every_format_and_column():
    page = PAGES["prompts"]
    assert all(f"`{name}`" in page for name in [*FORMATS, *COLUMNS])


def test_the_page_counts_the_prompts_of_every_set():
    for name, meaning in SHIPPED.items():
        assert f"| `{name}` | {len(ds.prompts(name))} | {meaning} |" in PAGES["prompts"]


def test_the_code_of_the_page_runs(tmp_path, monkeypatch, emoji_pipe):
    monkeypatch.chdir(tmp_path)
    ds.prompts("scenes").to_file("captions.csv")
    dataset = __import__("datasets").Dataset.from_list([{"caption": "a cat", "url": "x"}])
    blocks = re.findall(r"```python\n(.*?)```", PAGES["prompts"], flags=re.DOTALL)
    assert len(blocks) == 4
    known = {"ds": ds, "dataset": dataset, "pipe": emoji_pipe}
    # Too many prompts for so small a set would be refused.
    code = (
        "\n".join(blocks).replace("sample(200", "sample(20").replace("rows[0].category", "rows[0]")
    )
    exec(code, known)
    assert len(known["balanced"].prompts) == sum(known["balanced"].counts.values()) > 60
    assert len(known["pairs"].pairs(minimal=True)) == 2


def test_prompts_are_checked_sampled_and_written(tmp_path):
    runner = CliRunner()
    listed = runner.invoke(app, ["prompts"])
    assert all(name in listed.stdout for name in SHIPPED)
    out = tmp_path / "sample.csv"
    options = ["--sample", "2", "--by", "relation", "--group", "amod", "--group", "none"]
    done = runner.invoke(app, ["prompts", "real-models", *options, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "amod: 2" in done.stdout
    assert "none: 0, 2 too few" in done.stdout
    assert {row.relation for row in ds.PromptSet.from_file(out).rows} == {"amod"}
    text = tmp_path / "p.txt"
    text.write_text("a \x1b[31mcat\na dog\n", encoding="utf-8")
    refused = runner.invoke(app, ["prompts", str(text)])
    assert isinstance(refused.exception, ds.DaamSyntaxError)
    assert runner.invoke(app, ["prompts", str(out), "--sample", "1"]).stdout.count("\n") == 1


def test_the_code_on_replication_runs(tmp_path, monkeypatch, emoji_pipe):
    """On a few crossed prompts that the embedded model knows."""
    monkeypatch.chdir(tmp_path)
    rows = [row for row in ds.prompts("crossed").rows if row.category == "preposition"]
    ds.runs.run([row.text for row in rows[:6]], "crossed", emoji_pipe, seeds=1, steps=1)
    (code,) = re.findall(r"```python\n(.*?)```", PAGES["replication"], flags=re.DOTALL)
    known = {}
    exec(code, known)
    assert set(known["related"]["pair"]) == set(known["unrelated"]["pair"])
    assert len(known["related"]) == 3
