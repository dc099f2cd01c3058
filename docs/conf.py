"""Configuration of the website: ``python -m sphinx -W docs docs/_build/html``."""

from __future__ import annotations

import sys
from pathlib import Path

import daam_syntax

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "daam-syntax"
author = "The daam-syntax developers"
copyright = "The daam-syntax developers, MIT license"
version = release = daam_syntax.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    # in docs/extensions
    "api_entries",
    "gallery_thumbnails",
    "live_explorer",
    "notebook_pages",
]
exclude_patterns = ["_build", "extensions"]

html_theme = "furo"
html_title = "daam-syntax"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}

# Notebooks are committed with their outputs, and the website shows them unchanged.
nb_execution_mode = "off"
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_block", "colon_fence", "dollarmath"]
suppress_warnings = ["mystnb.unknown_mime_type"]

default_role = "py:obj"  # names in single backticks become links where an entry exists
add_module_names = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
python_maximum_signature_line_length = 78
toc_object_entries_show_parents = "hide"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
