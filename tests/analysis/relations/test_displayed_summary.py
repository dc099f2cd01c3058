"""What a summary shows of itself: eight columns, with its notes as footnotes."""

import pickle

import pandas as pd
import pytest

from daam_syntax.analysis import measure_pairs, summarize, write_table
from helpers.examples import make_maps


@pytest.fixture(scope="module")
def summary():
    return summarize(measure_pairs(make_maps(image_size=(40, 60)), threshold=0.4), n_resamples=99)


def test_a_number_is_a_share_of_the_maximum(summary):
    assert set(summary["threshold"]) == {"relative:0.4"}


def test_the_view_has_the_columns_that_one_reads(summary):
    assert list(summary.view().columns) == [
        "relation",
        "n",
        "IoU",
        "difference",
        "95% interval",
        "p (Holm)",
        "phi difference",
        "p of phi",
    ]
    assert len(summary.view()) == len(summary)


def test_it_fits_a_terminal_and_its_notes_are_footnotes(summary):
    head, *footnotes = repr(summary).split("(a): ")
    assert max(map(len, repr(summary).splitlines())) <= 80
    assert footnotes
    assert "(a)" in head
    (note,) = set(summary.loc[summary["note"] != "", "note"].head(1))
    assert note in repr(summary).replace("\n", " ")
    assert note in summary._repr_html_().replace("&#x27;", "'").replace("&quot;", '"')


def test_a_p_value_that_can_only_be_one_is_not_shown(summary):
    """With one prompt, both signs of its difference are all patterns that there are."""
    tested = summary["p_adjusted"].notna() & summary["corrected_p_adjusted"].notna()
    first = summary["relation"] == summary.loc[tested, "relation"].iloc[0]
    many, one = summary.copy(), summary.copy()
    many["least_p"] = 0.01
    one["least_p"] = many["least_p"].where(~first, 1.0)
    shown, before = one.view(), many.view()
    for column in ("p (Holm)", "p of phi"):
        assert (before.loc[first.to_numpy(), column] != "-").all()
        assert (shown.loc[first.to_numpy(), column] == "-").all()
        others = ~first.to_numpy()
        assert shown.loc[others, column].equals(before.loc[others, column])


def test_tables_made_from_it_are_tables(summary):
    assert "note" in pd.DataFrame(summary).to_string()
    assert "95% interval" not in repr(summary[["relation", "iou"]])
    assert "95% interval" in repr(summary[summary["kind"] == "dependency"])
    back = pickle.loads(pickle.dumps(summary))  # noqa: S301  # a value of this test
    assert repr(back) == repr(summary)


def test_a_paper_gets_readable_headings_and_footnotes(summary, tmp_path):
    for suffix in ("tex", "md", "html", "csv"):
        write_table(summary, tmp_path / f"table.{suffix}", style="paper")
    tex = (tmp_path / "table.tex").read_text()
    assert r"95\% interval" in tex
    assert "(a): " in tex
    assert "n_prompts" not in tex
    assert "lrrrrrrr" in tex


def test_columns_can_be_chosen_and_renamed(summary, tmp_path):
    path = tmp_path / "table.md"
    write_table(summary, path, columns={"relation": "Relation", "iou": "mean IoU"})
    assert path.read_text().startswith("| Relation")
    write_table(summary, path, columns=["relation", "n_pairs"])
    assert path.read_text().splitlines()[0].split() == ["|", "relation", "|", r"n\_pairs", "|"]
    with pytest.raises(ValueError, match="it has no area"):
        write_table(summary, path, columns=["relation", "area"])
    with pytest.raises(ValueError, match="'booktabs'"):
        write_table(summary, path, style="booktabs")
