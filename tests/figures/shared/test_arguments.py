import matplotlib.pyplot as plt
import pytest

from daam_syntax import figures
from daam_syntax.analysis import measure_pairs, summarize
from helpers.examples import make_maps, make_sentence
from helpers.figure_data import (
    IMAGE,
    make_curves,
    make_profile,
    make_similarities,
    make_summary,
    make_sweep,
    make_words,
)


@pytest.mark.parametrize(
    ("draw", "table", "column"),
    [
        (figures.forest, make_summary(), "low"),
        (figures.forest, make_summary(), "n_prompts"),
        (figures.threshold_sweep, make_sweep(), "relation"),
        (figures.containment, measure_pairs(make_maps()), "ioh"),
        (figures.overlap_profile, make_profile(), "step"),
        (figures.similarity_scatter, make_similarities(), "category"),
        (figures.breadth_by_pos, make_words(), "area"),
        (figures.deletion_curves, make_curves(), "share"),
        (
            lambda pairs, **options: figures.dependency_graph(make_sentence(), pairs, **options),
            measure_pairs(make_maps()),
            "head_index",
        ),
    ],
)
def test_missing_columns_are_named_and_axes_are_taken(draw, table, column):
    with pytest.raises(ValueError, match=f"with the columns {column}, but it has only"):
        draw(table.drop(columns=column))
    with pytest.raises(ValueError, match="at least one row"):
        draw(table.iloc[:0])
    _, axes = plt.subplots(1, 2)
    assert draw(table, ax=axes[1]) is axes[1]
    assert not axes[0].has_data()


@pytest.mark.parametrize("draw", [figures.forest, figures.containment])
def test_thresholds_are_not_mixed(draw):
    table = measure_pairs(make_maps(), threshold=["relative:0.4", "absolute:0.15"])
    table = summarize(table) if draw is figures.forest else table
    with pytest.raises(ValueError, match="one threshold, but got"):
        draw(table)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda maps: figures.overlay(IMAGE, maps), "Expected HeatMap, .*`maps.*but got HeatMaps"),
        (lambda maps: figures.overview(maps, IMAGE), "Expected HeatMaps, .*but got ndarray"),
        (lambda maps: figures.arcs_with_overlays(maps, IMAGE), "Expected HeatMaps"),
        (lambda maps: figures.word_matrix([maps]), "Expected HeatMaps, .*but got list"),
        (lambda maps: figures.word_grid([IMAGE], [IMAGE]), "list of them, .*but got ndarray"),
        (lambda maps: figures.dependency_arcs("a cat"), r"parse\('a red cat'\)`, but got str"),
        (lambda maps: figures.dependency_graph(maps, measure_pairs(maps)), "Expected Sentence"),
    ],
)
def test_arguments_of_the_wrong_type_are_named(draw, message):
    with pytest.raises(TypeError, match=message):
        draw(make_maps())
