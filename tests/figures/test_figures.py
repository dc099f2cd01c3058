import colorspacious
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from scipy.stats import linregress
from scipy.stats import t as student_t

from daam_syntax import figures
from daam_syntax.analysis import estimate_mean, measure_pairs, summarize
from daam_syntax.language import Edge
from daam_syntax.maps import HeatMaps
from daam_syntax.maps.measures import PAIR_MEASURES
from helpers.examples import SUBWORDS, box, make_maps, make_sentence
from helpers.readable import assert_readable

COLUMN, PAGE = 3.3, 6.6  # inches
widths = pytest.mark.parametrize("width", [COLUMN, PAGE])

IMAGE = np.zeros((40, 60, 3), np.uint8)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def texts(*axes):
    return [t.get_text() for ax in axes for t in [*ax.texts, ax.title] if t.get_text()]


def test_an_overlay_covers_the_image_unrotated():
    maps = make_maps(image_size=(40, 60))
    ax = figures.overlay(IMAGE, maps["car"])
    drawn = ax.images[-1]
    assert drawn.get_array().shape == (40, 60)
    np.testing.assert_allclose(drawn.get_array(), maps["car"].resize())
    assert list(drawn.get_extent()) == list(ax.images[0].get_extent()) == [-0.5, 59.5, 39.5, -0.5]
    assert ax.get_title() == "car"
    assert drawn.norm.vmax == pytest.approx(maps["car"].resize().max())


def test_opacity_follows_the_map():
    maps = make_maps(image_size=(40, 60))
    alpha = figures.overlay(IMAGE, maps["car"]).images[-1].get_alpha()
    assert alpha[5, 45] > 0.75
    assert alpha[35, 5] == pytest.approx(0, abs=0.05)


def test_overlays_draw_on_the_given_axes_with_the_given_scale():
    _, axes = plt.subplots(1, 2)
    ax = figures.overlay(IMAGE, make_maps()[0], ax=axes[1], vmax=0.5, title="")
    assert ax is axes[1]
    assert ax.images[-1].norm.vmax == 0.5
    assert ax.get_title() == ""
    assert not axes[0].images


def test_a_map_of_zeros_can_be_drawn():
    figures.overlay(IMAGE, make_maps()[2])


def test_arcs_show_every_relation_and_word():
    ax = figures.dependency_arcs(make_sentence())
    found = texts(ax)
    assert sorted(found) == sorted(
        ["amod", "punct", "conj", "amod", "root", "red", "car", ",", "red", "zebra"]
    )


def test_arcs_over_arcs_are_higher():
    ax = figures.dependency_arcs(make_sentence())
    height = {t.get_text(): t.get_position()[1] for t in ax.texts}
    assert height["conj"] > height["punct"]


def test_the_overview_has_one_panel_per_word_on_one_scale():
    maps = make_maps(image_size=(40, 60))
    figure = figures.overview(IMAGE, maps)
    overlays = [ax for ax in figure.axes if len(ax.images) == 2]
    assert [ax.get_title() for ax in overlays] == ["red", "car", ",", "red", "zebra"]
    tops = {ax.images[-1].norm.vmax for ax in overlays}
    assert tops == {max(maps[i].resize().max() for i in range(5))}
    assert "mean attention probability" in [ax.get_ylabel() for ax in figure.axes]


def test_words_without_a_map_are_panels_with_their_status():
    maps = make_maps([box(0, 2, 0, 3)] * 3, truncated_at=7)
    figure = figures.overview(np.zeros((4, 6, 3), np.uint8), maps)
    assert texts(*figure.axes).count("truncated") == 3


def test_long_prompts_wrap(tmp_path):
    sentence = make_sentence(" ".join(["red"] * 40), edges=())
    maps = make_maps([box(0, 2, 0, 3)] * 3, sentence=sentence, truncated_at=7)
    figure = figures.overview(np.zeros((4, 6, 3), np.uint8), maps)
    figure.savefig(tmp_path / "long.png")
    assert figure.get_figwidth() < 25


def test_no_figure_is_left_open_by_the_overview():
    figures.overview(IMAGE, make_maps(image_size=(40, 60)))
    assert plt.get_fignums() == []


