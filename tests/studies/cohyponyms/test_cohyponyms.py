"""The study of cohyponyms end to end with tiny settings, and its parts on made-up input."""

import numpy as np
import pandas as pd
import pytest
import wn
from PIL import Image

from daam_syntax.errors import FileError, StudyError
from daam_syntax.studies import run_study
from daam_syntax.studies.cohyponyms.correctness import (
    Rates,
    check_images,
    read_sheets,
    write_sheet,
)
from daam_syntax.studies.cohyponyms.findings import of_correctness
from daam_syntax.studies.cohyponyms.similarity import find_similarity
from daam_syntax.studies.cohyponyms.word_pairs import read_pairs, word_pair
from daam_syntax.util.data_files import data_path
from helpers.commands import run_here

PROMPTS = ["a cat and a dog", "a cat and an owl", "a cat and a pizza"]
TINY = {"seeds": 2, "steps": 2, "rates": Rates(0.9, 0.8)}


@pytest.fixture(scope="module")
def result(emoji_pipe):
    return run_study("cohyponyms", emoji_pipe, prompts=PROMPTS, **TINY)


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
    assert page.count("data:image/png;base64,") == len(result.figures) == 2


def test_judgments_of_people_replace_those_of_the_annotator(emoji_pipe, tmp_path):
    options = {"prompts": PROMPTS, "seeds": 1, "steps": 1, "sheet": tmp_path}
    run_study("cohyponyms", emoji_pipe, **options, rates=Rates(1, 1))
    sheet = pd.read_csv(tmp_path / "sheet.csv")
    assert list(sheet) == ["file", "first", "second", "first_shown", "second_shown"]
    filled = tmp_path / "one.csv"
    sheet.assign(first_shown=1, second_shown=(sheet["second"] == "owl") * 1).to_csv(filled)
    judged = run_study("cohyponyms", emoji_pipe, **options, judgments=[filled])
    assert list(judged.tables["images"]["correct"]) == [0, 1, 0]
    assert judged.provenance["judge"] == "people"

    with pytest.raises(StudyError, match="images that were judged"):
        run_study("cohyponyms", emoji_pipe, **options | {"seeds": 2}, judgments=[filled])
    with pytest.raises(FileError, match="without a sheet"):
        run_study("cohyponyms", emoji_pipe, **options)


def test_images_other_than_those_judged_are_refused(tmp_path):
    drawn = {"a-0": Image.new("RGB", (2, 2), (9, 0, 0)), "b-0": Image.new("RGB", (2, 2), (0, 9, 0))}
    write_sheet([(name, image, "cat", "dog") for name, image in drawn.items()], tmp_path)
    check_images(tmp_path, drawn)
    with pytest.raises(StudyError, match="are different"):
        check_images(tmp_path, {"a-0": drawn["b-0"], "b-0": drawn["a-0"]})


def judged(correct):
    return pd.DataFrame(
        {
            "prompt_id": list("aabbcc"),
            "image": range(6),
            "first": list("ppqqrr"),
            "second": list("sstttt"),
            "level": ["cohyponym"] * 2 + ["unrelated"] * 4,
            "similarity": [1] * 2 + [0] * 4,
            "category": "x",
            "correct": correct,
        }
    )


def test_an_outcome_that_does_not_vary_is_reported_as_such():
    finding = of_correctness(judged([1.0] * 6), "correct", "title")
    assert not finding.estimates
    (note,) = finding.notes
    assert "does not vary: 6 of 6 images, of 3 prompts" in note
    assert (
        f"{0.025 ** (1 / 3):.3f} to 1.000" in note
    )  # for n of n, the lower limit is the nth root of 0.025
    assert "undefined" in note


def test_corrected_shares_stay_shares():
    values = [1.1, 1.1, 1.1, 0.4, 0.4, 1.1]
    finding = of_correctness(judged(values).rename(columns={"correct": "c"}), "c", "title")
    by_label = {estimate.label: estimate.estimate for estimate in finding.estimates}
    assert by_label["cohyponym"] == 1
    assert by_label["unrelated"] == pytest.approx(0.75)


