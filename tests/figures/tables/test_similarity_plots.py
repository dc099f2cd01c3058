import numpy as np
import pytest
from scipy.stats import linregress
from scipy.stats import t as student_t

from daam_syntax import figures
from helpers.figure_data import line_of, make_similarities


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