def test_characters_that_no_font_has_are_code_points():
    from daam_syntax.figures.shared.word_labels import label

    assert label("Käse") == "Käse"
    assert label(" \n") == "(space)"
    assert label("a\U000f0000") == "aU+F0000"


def long_maps():
    """Maps of thirty words, all dependents of the second; the encoder read only the first three."""
    sentence = make_sentence(
        " ".join(["red", "extraordinarily", *["zebra"] * 28]),
        edges=[Edge(1, i, "compound:prt") for i in range(30) if i != 1],
    )
    data = make_maps(image_size=(40, 60)).data[:3]
    subwords = [SUBWORDS[0], SUBWORDS[1], type(SUBWORDS[0])(2, "extraordinarily</w>", 4, 19)]
    return HeatMaps(data, subwords, sentence, (40, 60), truncated_at=19)


def one_word():
    sentence = make_sentence("red", edges=())
    return HeatMaps(make_maps().data[:2], SUBWORDS[:2], sentence, (40, 60))


RELATIONS = [f"relation:{number}" for number in range(20)]


def make_summary(relations=("amod", "nsubj"), **columns):
    """Return a summary with one control row and one row per relation, with means 0.5, 0.48, ..."""
    n = len(relations) + 1
    mean = np.r_[0.3, 0.5 - 0.02 * np.arange(n - 1)]
    table = {
        "kind": ["unrelated"] + ["dependency"] * (n - 1),
        "relation": ["unrelated", *relations],
        "n_prompts": range(40, 40 + n),
        "iou": mean,
        "low": mean - 0.05,
        "high": mean + 0.1,
    }
    return pd.DataFrame({**table, **columns})


