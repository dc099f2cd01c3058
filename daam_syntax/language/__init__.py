"""Sentences as plain values: tokens, character offsets, dependency edges; and parsing into them."""

from daam_syntax.language.parser import DEFAULT_PARSER, from_doc, load_parser, parse, parse_many
from daam_syntax.language.prompts import check_prompt, read_prompts
from daam_syntax.language.sentence import Edge, Sentence, Span, Token

__all__ = [
    "DEFAULT_PARSER",
    "Edge",
    "Sentence",
    "Span",
    "Token",
    "check_prompt",
    "from_doc",
    "load_parser",
    "parse",
    "parse_many",
    "read_prompts",
]
