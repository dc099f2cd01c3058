"""Tidy tables: pairs of words with their controls, words, and summaries."""

from daam_syntax.analysis.pairs import MEASURES, PAIR_COLUMNS, measure_pairs
from daam_syntax.analysis.summary import summarize
from daam_syntax.analysis.words import WORD_COLUMNS, word_table

__all__ = [
    "MEASURES",
    "PAIR_COLUMNS",
    "WORD_COLUMNS",
    "measure_pairs",
    "summarize",
    "word_table",
]