def make_sweep(relations=("amod", "nsubj")):
    """Return overlaps of 0.5 at threshold 0.2, 0.3 at 0.4, and none measured at 0.6."""
    rows = [
        (f"relative:{t}", "iou", relation, mean, mean - 0.1, mean + 0.1)
        for relation in ["unrelated", *relations]
        for t, mean in ((0.4, 0.3), (0.2, 0.5), (0.6, np.nan))
    ]
    columns = ["threshold", "measure", "relation", "mean", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def make_profile():
    """Return the same numbers by layer and step, at one threshold."""
    layers = {"relative:0.4": "up_blocks.1", "relative:0.2": "down_blocks.0", "relative:0.6": "mid"}
    sweep = make_sweep()
    return sweep.assign(
        layer=sweep["threshold"].map(layers),
        step=sweep["threshold"].map({"relative:0.4": 9, "relative:0.2": 2, "relative:0.6": 5}),
        threshold="relative:0.4",
    )


def make_similarities(n_categories=2):
    """Return overlaps of 0.1 + similarity / 2 plus noise, in categories of four pairs; one is missing."""
    similarity = np.tile([0.1, 0.2, 0.4, 0.8], n_categories)
    noise = np.resize([0.02, -0.03, 0.01], len(similarity))
    category = np.repeat([f"category {i}" for i in range(n_categories)], 4)
    table = {"category": category, "similarity": similarity, "iou": 0.1 + similarity / 2 + noise}
    return pd.DataFrame(table).assign(iou=lambda t: t["iou"].where(t.index != 3))


def make_words(n_prompts=6):
    """Return two nouns, a verb and a comma without a mask, in two images of each prompt."""
    rows = [
        (f"p{prompt}", image, pos, area + 0.01 * prompt)
        for prompt in range(n_prompts)
        for image in range(2)
        for pos, area in (("NOUN", 0.1), ("NOUN", 0.3), ("VERB", 0.5), ("PUNCT", np.nan))
    ]
    return pd.DataFrame(rows, columns=["prompt_id", "image", "pos", "area"])


def make_curves(names=("own mask",)):
    """Return curves that reach 1 at once, and a random one in proportion to the share."""
    rows = [
        (name, share, mean, mean - 0.1, mean + 0.1)
        for name in [*names, "random"]
        for share, mean in ((1.0, 1.0), (0.0, 0.0), (0.5, 0.5 if name == "random" else 1.0))
    ]
    return pd.DataFrame(rows, columns=["curve", "share", "mean", "low", "high"])


def line_of(ax, label):
    return next(line for line in ax.lines if line.get_label() == label)


# --- every figure, narrow and wide, short and long


def draw_graph(maps):
    return figures.dependency_graph(maps.sentence, measure_pairs(maps))


FLAT = [Edge(1, dependent, "dep") for dependent in (0, 2, 3, 4)]

CASES = {
    "forest": lambda: figures.forest(make_summary()),
    "forest of one": lambda: figures.forest(make_summary(["amod"])),
    "forest of many": lambda: figures.forest(make_summary(RELATIONS)),
    "sweep": lambda: figures.threshold_sweep(make_sweep()),
    "sweep of many": lambda: figures.threshold_sweep(make_sweep(RELATIONS)),
    "containment": lambda: figures.containment(measure_pairs(make_maps())),
    "matrix": lambda: figures.word_matrix(make_maps()),
    "long matrix": lambda: figures.word_matrix(long_maps()),
    "matrix of one word": lambda: figures.word_matrix(one_word()),
    "arcs with overlays": lambda: figures.arcs_with_overlays(IMAGE, make_maps(image_size=(40, 60))),
    "long arcs with overlays": lambda: figures.arcs_with_overlays(IMAGE, long_maps()),
    "profile": lambda: figures.overlap_profile(make_profile(), along="layer"),
    "similarity": lambda: figures.similarity_scatter(make_similarities()),
    "similarity of many": lambda: figures.similarity_scatter(make_similarities(20), fit="category"),
    "breadth": lambda: figures.breadth_by_pos(make_words()),
    "breadth of one": lambda: figures.breadth_by_pos(make_words().query("pos == 'NOUN'")),
    "deletion": lambda: figures.deletion_curves(make_curves()),
    "deletion of many": lambda: figures.deletion_curves(make_curves(RELATIONS)),
    "graph": lambda: draw_graph(make_maps()),
    "flat graph": lambda: draw_graph(make_maps(sentence=make_sentence(edges=FLAT))),
    "long graph": lambda: draw_graph(long_maps()),
}


@widths
@pytest.mark.parametrize("case", CASES)
def test_figures_of_tables_and_trees_can_be_read(case, width):
    with figures.paper(width):
        assert_readable(CASES[case]().figure)


@widths
@pytest.mark.parametrize(
    "maps",
    [make_maps(image_size=(40, 60)), make_maps(image_size=(20, 60)), long_maps(), one_word()],
)
@pytest.mark.parametrize("scale", ["shared", "own"])
def test_word_grids_can_be_read(maps, width, scale):
    with figures.paper(width):
        figure = figures.word_grid(IMAGE, maps, width=width, scale=scale)
    assert_readable(figure)
    assert figure.get_figwidth() <= width


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_restyled(case):
    before = dict(plt.rcParams)
    ax = CASES[case]()
    assert dict(plt.rcParams) == before
    assert plt.get_fignums() == [ax.figure.number]


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


# --- forest


def test_the_forest_has_a_row_per_relation_and_the_control_as_a_line():
    table = make_summary(p_adjusted=[np.nan, 0.001, 0.2])
    ax = figures.forest(table)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["nsubj (42)", "amod (41)"]
    assert line_of(ax, "unrelated pairs (40 prompts)").get_xdata() == [0.3, 0.3]
    band = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    np.testing.assert_allclose([band.x0, band.x1], [0.25, 0.4])
    ends = [segment[:, 0].tolist() for segment in ax.collections[0].get_segments()]
    np.testing.assert_allclose(ends, [[0.43, 0.58], [0.45, 0.6]])
    # amod differs from the control, nsubj does not
    filled = line_of(ax, "different from control (adjusted p < 0.05)")
    hollow = line_of(ax, "no significant difference")
    assert (filled.get_xdata()[0], filled.get_ydata()[0]) == (0.5, 1)
    assert (hollow.get_xdata()[0], hollow.get_ydata()[0]) == (0.48, 0)
    assert hollow.get_markerfacecolor() == "white"
    assert "attention overlap (IoU, 0 to 1)" in ax.get_xlabel()


def test_relations_without_mean_or_interval_keep_their_rows():
    table = make_summary(["amod", "det", "punct"])
    table.loc[2, ["low", "high"]] = np.nan
    table.loc[3, ["iou", "low", "high", "n_prompts"]] = [np.nan, np.nan, np.nan, 0]
    ax = figures.forest(table)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["punct (0)", "det (42)", "amod (41)"]
    assert line_of(ax, "no interval").get_ydata() == [1]
    (note,) = [t for t in ax.texts if t.get_text() == "not measured"]
    assert note.xy[1] == 0


def test_the_forest_of_a_summary_shows_its_level_and_its_measure():
    summary = summarize(measure_pairs(make_maps()), measure="soft_iou", level=0.9)
    ax = figures.forest(summary)
    assert (
        ax.get_xlabel() == "attention overlap (soft IoU, 0 to 1)\nmean over prompts, 90% interval"
    )
    with pytest.raises(
        ValueError, match="intervals of iou, but got one with intervals of soft_iou"
    ):
        figures.forest(summary, measure="iou")


def test_one_control_is_a_line_and_others_are_named():
    table = make_summary(["amod", "amod"], kind=["unrelated", "dependency", "shifted"])
    names = [t.get_text() for t in figures.forest(table).get_yticklabels()]
    assert names == ["amod, shifted (42)", "amod (41)"]
    with pytest.raises(ValueError, match="at most one row of the control"):
        figures.forest(table.assign(kind="unrelated"))


# --- sweep


def test_a_sweep_is_drawn_in_order_with_gaps_and_bands():
    ax = figures.threshold_sweep(make_sweep())
    line = line_of(ax, "amod")
    np.testing.assert_allclose(line.get_xdata(), [0.2, 0.4, 0.6])
    np.testing.assert_allclose(line.get_ydata(), [0.5, 0.3, np.nan])
    assert len(ax.collections) == 3  # two relations and the control
    assert line_of(ax, "unrelated").get_linestyle() == "--"
    assert "mean with interval" in ax.get_ylabel()
    assert "relative threshold" in ax.get_xlabel()


def test_many_lines_differ_and_the_label_says_that_bands_are_missing():
    ax = figures.threshold_sweep(make_sweep(RELATIONS))
    assert "intervals not drawn" in ax.get_ylabel()
    assert len(ax.collections) == 1
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 21
    assert len(ax.get_legend().get_texts()) == 21


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"measure": "iod"}, "one of its measures .iod., but got 'iou'"),
        ({"threshold": ["relative:0.2", "absolute:0.2"] * 2 + ["relative:0.6"] * 5}, "of one rule"),
        ({"threshold": "relative:0.2"}, "one row per relation"),
    ],
)
def test_sweeps_that_cannot_be_lines_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        figures.threshold_sweep(make_sweep().assign(**change))


