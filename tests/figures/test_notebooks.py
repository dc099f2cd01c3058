"""A notebook displays each figure exactly once, however its cell ends."""

import nbclient
import nbformat
import pytest

SETUP = """
import numpy as np
from daam_syntax.figures import overlay, overview, word_grid
from helpers.examples import make_maps
maps, image = make_maps(image_size=(40, 60)), np.zeros((40, 60, 3), np.uint8)
"""
ONCE = (
    SETUP + "overview(image, maps);",
    "overview(image, maps)",
    "figure = word_grid(image, maps)",
    "figure",
    "display(figure)",
    "figure = word_grid(image, maps); figure.draw_without_rendering(); figure",
    "display(overview(image, maps)); None",
    "ax = overlay(image, maps[1])",
    "overlay(image, maps[1]);",
)


@pytest.mark.slow
def test_every_figure_is_displayed_once():
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(code) for code in ONCE]
    paths = nbformat.v4.new_code_cell("import sys; sys.path[:0] = ['.', 'tests']")
    notebook.cells.insert(0, paths)
    nbclient.NotebookClient(notebook, timeout=300).execute()
    for cell in notebook.cells[1:]:
        kinds = [kind for output in cell.outputs for kind in output.get("data", {})]
        assert kinds.count("image/png") == 1, cell.source
