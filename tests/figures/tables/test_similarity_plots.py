import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress

from daam_syntax import figures
from daam_syntax.analysis import regress
from helpers.figure_data import line_of, make_similarities


def test_the_fit_is_that_of_least_squares():
    table = make_similarities()
    ax = figures.similarity_scatter(table)
    known = table.dropna()
    expected = linregress(known["similarity"], known["iou"])
    places = np.arange(len(known))
    terms = regress(
        known.assign(prompt_id=places, image=places),
        by=None,
        covariates=["similarity"],
        within=None,
    ).terms.set_index("term")
    low, high = terms.loc["similarity", ["low", "high"]]
    assert terms.loc["similarity", "estimate"] == pytest.approx(expected.slope)
    assert line_of(ax, f"slope {expected.slope:.2f}, 95% interval [{low:.2f}, {high:.2f}]")
    line = next(line for line in ax.lines if line.get_linestyle() == "-" and len(line.get_xdata()))
    np.testing.assert_allclose(
        line.get_ydata(), expected.intercept + expected.slope * line.get_xdata()
    )
    assert line_of(ax, "category 0 (3)").get_xdata().tolist() == [0.1, 0.2, 0.4]
    assert "7 pairs of words, 1 not measured" in ax.get_xlabel()


def test_categories_have_lines_of_their_own_or_the_reason_for_none():
    table = make_similarities()
    table.loc[table["category"] == "category 1", "similarity"] = 0.5
    ax = figures.similarity_scatter(table, fit="category")
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    assert labels[0].startswith("category 0 (3), slope 0.")
    assert labels[0].endswith("no interval: too few pairs")
    assert labels[1] == "category 1 (4), no fit: too few pairs"
    with pytest.raises(ValueError, match="'each'"):
        figures.similarity_scatter(table, fit="each")


def test_pairs_with_a_word_in_common_are_not_independent():
    """Ten words, each in the pairs with two others: the interval has errors clustered by both words."""
    rng = np.random.default_rng(0)
    words = [f"w{k}" for k in range(10)]
    effect = dict(zip(words, rng.normal(0, 0.2, 10), strict=True))
    near = dict(zip(words, rng.random(10), strict=True))
    pairs = [(words[k], words[(k + step) % 10]) for k in range(10) for step in (1, 3, 5)]
    table = pd.DataFrame(pairs, columns=["first", "second"]).assign(
        category="all",
        similarity=[near[a] for a, _ in pairs],
        iou=[0.5 + effect[a] + rng.normal(0, 0.02) for a, _ in pairs],
    )
    own, alone = (
        figures.similarity_scatter(each).get_legend().get_texts()[1].get_text()
        for each in (table, table.drop(columns=["first", "second"]))
    )
    widths = [
        np.ptp([float(end) for end in note.split("[")[1].strip("]").split(", ")])
        for note in (own, alone)
    ]
    assert own.split(" [")[0] == alone.split(" [")[0]
    assert widths[0] > 1.3 * widths[1]