def test_steps_are_drawn_to_scale_and_layers_in_order():
    by_step = figures.overlap_profile(make_profile(), along="step")
    assert line_of(by_step, "amod").get_xdata().tolist() == [2, 5, 9]
    by_layer = figures.overlap_profile(make_profile(), along="layer")
    names = [t.get_text() for t in by_layer.get_xticklabels()]
    assert names == ["up_blocks.1", "down_blocks.0", "mid"]
    np.testing.assert_allclose(line_of(by_layer, "amod").get_ydata(), [0.3, 0.5, np.nan])
    assert by_layer.get_xlabel() == "layer"


# --- IoD against IoH


def test_pairs_lie_at_their_ioh_and_iod_on_the_line_of_their_area_ratio():
    pairs = measure_pairs(make_maps())
    ax = figures.containment(pairs)
    control, related = ax.collections
    rows = pairs[pairs["kind"] == "dependency"]
    np.testing.assert_allclose(related.get_offsets(), rows[["ioh", "iod"]])
    assert related.get_label() == "head and dependent (3 pairs, 1 not measured)"  # the comma
    assert control.get_label() == "unrelated (3 pairs)"
    slopes = sorted(line.get_ydata()[1] / line.get_xdata()[1] for line in ax.lines)
    np.testing.assert_allclose(slopes, [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8])
    assert "1 prompt" in ax.get_xlabel()


# --- matrix


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


# --- word grid