def test_sheets_are_blind_and_read_back_with_agreement(tmp_path):
    images = [(f"image-{i}", Image.new("RGB", (2, 2), (i, 0, 0)), "cat", "dog") for i in range(8)]
    sheet = pd.read_csv(write_sheet(images, tmp_path, seed=1))
    key = pd.read_csv(tmp_path / "key.csv")
    assert list(key["image"]) != [name for name, *_ in images]
    for file, image in key.itertuples(index=False):
        with Image.open(tmp_path / "images" / file) as found:
            assert f"image-{found.getpixel((0, 0))[0]}" == image
    judgments = {"a": [1, 1, 1, 1, 0, 0, 0, 0], "b": [1, 1, 1, 0, 0, 0, 0, 1]}
    files = []
    for name, second in judgments.items():
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


def test_correction_undoes_the_errors_of_the_judge():
    rates, truth = Rates(0.85, 0.95), 0.3
    said = truth * 0.85 + (1 - truth) * 0.05
    assert rates.correct(said) == pytest.approx(truth)
    assert np.isnan(Rates(0.5, 0.5).correct(0.5))


def test_word_pairs_from_a_file(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(
        "prompt,slot.first,slot.second,metadata.similarity\na cat and a dog,cat,dog,0.8\n",
        encoding="utf-8",
    )
    (pair,) = read_pairs(path)
    assert (pair.first, pair.similarity, pair.level) == ("cat", 0.8, "similarity 0.8")
    path.write_text("prompt,slot.first\na cat,cat\na dog,dog\n", encoding="utf-8")
    with pytest.raises(FileError, match="2 prompts lack one: 'a cat', 'a dog'"):
        read_pairs(path)


def test_the_shipped_pairs_agree_with_their_words():
    pairs = read_pairs(data_path("prompts", "cohyponyms.csv"))
    assert pairs == tuple(word_pair(pair.first, pair.second) for pair in pairs)


@pytest.mark.parametrize(
    ("nouns", "level"), [(("cat", "dog"), 1), (("cat", "owl"), 0.5), (("cat", "bus"), 0)]
)
def test_similarity_is_graded(nouns, level):
    assert word_pair(*nouns).similarity == level


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory):
    """Nouns in WNDB format: entity > animal > (mammal > (cat > Garfield, dog), bird), and entity > cat (a man)."""
    lines = [
        "  1 A license, indented.",
        "00001740 03 n 01 entity 0 001 ~ 00001930 n 0000 | what is",
        "00001930 03 n 01 animal 0 002 @ 00001740 n 0000 ~ 00002000 n 0000 | an | animal",
        "00002000 05 n 01 mammal 0 001 @ 00001930 n 0000 | a mammal",
        "00003000 05 n 02 cat 0 true_cat 0 001 @ 00002000 n 0000 | a cat",
        "00004000 05 n 01 dog 0 001 @ 00002000 n 0000 | a dog",
        "00005000 05 n 01 Bird 0 001 @ 00001930 n 0000 | a bird",
        "00006000 18 n 01 cat 0 001 @ 00001740 n 0000 | a man",
        "00007000 18 n 01 Garfield 0 001 @i 00003000 n 0000 | a cat",
    ]
    folder = tmp_path_factory.mktemp("wordnet")
    (folder / "data.noun").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("cat", "cat", 1),
        ("cat", "dog", 2 * 3 / (1 + 1 + 2 * 3)),  # below mammal, the third from the root
        ("dog", "bird", 2 * 2 / (2 + 1 + 2 * 2)),  # below animal
        ("true cat", "Dog", 2 * 3 / (1 + 1 + 2 * 3)),
        ("Garfield", "cat", 2 * 4 / (1 + 0 + 2 * 4)),
        ("entity", "dog", 2 * 1 / (0 + 3 + 2 * 1)),
    ],
)
def test_similarity_by_hand(wordnet, first, second, expected):
    alike = find_similarity(wordnet)
    assert alike(first, second) == alike(second, first) == pytest.approx(expected)


