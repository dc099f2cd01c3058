"""Sets of prompts: plain values, read from files with every problem said at once."""

from daam_syntax.language.prompt_sets.checks import check_prompt, prompt_id
from daam_syntax.language.prompt_sets.files.formats import FORMATS, SUFFIXES
from daam_syntax.language.prompt_sets.pairs import PromptPair
from daam_syntax.language.prompt_sets.problems import RowProblem
from daam_syntax.language.prompt_sets.prompt_set import PromptSet
from daam_syntax.language.prompt_sets.rows import COLUMNS, Prompt
from daam_syntax.language.prompt_sets.sampling import Sample
from daam_syntax.language.prompt_sets.shipped import SHIPPED, find_prompts, prompts
from daam_syntax.language.prompt_sets.templates import Template

__all__ = [
    "COLUMNS",
    "FORMATS",
    "SHIPPED",
    "SUFFIXES",
    "Prompt",
    "PromptPair",
    "PromptSet",
    "RowProblem",
    "Sample",
    "Template",
    "check_prompt",
    "find_prompts",
    "prompt_id",
    "prompts",
]
