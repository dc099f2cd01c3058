"""A blind sheet: what the reader gets, what is kept apart, and the scores of a known filled form."""

import csv
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from benchmarks.emoji_model.blind.reading import agreement, read_form, score_sheet
from benchmarks.emoji_model.blind.sheet import COLUMNS, FORM, key_path, write_sheet
from benchmarks.emoji_model.intervals import wilson
from daam_syntax.emoji.annotator import Annotator
from daam_syntax.emoji.vocabulary import NOUNS
from daam_syntax.errors import FileError

N_DRAWN, N_EXACT = 2, 40


@pytest.fixture(scope="module")
def folder(emoji_pipe, tmp_path_factory):
    path = tmp_path_factory.mktemp("blind") / "sheet"
    write_sheet(
        emoji_pipe,
        Annotator.load(),
        path,
        n_drawn=N_DRAWN,
        n_exact=N_EXACT,
        seed=5,
        progress=False,
    )
    return path


@pytest.fixture
def key(folder):
    return json.loads(key_path(folder).read_text())["images"]


def fill(folder, rows, target):
    """Copy the sheet's form to a folder with answers: names, and "yes" if mixed."""
    target.mkdir(exist_ok=True)
    key_path(target).write_bytes(key_path(folder).read_bytes())
    with (target / FORM).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for i, (names, mixed) in enumerate(rows, start=1):
            writer.writerow([i, *(*names, "", "", "")[:3], mixed])
    return target


def test_the_reader_gets_images_and_an_empty_form_but_no_labels(folder, key):
    assert {p.name for p in folder.iterdir()} == {FORM, "sheet.html", "sheet-1.png", "sheet-2.png"}
    with (folder / FORM).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [str(i + 1) for i in range(N_DRAWN + N_EXACT)]
    assert {row[c] for row in rows for c in COLUMNS[1:]} == {""}
    page = (folder / "sheet.html").read_text()
    assert page.count("<img ") == N_DRAWN + N_EXACT
    assert all(noun in page for noun in NOUNS)
    assert not any(entry["prompt"] in page for entry in key)
    assert Image.open(folder / "sheet-1.png").width > 1000


def test_the_images_are_shuffled_and_all_nouns_equally_frequent(key):
    sources = [entry["source"] for entry in key]
    assert Counter(sources) == {"drawn": N_DRAWN, "exact": N_EXACT}
    assert sources != sorted(sources)
    counts = Counter(n for e in key if e["source"] == "exact" for n in e["nouns"])
    assert set(counts.values()) <= {1, 2}
    assert Counter(len(entry["nouns"]) for entry in key) == {1: 21, 2: 21}


def test_a_sheet_is_not_written_over_a_filled_one(folder, emoji_pipe):
    with pytest.raises(FileExistsError):
        write_sheet(emoji_pipe, Annotator.load(), folder)


def test_a_perfect_reading(folder, key, tmp_path):
    rows = [(sorted(entry["nouns"], reverse=True), "") for entry in key]
    found = score_sheet(fill(folder, rows, tmp_path / "filled"), "the key itself")
    assert found["reader"] == "the key itself"
    assert found["exact"]["images right"] == wilson(N_EXACT, N_EXACT)
    assert found["drawn"]["nouns named"] == wilson(3, 3)
    assert set(map(tuple, found["drawn nouns named"].values())) == {(1, 1)}
    faulty = sum(bool(e["faults"]) for e in key if e["source"] == "drawn")
    assert found["annotator"]["leniency"]["difference"] == -faulty / N_DRAWN


def test_a_reading_with_known_mistakes(folder, key, tmp_path):
    rows = []
    exact = [entry for entry in key if entry["source"] == "exact"]
    for entry in key:
        names, mixed = list(entry["nouns"]), ""
        if entry is exact[0]:
            names = ["?"]
        elif entry is exact[1]:
            mixed = "yes"
        elif entry is exact[2]:
            names = [*names, names[0]]  # one too many
        elif entry["source"] == "drawn":
            names = ["none"]
        rows.append((names, mixed))
    found = score_sheet(fill(folder, rows, tmp_path / "filled"), "somebody")
    n = sum(len(entry["nouns"]) for entry in exact)
    assert found["exact"]["images right"] == wilson(N_EXACT - 3, N_EXACT)
    assert found["exact"]["nouns named"] == wilson(n - len(exact[0]["nouns"]), n)
    assert found["drawn"]["nouns named"] == wilson(0, 3)
    judge = found["annotator"]
    assert judge["right by reader"] == wilson(0, N_DRAWN)
    assert judge["specificity"]["n"] == N_DRAWN
    assert judge["sensitivity"]["n"] == 0


def test_leniency_is_the_difference_on_the_same_images():
    verdicts = (
        [(True, True)] * 120 + [(True, False)] * 8 + [(False, True)] * 2 + [(False, False)] * 10
    )
    found = agreement(verdicts)
    assert found["right by annotator"] == wilson(128, 140)
    assert found["right by reader"] == wilson(122, 140)
    assert found["leniency"]["difference"] == 6 / 140
    assert found["sensitivity"] == wilson(120, 122)
    assert found["specificity"] == wilson(10, 18)
    assert found["agree"] == wilson(130, 140)
    # On the images that were read, the correction gives back what the reader said.
    assert found["corrected"]["share"] == pytest.approx(122 / 140)
    assert found["corrected"]["low"] < 122 / 140 < found["corrected"]["high"]


def test_all_problems_of_a_form_are_named_at_once(folder, tmp_path):
    rows = [(["cat"], ""), ([], ""), (["kitten"], ""), (["none", "cat"], ""), (["dog"], "perhaps")]
    filled = fill(folder, rows, tmp_path / "filled")
    with pytest.raises(FileError) as error:
        read_form(filled / FORM, 6)
    for part in (
        "image 2 has no answer (write 'none' where there is nothing)",
        "image 3 has 'kitten', which is not one of the names",
        "image 4 has 'none' beside a name",
        "image 5 has 'perhaps' in the column mixed",
        "image 6 is missing",
    ):
        assert part in str(error.value)
    with pytest.raises(FileError, match="image 2 is not on the sheet"):
        read_form(fill(folder, [(["cat"], "")] * 2, tmp_path / "longer") / FORM, 1)
    with pytest.raises(FileError, match=r"the filled form .* does not exist"):
        read_form(tmp_path / "nowhere" / FORM, 1)


def test_names_may_be_written_in_capitals_and_with_spaces(folder, tmp_path):
    filled = fill(folder, [([" Cat", "DOG "], "Yes")], tmp_path / "filled")
    (answer,) = read_form(filled / FORM, 1)
    assert answer.names == ("cat", "dog")
    assert answer.mixed
    np.testing.assert_array_equal(answer.named(["dog", "dog"]), [True, False])


def test_a_sheet_without_its_key_cannot_be_scored(tmp_path):
    (tmp_path / "sheet").mkdir()
    with pytest.raises(FileError, match=r"key of the sheet at .*sheet\.key\.json"):
        score_sheet(tmp_path / "sheet", "nobody")
