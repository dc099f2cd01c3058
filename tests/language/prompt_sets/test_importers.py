"""Importers of published sets. The fixtures have their formats, but not their prompts."""

import json

import pytest

from daam_syntax.errors import DaamSyntaxError, FileError, PromptFileError
from daam_syntax.language import PromptSet
from daam_syntax.language.prompt_sets.articles import fit_articles

PARTI = 'Prompt\tCategory\tChallenge\tNote\n"B I G" on a wall\tArts\tBasic\tTest\na frog\tAnimals\tBasic\t\n'
DRAWBENCH = 'Prompts,Category\nTwo green frogs.,Counting\n"A frog, asleep.",Descriptions\n'
DVMP = """prompt,num_modifiers,num_phrases,subjects
a spotted frog and a teal bench,2,2,"['frog', 'bench']"
"""
GENEVAL = [
    {"tag": "counting", "include": [{"class": "frog", "count": 2}], "prompt": "two frogs"},
    {"tag": "colors", "include": [], "exclude": [], "prompt": "a photo of a teal frog"},
]
COCO = {
    "info": {"year": 2017},
    "licenses": [],
    "images": [{"id": 7, "file_name": "000000000007.jpg"}],
    "annotations": [
        {"image_id": 7, "id": 48, "caption": "A frog on a leaf.\n"},
        {"image_id": 9, "id": 50, "caption": "A frog on a leaf."},
        {"image_id": 9, "id": 51, "caption": "Two frogs swim"},
    ],
}
SWAPS = """An orange frog, near a teal leaf.
An teal frog , near a orange leaf .
a frog by itself
A black and black frog.
A black and black frog .
a red pond and a blue leaf\t
a blue pond and a red leaf
"""


def read(tmp_path, name, text, format=None, **options):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return PromptSet.from_file(path, format, **options)


def rows_of(prompts):
    return [{k: v for k, v in row.values().items() if k != "id"} for row in prompts.rows]


def test_partiprompts(tmp_path):
    prompts = read(tmp_path, "PartiPrompts.tsv", PARTI)
    note = {"metadata.challenge": "Basic", "source": "PartiPrompts"}
    assert rows_of(prompts) == [
        {"prompt": '"B I G" on a wall', "category": "Arts", "metadata.note": "Test", **note},
        {"prompt": "a frog", "category": "Animals", **note},
    ]
    assert read(tmp_path, "p.txt", PARTI, "partiprompts") == prompts


def test_drawbench(tmp_path):
    prompts = read(tmp_path, "drawbench.csv", DRAWBENCH)
    assert list(prompts) == ["Two green frogs.", "A frog, asleep."]
    assert prompts.to_frame()["category"].tolist() == ["Counting", "Descriptions"]
    assert prompts.rows[0].source == "DrawBench"


def test_dvmp_and_its_lists_that_are_not_run(tmp_path):
    (row,) = read(tmp_path, "dvmp.csv", DVMP).rows
    assert row.metadata == {
        "num_modifiers": "2",
        "num_phrases": "2",
        "subjects": "['frog', 'bench']",
    }


def test_geneval(tmp_path):
    text = "".join(json.dumps(each) + "\n" for each in GENEVAL)
    prompts = read(tmp_path, "evaluation_metadata.jsonl", text)
    assert prompts.rows[0].category == "counting"
    assert json.loads(prompts.rows[0].metadata["include"]) == GENEVAL[0]["include"]
    assert set(prompts.rows[1].metadata) == {"include", "exclude"}
    columns = {"prompt": "prompt", "tag": "relation"}
    assert read(tmp_path, "x.jsonl", text, columns=columns).rows[1].relation == "colors"


def test_coco_captions(tmp_path):
    prompts = read(tmp_path, "captions_val2017.json", json.dumps(COCO))
    assert rows_of(prompts) == [
        {"prompt": "A frog on a leaf.", "source": "COCO", "metadata.image_id": "7"},
        {"prompt": "Two frogs swim", "source": "COCO", "metadata.image_id": "9"},
    ]
    assert [row.id for row in prompts.rows] == ["48", "51"]
    (again,) = prompts.problems
    assert "'A frog on a leaf.' is also in row 1" in again.message