def test_missing_words_and_invalid_wordnet_files_are_refused(wordnet, tmp_path):
    with pytest.raises(StudyError, match="lacks 'teapot'"):
        find_similarity(wordnet)("cat", "teapot")
    with pytest.raises(FileError, match=r"data\.noun"):
        find_similarity(tmp_path)
    (tmp_path / "data.noun").write_text("not a WordNet\n", encoding="utf-8")
    with pytest.raises(FileError, match="WNDB format"):
        find_similarity(tmp_path)


def test_the_library_wn_agrees(wordnet, tmp_path, monkeypatch):
    edges = {"entity": "", "animal": "entity", "mammal": "animal", "cat": "mammal", "dog": "mammal"}
    edges |= {"bird": "animal", "man": "entity"}
    words = [(word, word) for word in edges] + [("cat", "man")]
    senses: dict[str, list[str]] = {}
    for word, synset in words:
        senses.setdefault(word, []).append(synset)
    entries = "".join(
        f'<LexicalEntry id="t-{word}"><Lemma writtenForm="{word}" partOfSpeech="n"/>'
        + "".join(f'<Sense id="t-{word}-{s}" synset="t-{s}"/>' for s in found)
        + "</LexicalEntry>"
        for word, found in senses.items()
    )
    synsets = "".join(
        f'<Synset id="t-{word}" ili="" partOfSpeech="n">'
        + (f'<SynsetRelation relType="hypernym" target="t-{above}"/>' if above else "")
        + "</Synset>"
        for word, above in edges.items()
    )
    path = tmp_path / "tiny.xml"
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE LexicalResource SYSTEM '
        '"http://globalwordnet.github.io/schemas/WN-LMF-1.0.dtd">\n<LexicalResource>'
        '<Lexicon id="t" label="tiny" language="en" email="a@b.c" license="none" version="1">'
        f"{entries}{synsets}</Lexicon></LexicalResource>",
        encoding="utf-8",
    )
    monkeypatch.setattr(wn.config, "data_directory", tmp_path / "wn")
    with pytest.raises(StudyError, match="wn download t:1"):
        find_similarity("wn:t:1")
    wn.add(path, progress_handler=None)
    one, other = find_similarity("wn:t:1"), find_similarity(wordnet)
    for pair in (("cat", "dog"), ("dog", "bird"), ("cat", "entity"), ("cat", "cat")):
        assert one(*pair) == pytest.approx(other(*pair))
    with pytest.raises(StudyError, match="lacks 'teapot'"):
        one("cat", "teapot")


def test_other_nouns_need_a_wordnet(emoji_pipe, wordnet):
    options = {"seeds": 1, "steps": 1, "similarity": wordnet, "rates": Rates(1, 1)}
    result = run_study("cohyponyms", emoji_pipe, prompts=["a dog and a bird"], **options)
    (row,) = result.tables["word_pairs"].to_dict("records")
    assert row["similarity"] == pytest.approx(2 * 2 / (2 + 1 + 2 * 2))
    assert "correct" not in result.tables["images"]
    assert "knows only the embedded world" in result.findings["Images that show both nouns"][0]


def test_the_command_line(tmp_path, wordnet):
    path = tmp_path / "pairs.csv"
    header = "prompt,slot.first,slot.second,metadata.similarity"
    path.write_text(f"{header}\na cat and a dog,cat,dog,0\n", encoding="utf-8")
    command = ["study", "cohyponyms", "--seeds", 1, "--steps", 1]
    command += ["--pairs", path, "--similarity", wordnet, "--sheet", "people"]
    done = run_here(*command, "--out", "one", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "people/sheet.csv (not of key.csv)" in done.stdout
    assert pd.read_csv(tmp_path / "one/word_pairs.csv")["similarity"][0] == 0.75
    filled = tmp_path / "filled.csv"
    sheet = pd.read_csv(tmp_path / "people/sheet.csv")
    sheet.assign(first_shown=1, second_shown=0).to_csv(filled)
    command += ["--judgments", filled, "--judgments", filled, "--out", "two"]
    done = run_here(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "judged by people" in done.stdout
    assert pd.read_csv(tmp_path / "two/judge.csv")["n_annotators"][0] == 2


def test_unknown_nouns_are_refused(emoji_pipe):
    with pytest.raises(StudyError, match="has 1"):
        run_study("cohyponyms", emoji_pipe, prompts="a cat and a teapot", **TINY)
