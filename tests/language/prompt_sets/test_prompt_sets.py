"""Sets of prompts: reading files, reporting their problems, writing."""

import csv
import json
import string
from contextlib import suppress

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daam_syntax.errors import DaamSyntaxError, FileError, PromptError, PromptFileError
from daam_syntax.language import Prompt, PromptSet, check_prompts, parse, prompt_id
from daam_syntax.language.prompt_sets import COLUMNS, FORMATS
from daam_syntax.language.prompt_sets.field_checks import check_id
from daam_syntax.language.prompt_sets.files import collecting

ROWS = [
    {"id": "cat", "prompt": 'a red cat, "asleep"', "category": "=1+1", "slots": {"color": "red"}},
    {"id": "8", "prompt": "ein grüner Käse\nund 猫", "pair": "p", "metadata": {"note": "'-"}},
    {"id": "Dog.2", "prompt": "-a dog\tand a\rcow", "pair": "p", "role": "second"},
]
TABLES = ("csv", "tsv", "jsonl", "parquet")


def problems_of(path, **options):
    with pytest.raises(PromptFileError) as caught:
        PromptSet.from_file(path, **options)
    assert all(str(problem) in str(caught.value) for problem in caught.value.problems)
    return [(problem.row, problem.message) for problem in caught.value.problems]


# -- the same set from every format -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", TABLES)
def test_what_is_written_is_read_again(suffix, tmp_path):
    path = tmp_path / f"prompts.{suffix}"
    prompts = PromptSet.from_records(ROWS)
    prompts.to_file(path)
    assert PromptSet.from_file(path) == prompts
    assert prompts.rows[0].slots == {"color": "red"}
    assert not prompts.problems


