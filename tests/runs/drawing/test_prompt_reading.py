"""Prompts of a run: rows that cannot be used are left out and reported."""

import pytest

from daam_syntax.errors import PromptFileError
from daam_syntax.language.prompt_sets.field_checks import LONGEST
from daam_syntax.runs.drawing.prompt_reading import read_prompts
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
