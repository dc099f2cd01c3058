import numpy as np

from daam_syntax import figures
from daam_syntax.analysis import estimate_mean
from helpers.figure_data import make_words


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
