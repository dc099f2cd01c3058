"""Make docs/overview.png, explorer.png, and words.png from the embedded model: ``python -m tools.overview_images``.

The README and the website show them. The second is a screenshot of the explorer and needs Chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

import daam_syntax as ds
from daam_syntax.studies import run_study
from daam_syntax.workflow import Analysis

DOCS = Path(__file__).parents[1] / "docs"
PROMPT = "a dog chasing a small yellow duck in the snow"
SHOWN = {"head": "duck", "dependent": "yellow"}
WINDOW = (1290, 1080)  # pixels
DELETED = "a red cat and a blue car"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def write_overview(analysis: Analysis, path: Path) -> None:
    """Draw the overview figure of the first image."""
    figure = ds.figures.overview(analysis.images[0], analysis.maps[0])
    figure.savefig(path, dpi=150)


def write_screenshot(analysis: Analysis, path: Path, browser: str) -> None:
    """Photograph the explorer with one dependency chosen."""
    maps = analysis.maps[0]
    words = list(maps.sentence.words)
    address = "&".join(f"{side}={words.index(word)}" for side, word in SHOWN.items())
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        ds.explore([analysis.images[0]], [maps]).save(page)
        size = ",".join(map(str, WINDOW))
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={size}"]
        command = [browser, *options, f"--screenshot={path}", f"{page.as_uri()}#{address}"]
        subprocess.run(command, check=True, capture_output=True)
    with Image.open(path) as image:
        image.convert("RGB").save(path, optimize=True)


def write_words(path: Path) -> None:
    """Draw a prompt without each of its words."""
    result = run_study("words", ds.load_pipeline(), prompts=[DELETED])
    result.figures["strip"].savefig(path, dpi=110)


def main() -> None:
    """Write the images."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit(f"Expected a browser, one of {', '.join(BROWSERS)}: install Chromium.")
    analysis = ds.analyze([PROMPT], seeds=1)
    write_overview(analysis, DOCS / "overview.png")
    write_words(DOCS / "words.png")
    write_screenshot(analysis, DOCS / "explorer.png", browser)


if __name__ == "__main__":
    main()
