"""Tidy tables: pairs of words with their controls, words, and summaries; and inference on them."""

from daam_syntax.analysis.effects import cliffs_delta, paired_dz
from daam_syntax.analysis.estimate import Estimate
from daam_syntax.analysis.inference import estimate_difference, estimate_mean, prompt_means
from daam_syntax.analysis.multiplicity import adjust_p
from daam_syntax.analysis.pairs import MEASURES, PAIR_COLUMNS, measure_pairs
from daam_syntax.analysis.power import (
    POWER_COLUMNS,
    VarianceComponents,
    power_table,
    variance_components,
)
from daam_syntax.analysis.regression import Regression, regress
from daam_syntax.analysis.summary import SUMMARY_COLUMNS, summarize
from daam_syntax.analysis.tables import measure_tables
from daam_syntax.analysis.words import WORD_COLUMNS, word_table

__all__ = [
    "MEASURES",
    "PAIR_COLUMNS",
    "POWER_COLUMNS",
    "SUMMARY_COLUMNS",
    "WORD_COLUMNS",
    "Estimate",
    "Regression",
    "VarianceComponents",
    "adjust_p",
    "cliffs_delta",
    "estimate_difference",
    "estimate_mean",
    "measure_pairs",
    "measure_tables",
    "paired_dz",
    "power_table",
    "prompt_means",
    "regress",
    "summarize",
    "variance_components",
    "word_table",
]