def test_text_files_have_one_prompt_a_line(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_bytes("\ufeff# colors\na red car\r\n\n  ein grüner\u2028Käse  \n".encode())
    prompts = PromptSet.from_file(path)
    assert list(prompts) == ["a red car", "ein grüner\u2028Käse"]
    prompts.to_file(path)
    assert PromptSet.from_file(path) == prompts
    for odd in ("two\nlines", "# no comment", " space"):
        with pytest.raises(PromptError, match="has no place for the prompt"):
            PromptSet.from_records([odd]).to_file(path)
    with pytest.raises(PromptError, match="no place for the columns category"):
        PromptSet.from_records([{"prompt": "a cat", "category": "pets"}]).to_file(path)
    assert PromptSet.from_file(path) == prompts  # unchanged


def test_data_sets(tmp_path):
    data = datasets.Dataset.from_list(
        [{"caption": "a cat", "license": 3, "picture": [1]}, {"caption": "a dog", "license": None}]
    )
    columns = {"caption": "prompt", "license": "metadata.license"}
    prompts = PromptSet.from_dataset(data, columns=columns)
    assert prompts.to_frame()["metadata.license"].tolist() == ["3", ""]
    more = PromptSet.from_dataset(data.add_column("prompt", ["one", "two"]))
    assert more.to_frame()["metadata.caption"].tolist() == ["a cat", "a dog"]
    assert [problem.kind for problem in more.problems] == ["column", "column"]
    assert "left out: 'picture'" in more.problems[0].message
    with pytest.raises(FileError, match="choose one of its splits"):
        PromptSet.from_dataset(datasets.DatasetDict(train=data))
    with pytest.raises(FileError, match="could not be loaded"):
        PromptSet.from_dataset(str(tmp_path / "none"))


def test_columns_of_other_names(tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_text("Caption,url,x\na cat,http://x,1\n")
    columns = {"Caption": "prompt", "url": "metadata.url"}
    (row,) = PromptSet.from_file(path, columns=columns).rows
    assert row.values() == {"prompt": "a cat", "id": prompt_id("a cat"), "metadata.url": "http://x"}
    ((line, message),) = problems_of(path, columns={**columns, "title": "category"})
    assert line == 1
    assert "column 'title'" in message


def test_other_columns_become_metadata_unless_they_look_like_a_misspelt_one(tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_text("prompt,,location,Street name,metadata.Street_name\na cat,0,here,Main,x\n")
    prompts = PromptSet.from_file(path)
    assert dict(prompts.rows[0].metadata) == {
        "more": "0",
        "location": "here",
        "Street_name_2": "Main",
        "Street_name": "x",
    }
    (problem,) = prompts.problems
    assert "'location' as 'metadata.location'" in problem.message
    assert "left out" not in repr(prompts)
    for name in ("categry", "Category", "slot_noun", "meta.x", "promts"):
        path.write_text(f"prompt,{name}\na cat,x\n")
        ((line, message),) = problems_of(path)
        assert (line, "did you mean" in message) == (1, True)


def test_what_an_open_quote_swallows_is_said(tmp_path):
    path = tmp_path / "prompts.csv"
    rows = [f"{n},a cat number {n}\n" for n in range(5000)]
    rows[10] = '10,"a cat\n'
    for end, last in (("", 5001), ('"x,y\n', 5002)):
        path.write_text("id,prompt\n" + "".join(rows) + end)
        read = PromptSet.from_file(path, strict=False)
        assert len(read) == 10
        assert f"lines 12 to {last:,}" in read.problems[0].message


def test_strings_of_subclasses_become_plain():
    class Word(str):  # as a member of an enumeration is
        def __str__(self):
            return "Word.CAT"

    for text in (np.str_("a cat"), Word("a cat")):
        (row,) = PromptSet.from_records([text]).rows
        assert type(row.text) is str
        assert row.text == "a cat"
        assert type(parse(text).text) is str
        assert check_prompts(text) == ["a cat"]


def test_small_files_do_not_take_minutes(tmp_path):
    """Each of these took from 40 s to forever; now each is refused at once."""
    path = tmp_path / "prompts.jsonl"
    keys = ", ".join(f'"k{n}": 1' for n in range(40_000))
    path.write_text(f'{{"prompt": "a cat", {keys}, "k39999": 2}}\n{{"prompt": "a dog", {keys}}}\n')
    found = problems_of(path)
    assert ["twice" in found[0][1], "at most 1,000 fields" in found[1][1]] == [True, True]
    table = tmp_path / "prompts.csv"
    table.write_text(",".join(f"c{n}" for n in range(20_000)) + "\n")
    assert "at most 1,000 columns" in problems_of(table)[0][1]
    many = tmp_path / "prompts.parquet"
    pq.write_table(pa.table({"prompt": pa.array(["a cat"] * 1_000_001)}), many)
    with pytest.raises(FileError, match="1,000,001 rows"):
        PromptSet.from_file(many)
    indices = pa.array(np.zeros(100_000, np.int32))
    bomb = pa.DictionaryArray.from_arrays(
        indices, ["x" * 1_000_000]
    )  # 100 GB of text in a small file
    pq.write_table(pa.table({"prompt": bomb}), many)
    with pytest.raises(FileError, match="one of 1,000,000"):
        PromptSet.from_file(many)


def test_a_file_of_another_kind_is_not_read_to_its_end(tmp_path, monkeypatch):
    """A million rows that cannot be used took minutes."""
    path = tmp_path / "prompts.txt"
    path.write_bytes(b"x\n" * 2_000_001)
    with pytest.raises(FileError, match=r"at most 2,000,000 lines .* it has 2,000,001"):
        PromptSet.from_file(path)
    monkeypatch.setattr(collecting, "_MOST_PROBLEMS", 50)
    path.write_bytes(b"a cat\n" * 300)
    found = problems_of(path, strict=False)
    assert found == [(53, "More than 50 rows cannot be used; those from here on were not read.")]


# -- all problems at once --------------------------------------------------------------------------------------------


def test_all_problems_are_reported_at_once_with_their_lines(tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_bytes(
        b'id,prompt,catgory,category\n1,"a cat, a dog",,\n2,,,\n3,a \xff,,\n4\n5,"two\nlines",,\n'
        b'6,"a cat, a dog",,\n../x,a cow,,\n1,a pig,,\n7,a\x00b,,' + b"x" * 10_001 + b'\n8,"a"b,,\n'
    )
    found = problems_of(path)
    assert [row for row, _ in found] == [1, 3, 4, 5, 8, 9, 10, 11, 11, 12]
    expected = [
        "did you mean 'category'?",
        "at least one word",
        "byte 0xff",
        "Expected 4 fields, but got 1",
        "is also in line 2",
        "'../x'",
        "each id once, but '1' is also in line 2",
        "control characters",
        "10,000 characters",
        "expected after",
    ]
    for (_, message), part in zip(found, expected, strict=True):
        assert part in message


def test_a_table_without_prompts_is_one_problem_however_many_rows_it_has(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text("text\na red cat\na dog\n")
    ((line, message),) = problems_of(path)
    assert line == 1
    assert "rename the column that holds the prompts" in message


def test_tables_are_records_too():
    table = pd.DataFrame({"prompt": ["a cat", "a dog"], "category": ["pets", None]})
    taken = PromptSet.from_records(table)
    assert taken.texts == ("a cat", "a dog")
    assert [row.category for row in taken.rows] == ["pets", ""]
    assert PromptSet.from_records(taken.to_frame()) == taken
    assert PromptSet.from_records(table.convert_dtypes()) == taken  # with pd.NA
    other = taken.to_frame().assign(number=[1, None], boxes=[[1], []], **{"my note": "x"})
    kept = PromptSet.from_records(other)
    assert dict(kept.rows[0].metadata) == {"number": "1.0", "my_note": "x"}
    assert [problem.message.split(":")[-1] for problem in kept.problems] == [
        " 'boxes'.",
        " 'number' as 'metadata.number', 'my note' as 'metadata.my_note'.",
    ]
    for wrong, message in (
        (table.rename(columns={"category": "catgory"}), "did you mean 'category'"),
        (pd.concat([table, table], axis=1), "'prompt' twice"),
        (table.rename(columns={"prompt": "text"}), "rename the column"),
    ):
        with pytest.raises(PromptFileError, match=message):
            PromptSet.from_records(wrong)
    nested = pd.DataFrame({"prompt": ["a cat"], "slots": [{"noun": "cat"}]})
    assert PromptSet.from_records(nested).rows[0].slots == {"noun": "cat"}


def test_ids_of_every_type(tmp_path):
    """A column of whole numbers with a missing one has floats in pandas."""
    rows = [{"id": each, "prompt": f"prompt {n}"} for n, each in enumerate((1, np.int64(2), 3.0))]
    more = [{"id": each, "prompt": f"more {n}"} for n, each in enumerate((None, np.nan, pd.NA))]
    ids = [row.id for row in PromptSet.from_records([*rows, *more]).rows]
    assert ids == ["1", "2", "3", *(prompt_id(f"more {n}") for n in range(3))]
    table = pd.DataFrame({"id": [7, None], "prompt": ["a cat", "a dog"]})
    assert [row.id for row in PromptSet.from_records(table).rows] == ["7", prompt_id("a dog")]
    path = tmp_path / "prompts.jsonl"
    path.write_text(
        '{"id": 1, "prompt": "a"}\n{"id": "01", "prompt": "b"}\n{"id": 1.0, "prompt": "c"}'
    )
    assert problems_of(path) == [(3, "Expected each id once, but '1' is also in line 1.")]


def test_sets_and_prompts_keep_their_columns():
    taken = PromptSet.from_records([{"id": "x", "prompt": "a cat", "category": "pets"}])
    assert PromptSet.from_records(taken) == taken
    assert PromptSet.from_records([*taken.rows, "a dog"]).rows[0] == taken.rows[0]


def test_an_index_with_a_name_is_a_column():
    table = pd.DataFrame({"id": ["x", "y"], "year": [1, 2], "prompt": ["a cat", "a dog"]})
    expected = PromptSet.from_records(table)
    assert PromptSet.from_records(table.set_index("id")) == expected
    assert PromptSet.from_records(table.set_index(["year", "id"])) == expected
    assert PromptSet.from_records(table.set_index(table["id"].rename(None))) == expected
    with pytest.raises(PromptFileError, match="'id' twice"):
        PromptSet.from_records(table.set_index("id", drop=False))


def test_prompts_without_an_order_and_open_files_are_refused(tmp_path):
    (tmp_path / "prompts.txt").write_text("a cat\na dog\n")
    for read in (PromptSet.from_records, check_prompts):
        for some in (set, frozenset):
            with pytest.raises(PromptError, match=r"differs between processes: pass sorted\("):
                read(some(["a cat", "a dog"]))
    with (tmp_path / "prompts.txt").open() as file:
        with pytest.raises(PromptError, match=r"open file: read its prompts with PromptSet\.from_"):
            check_prompts(file)
        with pytest.raises(TypeError, match="as records of from_records, but got TextIOWrapper"):
            PromptSet.from_records(file)


def test_a_value_that_a_row_has_twice_is_refused():
    rows = [{"prompt": "a cat", "metadata": {"x": 1}, "metadata.x": 2}]
    with pytest.raises(PromptFileError, match=r"once, but got 'metadata\.x' and 'x' in 'metadata'"):
        PromptSet.from_records(rows)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16"])
def test_files_of_wide_characters_are_refused_by_name(encoding, tmp_path):
    for name in ("a.csv", "a.txt", "a.jsonl"):
        (tmp_path / name).write_bytes("prompt\na cat\n".encode(encoding))
        with pytest.raises(FileError, match="it is UTF-16 or UTF-32; save it as UTF-8"):
            PromptSet.from_file(tmp_path / name)


def test_names_of_columns_send_no_control_characters_to_a_terminal(tmp_path):
    (tmp_path / "a.csv").write_text("\x1b[31mtext,b\tc\nx,y\n")
    with pytest.raises(PromptFileError, match=r"but it has \\x1b\[31mtext, b\\tc; rename"):
        PromptSet.from_file(tmp_path / "a.csv")


def test_json_that_is_no_captions_says_how_to_write_prompts(tmp_path):
    (tmp_path / "a.json").write_text('[{"prompt": "a cat"}]')
    with pytest.raises(FileError, match=r"write one JSON object per line in a file named \.jsonl"):
        PromptSet.from_file(tmp_path / "a.json")


def test_the_keys_of_a_dict_can_be_taken_as_prompts():
    known = {"a cat": 1, "a dog": 2}
    with pytest.raises(PromptError, match=r"got dict; take list\(prompts\) if its keys are"):
        check_prompts(known)
    assert check_prompts(list(known)) == ["a cat", "a dog"]


def test_a_dict_is_not_a_list_of_prompts():
    for records in ({"prompt": "a cat"}, {"prompt": ["a cat", "a dog"]}):
        with pytest.raises(
            PromptError, match="but got a dict: put the dict of one prompt in a list"
        ):
            PromptSet.from_records(records)
    assert len(PromptSet.from_records([{"prompt": "a cat"}])) == 1
    assert len(PromptSet.from_records(pd.DataFrame({"prompt": ["a cat", "a dog"]}))) == 2


def test_a_set_of_texts_says_how_to_make_one():
    with pytest.raises(PromptError, match="that are Prompt values, but got NoneType"):
        PromptSet([None])
    with pytest.raises(PromptError, match="got str; make a set from texts"):
        PromptSet(["a cat"])


def test_two_problems_of_a_row_are_both_reported():
    with pytest.raises(PromptFileError) as caught:
        PromptSet.from_records([{"prompt": " ", "id": "a/b", "category": ["x"], "wat": 1}])
    messages = " ".join(problem.message for problem in caught.value.problems)
    assert len(caught.value.problems) == 4
    for part in ("at least one word", "'a/b'", "text in 'category'", "'metadata.wat'"):
        assert part in messages


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('{"prompt": "a cat"}\n{"prompt": "a dog"', 2, "Expected JSON"),
        ('{"prompt": "a cat"}\n\n[1]\n', 3, "got list"),
        ('{"prompt": "a", "prompt": "b"}', 1, "'prompt' twice"),
        ("[" * 100_000, 1, "nested too deeply"),
        ('{"prompt": {"$import": "os"}}', 1, "text in 'prompt', but got dict"),
        ('{"prompt": "a cat"}\n{"prompt": "a dog", "Category": "x"}', 2, "did you mean 'category'"),
        ('{"prompt": "a cat"}\n{"promt": "a dog"}', 2, "did you mean 'prompt'"),
        (
            '{"caption": "a cat"}\n{"caption": "a dog"}',
            1,
            "rename the column that holds the prompts",
        ),
        ('{"prompt": "a cat", "slots": "x"}', 1, "names and texts in 'slots'"),
        ('{"prompt": "a cat", "slots": {"a b": "x"}}', 1, "slot.a b"),
    ],
    ids=str,
)
def test_jsonl_that_is_not_what_it_should_be(text, line, message, tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text(text)
    ((found, reported),) = problems_of(path)
    assert found == line
    assert message in reported


def test_other_keys_of_jsonl_become_metadata_which_is_reported_once(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text(
        '{"prompt": "a cat", "metadata": {"url": "inner"}}\n'
        '{"prompt": "a dog", "url": "outer", "license id": 4, "boxes": [[1, 2]]}\n'
        '{"prompt": "a cow", "license id": true, "boxes": null, "metadata": {"url": "both"}, "url": "x"}\n'
    )
    read = PromptSet.from_file(path)
    assert [dict(row.metadata) for row in read.rows] == [
        {"url": "inner"},
        {"url_2": "outer", "license_id": "4"},
        {"url": "both", "url_2": "x", "license_id": "True"},
    ]
    assert [(p.row, p.kind) for p in read.problems] == [(2, "column"), (2, "column")]
    out, kept = (problem.message for problem in read.problems)
    assert out.endswith("left out: 'boxes'.")
    assert kept.endswith("'url' as 'metadata.url_2', 'license id' as 'metadata.license_id'.")
    again = tmp_path / "again.jsonl"
    read.to_file(again)
    assert PromptSet.from_file(again).rows == read.rows
    columns = {"prompt": "prompt", "url": "source"}
    assert [row.source for row in PromptSet.from_file(path, columns=columns).rows] == [
        "",
        "outer",
        "x",
    ]
    many = (f'{{"prompt": "a cat {n}", "k{n}": 1}}\n' for n in range(1_200))
    path.write_text("".join(many))
    assert "at most 1,000 columns" in problems_of(path)[0][1]


def test_a_quote_that_never_ends_spoils_the_rest_and_is_reported(tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_text('prompt\na cat\n"a dog\na cow\n')
    ((line, message),) = problems_of(path)
    assert line == 3
    assert "unexpected end" in message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.csv", "text\na cat\n", "column 'prompt' in .*has text"),
        ("p.csv", "id;prompt\n1;a cat\n", "separate columns by commas"),
        ("p.csv", "prompt,prompt\na,b\n", "'prompt' twice"),
        ("p.csv", "prompt\n", "at least one usable prompt"),
        ("p.csv", "", "it has none"),
        ("p.txt", "# nothing\n\n", "at least one usable prompt"),
        ("p.txt", "a caf\udce9", "byte 0xe9"),
        ("p.txt", "\udcff\udcfea", "UTF-16"),
        ("p.parquet", "PAR1", "Parquet file"),
        ("p.pkl", "a cat", "suffixes .csv"),
    ],
)
def test_files_that_cannot_be_used(name, content, message, tmp_path):
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DaamSyntaxError, match=message):
        PromptSet.from_file(path)


@pytest.mark.parametrize("suffix", [*TABLES, "txt"])
def test_missing_files_and_folders(suffix, tmp_path):
    with pytest.raises(FileError, match="No such file"):
        PromptSet.from_file(tmp_path / f"none.{suffix}")
    (tmp_path / f"folder.{suffix}").mkdir()
    with pytest.raises(FileError, match="Is a directory"):
        PromptSet.from_file(tmp_path / f"folder.{suffix}")
    with pytest.raises(FileError, match="one of the formats csv"):
        PromptSet.from_file(tmp_path / "x", "pickle")


def test_types_of_parquet_that_no_prompt_has(tmp_path):
    path = tmp_path / "prompts.parquet"
    table = {"prompt": ["a cat", None, "a dog"], "slots": [{"n": "cat"}, None, {"n": "dog"}]}
    pq.write_table(pa.table({**table, "category": [[1], [2], []], "x": [1, 2, 3]}), path)
    assert [row for row, _ in problems_of(path)] == [1, 2, 2, 3]
    pq.write_table(pa.table(table).drop(["slots"]), path)
    with pytest.raises(PromptFileError, match=r"row 2: .*at least one word"):
        PromptSet.from_file(path)


# -- the value -------------------------------------------------------------------------------------------------------


def test_a_set_holds_every_prompt_and_id_once():
    one = Prompt("a cat")
    assert one.id == prompt_id("a cat")
    with pytest.raises(PromptError, match="is also in row 1"):
        PromptSet((one, Prompt("a cat", id="other")))
    with pytest.raises(PromptError, match="each id once"):
        PromptSet((Prompt("a cat", id="x"), Prompt("a dog", id="X")))
    with pytest.raises(PromptError, match="id of at most 64"):
        PromptSet((Prompt("a cat", id="../x"),))
    with pytest.raises(TypeError):
        one.slots["x"] = "y"
    prompts = PromptSet.from_records(ROWS)
    assert len({prompts, PromptSet(prompts.rows)}) == 1
    assert list(prompts.where(lambda row: row.pair == "")) == [ROWS[0]["prompt"]]


def test_a_notebook_shows_text_not_markup():
    assert "<b>" not in PromptSet.from_records(["a <b>cat</b>"])._repr_html_()


def test_tables_show_no_formulas_to_spreadsheets(tmp_path):
    path = tmp_path / "prompts.csv"
    PromptSet.from_records(ROWS).to_file(path)
    with path.open(newline="") as file:
        cells = [cell for row in list(csv.reader(file))[1:] for cell in row]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    assert "'=1+1" in cells


def test_columns_are_those_that_are_documented():
    names = [name for name in COLUMNS if "." not in name]
    rows = [dict.fromkeys(names, "x"), {"prompt": "y", "pair": "x"}]
    assert list(PromptSet.from_records(rows).rows[0].values()) == names
    assert list(FORMATS)[:5] == ["csv", "tsv", "jsonl", "parquet", "txt"]


# -- untrusted text --------------------------------------------------------------------------------------------------

anything = st.text(st.characters(), max_size=12)
optional = dict.fromkeys(["category", "pair", "slot.x", "metadata.y"], anything)
names = st.text(string.printable + "é猫\u202e\u2215", max_size=70)


@given(names)
def test_ids_never_leave_the_folder(tmp_path_factory, name):
    try:
        check_id(name)
    except PromptError:
        return
    folder = tmp_path_factory.getbasetemp()
    assert (folder / name).resolve().parent == folder.resolve()
    assert name.isascii()
    assert not set(name) & set('/\\:*?"<>| ')


@settings(max_examples=60, deadline=None)
@given(st.lists(st.fixed_dictionaries({"prompt": anything}, optional=optional), min_size=1))
def test_any_text_is_read_again_as_it_was_or_left_out(tmp_path_factory, records):
    try:
        prompts = PromptSet.from_records(
            [row | {"id": str(number)} for number, row in enumerate(records)], strict=False
        )
    except PromptError:
        return
    assert len(prompts) + len({p.row for p in prompts.problems if p.kind != "pair"}) == len(records)
    for suffix in TABLES:
        path = tmp_path_factory.getbasetemp() / f"any.{suffix}"
        prompts.to_file(path)
        assert PromptSet.from_file(path) == prompts


MARKS = ",\t\n\r\"'=\x00\\{}[:\ufeff"
WORDS = ("prompt", "id", "a cat", '{"prompt": "a"}', "1e999", "NaN", "../../x", "slot.")
fragments = st.lists(st.sampled_from([*MARKS, *WORDS, chr(0xD800)]), max_size=25)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(FORMATS)), st.one_of(fragments.map("".join), anything), st.binary())
def test_any_bytes_give_a_set_or_an_error_of_ours(tmp_path_factory, name, text, tail):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(text.encode("utf-8", "surrogatepass") + tail)
    try:
        prompts = PromptSet.from_file(path, name, strict=False)
    except DaamSyntaxError:
        return
    assert len(prompts)
    for row in prompts.rows:
        assert check_id(row.id)
        json.dumps(row.values(), ensure_ascii=False).encode("utf-8")


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damaged_parquet_files(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    PromptSet.from_records(ROWS).to_file(path)
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=3)):
        content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(DaamSyntaxError):
        PromptSet.from_file(path, strict=False)
