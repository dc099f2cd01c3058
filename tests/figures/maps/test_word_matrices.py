import numpy as np
import pytest

from daam_syntax import figures
from daam_syntax.analysis import measure_pairs
from daam_syntax.maps.measures import PAIR_MEASURES
from helpers.examples import make_maps
from helpers.figure_data import long_maps


@pytest.mark.parametrize("measure", PAIR_MEASURES)
def test_a_matrix_holds_what_the_pair_table_holds(measure):
    maps = make_maps(image_size=(40, 60))
    image = figures.word_matrix(maps, measure=measure).images[0]
    drawn = image.get_array()
    assert image.norm.vmin == (-image.norm.vmax if PAIR_MEASURES[measure].low < 0 else 0)
    assert np.abs(drawn[~np.eye(5, dtype=bool)]).max() <= image.norm.vmax
    for _, row in measure_pairs(maps, measures=measure).iterrows():
        found = drawn[row["head_index"], row["dependent_index"]]
        if np.isnan(row[measure]):
            assert found is np.ma.masked
        else:
            assert found == pytest.approx(row[measure])


def test_a_matrix_frames_noun_phrases_and_marks_edges():
    ax = figures.word_matrix(make_maps())
    frames = [p.get_bbox().extents.tolist() for p in ax.patches if not p.get_fill()]
    assert frames == [[-0.5, -0.5, 1.5, 1.5], [2.5, 2.5, 4.5, 4.5]]
    (dots,) = ax.collections
    assert sorted(map(tuple, dots.get_offsets().tolist())) == [(0, 1), (2, 1), (3, 4), (4, 1)]
    assert not figures.word_matrix(make_maps(), scheme=None).collections
    drawn = ax.images[0].get_array().filled(np.nan)
    off = drawn[~np.eye(5, dtype=bool)]
    assert ax.images[0].norm.vmax == pytest.approx(np.nanmax(off))


def test_matrices_can_share_a_scale_and_words_without_maps_stay():
    ax = figures.word_matrix(long_maps(), vmax=0.7)
    assert ax.images[0].norm.vmax == 0.7
    assert len(ax.get_xticklabels()) == 30
    assert ax.get_yticklabels()[5].get_text() == "zebra (truncated)"
    with pytest.raises(ValueError, match="measures among iou"):
        figures.word_matrix(make_maps(), measure="dice?")
