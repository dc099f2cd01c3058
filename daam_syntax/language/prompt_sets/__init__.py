"""Sets of prompts: plain values, read from files with every problem said at once."""

from daam_syntax.language.prompt_sets.checks import check_prompt, prompt_id
from daam_syntax.language.prompt_sets.formats import FORMATS
from daam_syntax.language.prompt_sets.problems import RowProblem
from daam_syntax.language.prompt_sets.prompt_set import PromptSet
from daam_syntax.language.prompt_sets.rows import COLUMNS, Prompt

__all__ = [
    "COLUMNS",
    "FORMATS",
    "Prompt",
    "PromptSet",
    "RowProblem",
    "check_prompt",
    "prompt_id",
]
