"""The study of cohyponyms, end to end with tiny settings; its design, corrections and sheets on made-up input."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from daam_syntax.errors import FileError, StudyError
from daam_syntax.studies import run_study
from daam_syntax.studies.cohyponyms import LEVELS, default_pairs, read_pairs, word_pair
from daam_syntax.studies.correctness import Rates, read_sheets, write_sheet

PROMPTS = ["a cat and a dog", "a cat and an owl", "a cat and a pizza"]
TINY = {"seeds": 2, "steps": 2, "rates": Rates(0.9, 0.8)}


@pytest.fixture(scope="module")
def result(emoji_pipe):
    return run_study("cohyponyms", emoji_pipe, prompts=PROMPTS, **TINY)


def test_every_noun_stands_once_per_level_always_in_the_same_place():
    pairs = default_pairs()
    assert Counter(pair.level for pair in pairs) == dict.fromkeys(LEVELS, 12)
    for place in ("first", "second"):
        nouns = Counter((pair.level, getattr(pair, place)) for pair in pairs)
        assert set(nouns.values()) == {1}
        assert len({noun for _, noun in nouns}) == 12
    assert not {pair.first for pair in pairs} & {pair.second for pair in pairs}
    assert pairs[0].prompt == "a cat and a dog"


def test_end_to_end(result, tmp_path):
    images = result.tables["images"]
    assert list(images["level"]) == ["cohyponym"] * 2 + ["same kind"] * 2 + ["unrelated"] * 2
    both = images["first_shown"] & images["second_shown"]
    assert (images["correct"] == both).all()
    np.testing.assert_allclose(images["correct_adjusted"], (images["correct"] - 0.2) / 0.7)
    means = result.tables["word_pairs"]
    assert list(means["n_images"]) == [2, 2, 2]
    assert means["iou"][0] == pytest.approx(images["iou"][:2].mean())
    page = result.write(tmp_path).read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(result.figures) == 3


def test_what_people_saw_counts_instead_of_the_annotator(emoji_pipe, tmp_path):
    options = {"prompts": PROMPTS, "seeds": 1, "steps": 1, "sheet": tmp_path}
    run_study("cohyponyms", emoji_pipe, **options, rates=Rates(1, 1))
    sheet = pd.read_csv(tmp_path / "sheet.csv")
    assert list(sheet) == ["picture", "first", "second", "first_shown", "second_shown"]
    filled = tmp_path / "one.csv"
    sheet.assign(first_shown=1, second_shown=(sheet["second"] == "owl") * 1).to_csv(filled)
    judged = run_study("cohyponyms", emoji_pipe, **options, judgements=[filled])
    assert list(judged.tables["images"]["correct"]) == [0, 1, 0]
    assert judged.provenance["judge"] == "people"


def test_sheets_are_blind_and_read_back_with_agreement(tmp_path):
    pictures = [(f"image-{i}", Image.new("RGB", (2, 2), (i, 0, 0)), "cat", "dog") for i in range(8)]
    sheet = pd.read_csv(write_sheet(pictures, tmp_path, seed=1))
    key = pd.read_csv(tmp_path / "key.csv")
    assert list(key["image"]) != [name for name, *_ in pictures]
    for picture, image in key.itertuples(index=False):
        with Image.open(tmp_path / "pictures" / picture) as found:
            assert f"image-{found.getpixel((0, 0))[0]}" == image
    answers = {"a": [1, 1, 1, 1, 0, 0, 0, 0], "b": [1, 1, 1, 0, 0, 0, 0, 1]}
    files = []
    for name, second in answers.items():
        files.append(tmp_path / f"{name}.csv")
        sheet.assign(first_shown=1, second_shown=second).to_csv(files[-1], index=False)
    found = read_sheets(tmp_path, files)
    assert found.kappa == pytest.approx((6 / 8 - 0.5) / 0.5)  # Cohen (1960) by hand
    assert found.n_annotators == 2
    assert found.correct[key["image"][0]] == 1
    assert found.correct[key["image"][3]] == 0.5
    assert np.isnan(read_sheets(tmp_path, files[:1]).kappa)
    with pytest.raises(StudyError, match="Expected 0 or 1"):
        read_sheets(tmp_path, [tmp_path / "sheet.csv"])
    with pytest.raises(FileError, match="first_shown"):
        read_sheets(tmp_path, [tmp_path / "key.csv"])


def test_correction_undoes_what_errors_do():
    rates, truth = Rates(0.85, 0.95), 0.3
    said = truth * 0.85 + (1 - truth) * 0.05
    assert rates.correct(said) == pytest.approx(truth)
    assert np.isnan(Rates(0.5, 0.5).correct(0.5))


def test_word_pairs_from_a_file(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(
        "prompt,first,second,similarity\na cat and a dog,cat,dog,0.8\n", encoding="utf-8"
    )
    (pair,) = read_pairs(path)
    assert (pair.first, pair.similarity, pair.level) == ("cat", 0.8, "similarity 0.8")
    path.write_text("prompt,first\na cat,cat\n", encoding="utf-8")
    with pytest.raises(FileError, match="second, similarity"):
        read_pairs(path)


@pytest.mark.parametrize(
    ("nouns", "level"), [(("cat", "dog"), 1), (("cat", "owl"), 0.5), (("cat", "bus"), 0)]
)
def test_similarity_is_graded(nouns, level):
    assert word_pair(*nouns).similarity == level


def test_unknown_nouns_are_refused(emoji_pipe):
    with pytest.raises(StudyError, match="has 1"):
        run_study("cohyponyms", emoji_pipe, prompts="a cat and a teapot", **TINY)