def test_maps_of_all_words_of_all_images_share_one_scale():
    maps = [make_maps(image_size=(40, 60)), make_maps(image_size=(40, 60)), one_word()]
    maps[1] = maps[1].with_values(maps[1].data * 0.5)
    figure = figures.word_grid([IMAGE] * 3, maps)
    overlays = [ax for ax in figure.axes if len(ax.images) == 2]
    assert len(overlays) == 5 + 5 + 1
    top = max(maps[0][i].resize().max() for i in range(5))
    assert {ax.images[-1].norm.vmax for ax in overlays} == {float(top)}
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    sentence = ["red", "car", ",", "red", "zebra"]
    assert titles == ["image 0", *sentence, "image 1", *sentence, "image 2", "red"]
    assert plt.get_fignums() == []


def test_maps_with_their_own_scales_say_so():
    maps = make_maps(image_size=(40, 60))
    figure = figures.word_grid(IMAGE, maps, scale="own")
    zebra = figure.axes[-1]
    assert zebra.get_title() == f"zebra\n≤ {maps['zebra'].resize().max():.2g}"
    assert zebra.images[-1].norm.vmax == pytest.approx(maps["zebra"].resize().max())
    assert "its own scale" in figure.get_suptitle()


def test_long_words_are_broken_and_words_without_maps_stay():
    figure = figures.word_grid(IMAGE, long_maps())
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert len(titles) == 31
    assert titles[2].replace("\n", "") == "extraordinarily"
    assert "\n" in titles[2]
    assert texts(*figure.axes).count("truncated") == 28


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        ([IMAGE], {}, "same number of images and heat maps, at least one of each, but got 1 and 2"),
        ([IMAGE] * 2, {"scale": "each"}, "'each'"),
        ([IMAGE] * 2, {"scale": "own", "vmax": 1.0}, "without a vmax"),
    ],
)
def test_invalid_word_grids_are_refused(images, options, message):
    with pytest.raises(ValueError, match=message):
        figures.word_grid(images, [make_maps()] * 2, **options)


# --- graph


def test_the_graph_writes_each_word_on_its_line_with_relation_and_weight():
    maps = make_maps()
    pairs = measure_pairs([maps, maps])
    ax = figures.dependency_graph(maps.sentence, pairs)
    words = {
        t.get_text(): t.get_position() for t in ax.texts if t.get_text() in maps.sentence.words
    }
    assert words["car"] == (0, 1)
    assert words["zebra"] == (1, 4)
    assert words["red"] == (2, 3)  # the second "red", a dependent of zebra
    notes = [t.get_text() for t in ax.texts if t.get_text() not in maps.sentence.words]
    assert notes == ["amod 0.33", "root", "punct (not measured)", "amod 1.00", "conj 0.00"]
    edge_to = {line.get_ydata()[-1]: line for line in ax.lines}
    assert edge_to[3].get_linewidth() > edge_to[0].get_linewidth() > edge_to[4].get_linewidth()
    assert edge_to[2].get_linestyle() == ":"
    bar = next(a for a in ax.figure.axes if a is not ax)
    assert bar.get_ylabel() == "attention overlap (IoU, 0 to 1)\nmean of 2 images"


def test_further_heads_are_curves():
    sentence = make_sentence("a b c", edges=[Edge(0, 1, "x"), Edge(1, 2, "y"), Edge(0, 2, "z")])
    maps = HeatMaps(make_maps().data[:1], SUBWORDS[:1], sentence, (4, 6))
    ax = figures.dependency_graph(sentence, measure_pairs(maps))
    # c has a straight edge from a and a curve from its sister b
    assert len(ax.lines) == 2
    assert len(ax.patches) == 1
    assert ax.texts[-1].get_text() == "y (not measured), z (not measured)"


def test_a_graph_is_of_one_prompt_and_all_its_edges():
    pairs = measure_pairs(make_maps())
    with pytest.raises(ValueError, match="pairs of 'red zebra' only"):
        figures.dependency_graph(make_sentence("red zebra", edges=()), pairs)
    with pytest.raises(ValueError, match=r"every ud edge .* relation='conj'"):
        figures.dependency_graph(make_sentence(), pairs[pairs["relation"] != "conj"])


# --- arcs with overlays


