"""Importing the room loads no plotting library, and a figure loads only what it needs."""

from helpers.imports import loaded_by

HEAVY = ("matplotlib", "pandas", "seaborn", "statsmodels")


def test_importing_figures_and_analysis_loads_nothing_heavy():
    code = "import daam_syntax.analysis, daam_syntax.figures; dir(daam_syntax.figures)"
    assert loaded_by(code, HEAVY) == "[]"


def test_a_figure_of_a_table_needs_neither_seaborn_nor_statsmodels():
    code = "from daam_syntax.figures import forest, similarity_scatter"
    assert loaded_by(code, HEAVY) == "['matplotlib', 'pandas']"
