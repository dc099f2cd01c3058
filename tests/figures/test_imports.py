"""Importing the room loads no plotting library, and a figure loads only what it needs."""

from helpers.imports import loaded_by

HEAVY = ("matplotlib", "pandas", "seaborn", "statsmodels")


def test_importing_figures_and_analysis_loads_nothing_heavy():
    code = "import daam_syntax.analysis, daam_syntax.figures; dir(daam_syntax.figures)"
    assert loaded_by(code, HEAVY) == "[]"


def test_a_figure_of_a_table_needs_neither_seaborn_nor_statsmodels():
    code = "from daam_syntax.figures import forest, similarity_scatter"
    assert loaded_by(code, HEAVY) == "['matplotlib', 'pandas']"


def test_analyze_imports_no_library_that_its_first_image_does_without():
    heavy = ("seaborn", "statsmodels", "scipy.stats", "spacy", "transformers", "diffusers", "dask")
    assert loaded_by("import daam_syntax.workflow", heavy) == "[]"