def test_maps_stand_below_their_words_on_one_scale():
    maps = make_maps(image_size=(40, 60))
    ax = figures.arcs_with_overlays(IMAGE, maps)
    ax.figure.draw_without_rendering()
    words = {t.get_text(): t.get_window_extent() for t in ax.texts}
    cells = ax.child_axes
    assert len(cells) == 5
    zebra, box = cells[4].get_window_extent(), words["zebra"]
    assert (zebra.x0 + zebra.x1) / 2 == pytest.approx((box.x0 + box.x1) / 2, abs=2)
    assert zebra.y1 < box.y0
    top = max(float(maps[i].resize().max()) for i in range(5))
    assert {cell.images[-1].norm.vmax for cell in cells} == {top}
    np.testing.assert_allclose(cells[4].images[-1].get_array(), maps["zebra"].resize())


def test_words_without_a_map_have_their_status_below_the_arcs():
    ax = figures.arcs_with_overlays(IMAGE, long_maps())
    assert texts(*ax.child_axes).count("truncated") == 28


# --- similarity


def test_the_fit_is_that_of_least_squares():
    table = make_similarities()
    ax = figures.similarity_scatter(table)
    known = table.dropna()
    expected = linregress(known["similarity"], known["iou"])
    margin = student_t.ppf(0.975, len(known) - 2) * expected.stderr
    slope, low, high = expected.slope, expected.slope - margin, expected.slope + margin
    assert line_of(ax, f"slope {slope:.2f} [{low:.2f}, {high:.2f}]")
    line = next(line for line in ax.lines if len(line.get_xdata()) == 50)
    np.testing.assert_allclose(line.get_ydata(), expected.intercept + slope * line.get_xdata())
    # at the mean similarity, the band is the interval of a mean with the variance of the residuals
    residuals = known["iou"] - expected.intercept - slope * known["similarity"]
    half = student_t.ppf(0.975, 5) * np.sqrt((residuals**2).sum() / 5 / 7)
    band = ax.collections[0].get_paths()[0].vertices
    center = band[np.abs(band[:, 0] - known["similarity"].mean()) < 0.01][:, 1]
    assert (center.max() - center.min()) / 2 == pytest.approx(half, rel=0.03)
    assert line_of(ax, "category 0 (3)").get_xdata().tolist() == [0.1, 0.2, 0.4]
    assert "7 pairs of words, 1 not measured" in ax.get_xlabel()


def test_categories_have_lines_of_their_own_or_the_reason_for_none():
    table = make_similarities()
    table.loc[table["category"] == "category 1", "similarity"] = 0.5
    ax = figures.similarity_scatter(table, fit="category")
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    assert labels[0].startswith("category 0 (3), slope 0.")
    assert labels[1] == "category 1 (4), no fit: too few pairs"
    assert len(ax.collections) == 1
    assert not figures.similarity_scatter(table, fit=None).collections
    with pytest.raises(ValueError, match="'each'"):
        figures.similarity_scatter(table, fit="each")


# --- breadth


def test_breadth_has_a_dot_per_prompt_and_its_mean_on_top():
    words = make_words()
    ax = figures.breadth_by_pos(words)
    rows = [t.get_text() for t in ax.get_yticklabels()]
    assert rows == ["PUNCT (0)", "NOUN (6)", "VERB (6)"]
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(sorted(dots[1].get_xdata()), 0.2 + 0.01 * np.arange(6))
    means = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "D"]
    np.testing.assert_allclose(means, [0.225, 0.525])
    estimate = estimate_mean(words[words["pos"] == "NOUN"], "area")
    (ends,) = ax.collections[0].get_segments()
    np.testing.assert_allclose(ends[:, 0], [estimate.low, estimate.high])
    assert "not measured" in [t.get_text() for t in ax.texts]
    assert "share of the image" in ax.get_xlabel()


def test_few_prompts_have_no_interval():
    ax = figures.breadth_by_pos(make_words(2))
    ends = [segment for c in ax.collections for segment in c.get_segments()]
    assert not any(np.isfinite(segment).any() for segment in ends)
    assert "hollow: none" in ax.get_xlabel()


# --- deletion


