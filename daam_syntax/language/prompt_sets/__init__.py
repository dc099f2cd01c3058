"""Sets of prompts: read from files and benchmarks, made from templates, checked, sampled and written.

Imports its siblings in ``language``, ``util`` and ``errors``.
"""

from daam_syntax.errors import RowProblem
from daam_syntax.language.prompt_sets.files.formats import FORMATS, SUFFIXES
from daam_syntax.language.prompt_sets.pairs import PromptPair
from daam_syntax.language.prompt_sets.prompt_lists import check_prompts
from daam_syntax.language.prompt_sets.prompt_set import PromptSet, Sample
from daam_syntax.language.prompt_sets.rows import COLUMNS, Prompt
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
    "check_prompts",
    "find_prompts",
    "prompts",
]
