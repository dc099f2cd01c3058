"""Sentences as plain values (tokens, character offsets, dependency edges), parsing into them, and sets of prompts.

Imports ``util`` and ``errors``. Only ``parser`` knows spaCy, and loads it when called.
"""

from daam_syntax.language import conllu
from daam_syntax.language.parser import DEFAULT_PARSER, from_doc, load_parser, parse, parse_many
from daam_syntax.language.prepositions import RelatedThings, related_things
from daam_syntax.language.prompt_sets import Prompt, PromptSet, check_prompts, prompts
from daam_syntax.language.prompt_text import check_prompt, prompt_id
from daam_syntax.language.sentence import Edge, Sentence, Span, Token
from daam_syntax.language.ud.comparison import COMPARISON_COLUMNS, compare_parses
from daam_syntax.language.ud.conversion import (
    SCHEMES,
    LabelSet,
    check_schemes,
    detect_labels,
    universal_sentence,
)

__all__ = [
    "COMPARISON_COLUMNS",
    "DEFAULT_PARSER",
    "SCHEMES",
    "Edge",
    "LabelSet",
    "Prompt",
    "PromptSet",
    "RelatedThings",
    "Sentence",
    "Span",
    "Token",
    "check_prompt",
    "check_prompts",
    "check_schemes",
    "compare_parses",
    "conllu",
    "detect_labels",
    "from_doc",
    "load_parser",
    "parse",
    "parse_many",
    "prompt_id",
    "prompts",
    "related_things",
    "universal_sentence",
]


def __dir__() -> list[str]:
    """Return the public names, so that completion offers no module beside the functions that it holds."""
    return __all__
