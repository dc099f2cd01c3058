"""What the documents say works as they say it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_python_examples_run(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    scope = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), scope)
    assert (tmp_path / "overview.png").stat().st_size > 10_000
    assert scope["maps"][0]["cat"].indices == (2,)
    assert len(scope["everything"].images) == 4


def test_the_gate_runs_the_commands_of_the_readme():
    commands = re.findall(r"^    (pip install .*)$", README, re.MULTILINE)
    assert len(commands) == 2
    assert "daam-syntax analyze" in commands[0]
    assert commands[1].endswith("python -m pytest")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/measures.md"])
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert ((ROOT / name).parent / target).exists(), target


def test_the_readme_is_short():
    assert len(README.splitlines()) < 80
