"""Copies notebooks into the source folder of the website, which shows them with their committed outputs.

Students' versions of the assignments are copied, and their solutions are not.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def copy_notebooks(app: Sphinx) -> None:
    """Copy lessons to ``notebooks/`` and assignments to ``notebooks/assignments/``; git ignores both."""
    target = Path(app.srcdir) / "notebooks"
    shutil.rmtree(target, ignore_errors=True)
    for folder in (NOTEBOOKS, NOTEBOOKS / "assignments"):
        into = target / folder.relative_to(NOTEBOOKS)
        into.mkdir(parents=True)
        for notebook in sorted(folder.glob("*.ipynb")):
            shutil.copy(notebook, into)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("builder-inited", copy_notebooks)
    return {"parallel_read_safe": True}