def test_curves_have_their_areas_and_references_are_gray():
    ax = figures.deletion_curves(make_curves(), change="|change| (0 to 1)")
    own, random = line_of(ax, "own mask (AUC 0.750)"), line_of(ax, "random (AUC 0.500)")
    assert own.get_xdata().tolist() == [0, 0.5, 1]
    assert random.get_color() == figures.CONTROL
    assert random.get_linestyle() == "--"
    assert ax.get_ylabel().startswith("|change| (0 to 1)")
    halves = make_curves().query("share >= 0.5")
    labels = [line.get_label() for line in figures.deletion_curves(halves).lines]
    assert labels == ["own mask (AUC 1.000)", "random (AUC 0.750)"]
    missing = make_curves().assign(mean=[np.nan] + [0.0] * 5)
    assert figures.deletion_curves(missing).lines[0].get_label() == "own mask (AUC –)"


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ([1, 0, 0.5, 1, 0, 50], "from 0 to 1, but got 0 to 50"),
        ([1, 0, 0, 1, 0, 0.5], "one row per curve and share"),
        ([1, 0, 0.5, 0.8, 0, 0.5], "own mask: 0 to 1, random: 0 to 0.8"),
    ],
)
def test_curves_that_cannot_be_compared_are_refused(shares, message):
    with pytest.raises(ValueError, match=message):
        figures.deletion_curves(make_curves().assign(share=shares))


# --- paper


def test_paper_sets_sizes_for_a_while_and_saved_text_stays_text(tmp_path):
    before = dict(plt.rcParams)
    with figures.paper():
        ax = figures.forest(make_summary())
    assert figures.save(ax, tmp_path / "forest.svg") == tmp_path / "forest.svg"
    figures.save(ax.figure, tmp_path / "forest.pdf")
    assert dict(plt.rcParams) == before
    assert ax.figure.get_figwidth() == pytest.approx(3.3)
    svg = (tmp_path / "forest.svg").read_text()
    assert "<text" in svg
    assert "nsubj (42)" in svg
    pdf = (tmp_path / "forest.pdf").read_bytes()
    assert b"/FontFile2" in pdf  # a TrueType font, whole letters
    assert b"/Type3" not in pdf


@pytest.mark.parametrize("kind", ["deuteranomaly", "protanomaly", "tritanomaly"])
def test_colors_differ_for_color_blind_readers(kind):
    space = {"name": "sRGB1+CVD", "cvd_type": kind, "severity": 100}
    palette = [to_rgb(c) for c in (*figures.PALETTE, figures.CONTROL)]
    seen = np.clip([colorspacious.cspace_convert(c, space, "sRGB1") for c in palette], 0, 1)
    for i, one in enumerate(seen):
        for other in seen[:i]:
            # In CAM02-UCS, a just noticeable difference is about 1 (Luo et al. 2006).
            assert colorspacious.deltaE(one, other, input_space="sRGB1") > 10


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda maps: figures.overlay(IMAGE, maps), "Expected HeatMap, .*`maps.*but got HeatMaps"),
        (lambda maps: figures.overview(maps, IMAGE), "Expected HeatMaps, .*but got ndarray"),
        (lambda maps: figures.arcs_with_overlays(maps, IMAGE), "Expected HeatMaps"),
        (lambda maps: figures.word_matrix([maps]), "Expected HeatMaps, .*but got list"),
        (lambda maps: figures.word_grid([IMAGE], [IMAGE]), "Expected HeatMaps.*but got ndarray"),
        (lambda maps: figures.dependency_arcs("a cat"), r"parse\('a red cat'\)`, but got str"),
        (lambda maps: figures.dependency_graph(maps, None), "Expected Sentence"),
    ],
)
def test_arguments_of_the_wrong_type_are_named(draw, message):
    with pytest.raises(TypeError, match=message):
        draw(make_maps())


def test_the_readability_check_finds_errors():
    for x, y, size, found in (
        (0.9, 0.5, 9, "leaves"),
        (0.1, 0.5, 5, "smaller than 6"),
        (0.1, 0.1, 9, "covers"),
    ):
        figure = plt.figure()
        figure.text(0.1, 0.12, "another text")
        figure.text(x, y, "a text, rather long", fontsize=size)
        with pytest.raises(AssertionError, match=found):
            assert_readable(figure)
