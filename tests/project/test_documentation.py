"""The website is built by the one command that CONTRIBUTING names."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_website_is_built(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-q", "docs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr
    assert "not included in any toctree" not in done.stderr
    assert "error while formatting signature" not in done.stderr
    pages = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.html")}
    expected = {
        "index",
        "measures",
        "models",
        "gallery",
        "reference/maps",
        "notebooks/1-first-steps",
    }
    assert {f"{page}.html" for page in expected} <= pages
    assert "HeatMaps" in (tmp_path / "reference" / "maps.html").read_text(encoding="utf-8")
