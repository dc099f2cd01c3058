"""Lists of prompts that are passed directly."""

from pathlib import Path

import pandas as pd
import pytest

from daam_syntax.errors import PromptError
from daam_syntax.language import PromptSet, check_prompts


def test_one_prompt_a_list_a_column_and_a_set_are_accepted():
    assert check_prompts("a cat") == ["a cat"]
    for prompts in (["a cat", "a dog"], pd.Series(["a cat", "a dog"])):
        assert check_prompts(prompts) == ["a cat", "a dog"]
        assert check_prompts(PromptSet.from_records(prompts)) == ["a cat", "a dog"]


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([], "at least one prompt"),
        (["a cat", " "], "at least one word"),
        (["a cat", 3], "string, but got int"),
        (["a cat", "a dog", "a cat"], "'a cat' twice"),
        (pd.DataFrame({"prompt": ["a cat"]}), "got DataFrame"),
        (Path("prompts.csv"), r"got \w*Path; .*from_file"),
        (3, "got int"),
    ],
)
def test_other_lists_are_refused(prompts, message):
    with pytest.raises(PromptError, match=message):
        check_prompts(prompts)


def test_the_name_of_a_prompt_file_is_not_a_prompt(tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_text("prompt\na cat\n")
    with pytest.raises(PromptError, match=r"is a file; .*PromptSet\.from_file"):
        check_prompts(str(path))
    (tmp_path / "own.conllu").touch()
    with pytest.raises(PromptError, match=r"is a file; .*conllu\.read\('"):
        check_prompts(str(tmp_path / "own.conllu"))
    for name in ("none.csv", "none.conllu", "a/none.TXT"):
        with pytest.raises(PromptError, match="name of a file that does not exist here"):
            check_prompts(["a cat", name])
    assert check_prompts("a cat reads notes.txt")
