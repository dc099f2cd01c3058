"""Pages of the explorer: what they hold, and what a browser shows."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from bs4 import BeautifulSoup

from helpers.examples import SUBWORDS, make_maps

IMAGE = np.zeros((40, 60, 3), np.uint8)  # not square
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_a_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


def smooth_maps():
    """Maps of "red car , red zebra" with partly overlapping masks, a repeated word, and a word of two subwords."""
    rng = np.random.default_rng(0)
    return make_maps(list(rng.random((len(SUBWORDS), 4, 6), dtype=np.float32)), image_size=(40, 60))


def contents_of(page):
    """Return the data of a page."""
    return json.loads(BeautifulSoup(page.html, "html.parser").find(id="contents").string)


def shown(page, folder, address="", script="", width=1280):
    """Return the page after its script has run, and optionally a script of the test."""
    html = page.html
    if script:  # only in a test: the page itself allows only its own script
        html = re.sub(r'<meta http-equiv="Content-Security-Policy".*?>', "", html)
        html = html.replace("</body>", f"<script>{script}</script></body>")
    (folder / "page.html").write_text(html, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000"]
    options += [f"--window-size={width},2000", f"--user-data-dir={folder / 'profile'}"]
    url = f"{(folder / 'page.html').as_uri()}{address}"
    done = subprocess.run(
        [BROWSER, *options, "--dump-dom", url],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return BeautifulSoup(done.stdout, "html.parser")
