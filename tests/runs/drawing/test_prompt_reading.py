"""Prompts of a run: rows that cannot be used are left out and reported; prompts may be given as their parses."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from daam_syntax.cli import images
from daam_syntax.errors import FileError, ParserError, PromptError, PromptFileError
from daam_syntax.language import Prompt, conllu, from_doc, load_parser, parse, prompt_id
from daam_syntax.language.prompt_text import LONGEST
from daam_syntax.runs.arguments import check_seeds
from daam_syntax.runs.drawing.prompt_reading import given_prompts, read_prompts
from daam_syntax.runs.problems import Problem


def test_a_run_leaves_out_what_cannot_be_used(tmp_path):
    table = tmp_path / "prompts.csv"
    table.write_bytes(
        b'id,prompt\n1,"a cat, a dog"\n2,\n3,a \xff\n4\n5,"two\nlines"\n6,"a cat, a dog"\n'
    )
    prompts, given = read_prompts(table)
    assert given == {}
    assert list(prompts) == ["a cat, a dog", "two\nlines"]
    assert [problem.row for problem in prompts.problems] == [3, 4, 5, 8]
    assert prompts.problems[1].text == "a \\udcff"
    assert "4 rows left out" in repr(prompts)
    listed, _ = read_prompts(["a cat", "a" * (LONGEST + 1)])
    assert "10,000 characters" in listed.problems[0].message
    table.write_text("prompt,color\na cat,red\n")
    kept, _ = read_prompts(table)
    (problem,) = map(Problem.of_row, kept.problems)
    assert (problem.problem, problem.prompt_id) == ("other columns", "")
    assert "'metadata.color'" in problem.message
    table.write_text("prompt,categry\na cat,red\n")
    with pytest.raises(PromptFileError, match="did you mean 'category'"):
        read_prompts(table)
    assert read_prompts(prompts)[0] is prompts


def test_prompts_may_be_given_as_their_parses(tmp_path):
    """`analyze` and `run` take the same; a string is a prompt for the first, and a file for the second."""
    nlp = load_parser()
    doc, two = nlp("a red cat"), nlp("A cat sits. A dog runs.")
    own = replace(parse("a blue dog"), parser="by hand")
    path = tmp_path / "own.conllu"
    conllu.write([own], path)
    read = conllu.read(path)
    for given, expected in (
        (doc, [from_doc(doc)]),
        (two, [from_doc(two)]),  # one prompt of two grammatical sentences
        (two.sents, [parse("A cat sits."), parse("A dog runs.")]),
        (next(iter(two.sents)), [parse("A cat sits.")]),
        (own, [own]),
        ((each for each in (doc, own)), [from_doc(doc), own]),
        (path, read),
        (str(path), read),
        ([doc, path], [from_doc(doc), *read]),
        (path.read_text(encoding="utf-8"), read),
    ):
        for reader in (given_prompts, read_prompts):
            given = list(given) if hasattr(given, "send") else given  # to be read twice
            prompts, parses = reader(given)
            assert list(prompts) == [each.text for each in expected]
            assert [(parses[p].tokens, parses[p].edges) for p in prompts] == [
                (each.tokens, each.edges) for each in expected
            ]
    for reader in (given_prompts, read_prompts):
        prompts, parses = reader(["a bird", doc, own])
        assert list(prompts) == ["a bird", "a red cat", "a blue dog"]
        assert set(parses) == {"a red cat", "a blue dog"}
        with pytest.raises(ParserError, match="with dependencies"):
            reader(nlp.make_doc("a red cat"))
        assert reader([Prompt("a cat", id="x")])[0].rows[0].id == "x"
        for wrong in ({"a cat"}, {"a cat": 1}, b"a cat", 3, None):  # a set has no order
            with pytest.raises(PromptError, match=r"^Expected prompts"):
                reader(wrong)
    with pytest.raises(PromptError, match=r"read a file with PromptSet\.from_file"):
        given_prompts(Path("prompts.csv"))


def test_names_of_sentences_are_the_ids_of_their_prompts(tmp_path):
    """A name that no file can have, or that is there twice, is metadata only."""
    parses = [parse(f"a {color} cat") for color in ("red", "blue", "green", "gray", "pink")]
    named = ["s-1", "x/y", "Twice", "twice", None]
    text = "".join(
        conllu.dumps([each]) if name is None else f"# sent_id = {name}\n{conllu.dumps([each])}"
        for name, each in zip(named, parses, strict=True)
    )
    (tmp_path / "own.conllu").write_text(text, encoding="utf-8")
    for reader in (given_prompts, read_prompts):
        for given in (text, tmp_path / "own.conllu", [tmp_path / "own.conllu"]):
            prompts, by_text = reader(given)
            assert [row.id for row in prompts.rows] == [
                "s-1",
                *(prompt_id(each.text) for each in parses[1:]),
            ]
            assert [row.metadata.get("sent_id") for row in prompts.rows] == named
            assert {text: parse.tokens for text, parse in by_text.items()} == {
                each.text: each.tokens for each in parses
            }


def test_the_command_analyze_takes_conllu_as_run_does(tmp_path):
    conllu.write([parse("a red cat")], tmp_path / "own.conllu")
    chosen = images._chosen(["a dog and a bird"], tmp_path / "own.conllu", None)
    prompts, parses = given_prompts(chosen)
    assert list(prompts) == ["a dog and a bird", "a red cat"]
    assert list(parses) == ["a red cat"]


def test_texts_prompts_with_columns_and_parses_can_be_mixed():
    mixed = [
        Prompt("a cat", id="x", category="pets"),
        parse("a dog"),
        {"prompt": "a cow", "id": "y"},
    ]
    for reader in (given_prompts, read_prompts):
        prompts, parses = reader([*mixed, "a bird"])
        assert [row.id for row in prompts.rows][::2] == ["x", "y"]
        assert prompts.rows[0].category == "pets"
        assert list(parses) == ["a dog"]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\n", "\r\n"),
    ],
)
def test_conllu_of_other_systems_is_not_drawn_as_a_prompt(change):
    text = change(conllu.dumps([parse("a red cat")]))
    for reader in (given_prompts, read_prompts):
        assert list(reader(text)[0]) == ["a red cat"]


def test_conllu_that_is_damaged_is_not_drawn_as_a_prompt():
    text = (
        conllu.dumps([parse("a red cat")]).replace("\t2\tamod", "\tamod").replace("\tdet\t", "\t")
    )
    for reader in (given_prompts, read_prompts):
        with pytest.raises(FileError, match="line 3 has 9 columns between tabs"):
            reader(text)


def test_the_lines_of_an_open_file_are_not_prompts(tmp_path):
    """They end in line feeds."""
    (tmp_path / "a.txt").write_text("a cat\na dog\n")
    for read in (given_prompts, read_prompts):
        with (
            (tmp_path / "a.txt").open() as file,
            pytest.raises(PromptError, match="got an open file"),
        ):
            read(file)


def test_the_first_of_two_parses_of_a_prompt_is_used():
    one = parse("a red cat")
    other = replace(one, edges={"ud": one.edges["ud"][:1]}, root_indices={})
    prompts, parses = read_prompts([one, other])
    assert parses == {"a red cat": one}
    assert "is also in row 1" in prompts.problems[0].message
    with pytest.raises(PromptError, match="twice"):
        given_prompts([one, other])


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        (1, 1),
        (np.int64(2), 2),
        ([0, 1], 2),
        (np.arange(2), 2),
        ([1, 0], (1, 0)),
        (np.array([3, 7]), (3, 7)),
        (pd.Series([np.int32(4)]), (4,)),
        (range(2, 4), (2, 3)),
        ((seed for seed in (5, 6)), (5, 6)),
        ([2**31 - 1], (2**31 - 1,)),
    ],
)
def test_seeds_are_a_number_or_a_list(seeds, expected):
    assert check_seeds(seeds) == expected


@pytest.mark.parametrize(
    "seeds",
    [
        *(0, -1, True, np.True_, 2.0, "2", None, float("nan"), 10**7, b"ab", {1: 2}, np.array(3)),
        *([], [0, 0], [-1], [2**31], [1.0], ["1"], [True, False], [[1]], np.array([[1]])),
        *(range(10**12), itertools.count()),
    ],
    ids=repr,
)
def test_other_seeds_are_refused(seeds):
    with pytest.raises(PromptError, match=r"^Expected a number of images per prompt, from 1 to"):
        check_seeds(seeds)
