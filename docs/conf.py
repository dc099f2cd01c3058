"""Configuration of the website: ``python -m sphinx docs docs/_build/html``."""

from __future__ import annotations

import pkgutil
import shutil
from pathlib import Path

import daam_syntax

HERE = Path(__file__).parent

project = "daam-syntax"
author = "The daam-syntax developers"
copyright = "The daam-syntax developers, MIT license"
version = release = daam_syntax.__version__

extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_nb"]
exclude_patterns = ["_build", "gallery.py"]
html_theme = "furo"
html_title = project

# Notebooks are committed with their outputs, and the website shows them unchanged.
nb_execution_mode = "off"
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
suppress_warnings = ["mystnb.unknown_mime_type"]

autodoc_typehints = "none"  # docstrings describe the types
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False


def _copy_notebooks() -> None:
    """Copy the notebooks to where Sphinx looks for pages."""
    target = HERE / "notebooks"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for notebook in (HERE.parent / "notebooks").glob("*.ipynb"):
        shutil.copy(notebook, target)


def _write_reference() -> None:
    """Write a page for each room, with the documentation of its modules."""
    target = HERE / "reference"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    rooms: dict[str, list[tuple[str, bool]]] = {}
    for module in pkgutil.walk_packages(daam_syntax.__path__, "daam_syntax."):
        parts = module.name.split(".")[1:]
        if not any(part.startswith("_") for part in parts) and "training" not in parts:
            room = parts[0] if module.ispkg or len(parts) > 1 else "the package"
            rooms.setdefault(room, []).append((module.name, module.ispkg))
    for room, modules in rooms.items():
        lines = [f"# `{room}`" if room != "the package" else "# The package itself"]
        for name, is_package in modules:
            # Names that a package re-exports are documented where they are defined.
            option = ["   :no-members:"] if is_package else []
            directive = ["```{eval-rst}", f".. automodule:: {name}", *option, "```"]
            lines += ["", f"## {name}", "", *directive]
        page = target / f"{room.replace(' ', '-')}.md"
        page.write_text("\n".join([*lines, ""]), encoding="utf-8")


_copy_notebooks()
_write_reference()