@pytest.mark.parametrize(
    "text", ["[1]", '{"annotations": {}}', '{"annotations": [', "{}", "[" * 99_999]
)
def test_other_json_is_not_coco(text, tmp_path):
    with pytest.raises(FileError, match="Expected captions of COCO"):
        read(tmp_path, "captions.json", text)


def test_damaged_annotations_are_reported(tmp_path):
    damaged = {"annotations": [7, {"caption": None, "id": 1}, {"caption": "a frog", "id": "../1"}]}
    with pytest.raises(PromptFileError) as caught:
        read(tmp_path, "captions.json", json.dumps(damaged))
    assert [problem.row for problem in caught.value.problems] == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("color_val_unseen", ("color", "val", "unseen")),
        ("complex_train_spatialaction", ("complex", "train", "spatialaction")),
        ("spatial_train", ("spatial", "train", "")),
        ("non_spatial_val", ("non_spatial", "val", "")),
        ("numeracy", ("numeracy", "", "")),
        ("3d_spatial", ("3d_spatial", "", "")),
        ("mine", ("", "", "")),
    ],
)
def test_compbench_has_its_category_in_the_file_name(name, known, tmp_path):
    prompts = read(tmp_path, f"{name}.txt", "a teal frog\r\n\r\na frog\r\n", "compbench")
    assert list(prompts) == ["a teal frog", "a frog"]
    for row in prompts.rows:
        found = (row.category, row.metadata.get("split", ""), row.metadata.get("part", ""))
        assert found == known


def test_lines_and_swapped_lines_are_pairs(tmp_path):
    prompts = read(tmp_path, "ABC-6K.txt", SWAPS, "swaps")
    assert [(row.text, row.pair, row.role) for row in prompts.rows] == [
        ("An orange frog, near a teal leaf.", "line-1", "original"),
        ("A teal frog, near an orange leaf.", "line-1", "swapped"),
        ("a frog by itself", "", ""),
        ("A black and black frog.", "", ""),
        ("a red pond and a blue leaf", "line-6", "original"),
        ("a blue pond and a red leaf", "line-6", "swapped"),
    ]
    assert prompts.rows[1].metadata["published"] == "An teal frog , near a orange leaf ."
    assert prompts.rows[0].source == "ABC-6K"
    (no_change,) = prompts.problems
    assert (no_change.row, no_change.kind) == (5, "repeat")


def test_without_a_name_text_is_only_text(tmp_path):
    assert len(read(tmp_path, "ABC-6K.txt", SWAPS)) == 7


def test_a_table_that_only_looks_like_a_published_one_is_an_ordinary_table(tmp_path):
    with pytest.raises(PromptFileError, match="column 'prompt'"):
        read(tmp_path, "p.csv", "Prompts,Category,Score\na frog,x,1\n")


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        ("An teal frog on a orange hour", "A teal frog on an orange hour"),
        ("a unicorn and a hour and an house", "a unicorn and an hour and a house"),
        ("group A is an SUV of a 8-year-old", "group A is an SUV of a 8-year-old"),
        ("An oak. An birch.", "An oak. A birch."),
        ("banana apple", "banana apple"),
    ],
)
def test_articles(text, fitting):
    assert fit_articles(text) == fitting


def test_incomplete_pairs_are_reported_or_dissolved():
    rows = [
        {"prompt": "a", "pair": "x"},
        {"prompt": "b", "pair": "y"},
        {"prompt": "c", "pair": "y"},
    ]
    with pytest.raises(DaamSyntaxError, match="two prompts in the pair 'x', but got 1"):
        PromptSet.from_records(rows)
    prompts = PromptSet.from_records(rows, strict=False)
    assert [row.pair for row in prompts.rows] == ["", "y", "y"]
    assert "left out" not in repr(prompts)
