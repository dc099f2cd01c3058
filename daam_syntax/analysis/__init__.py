"""Tidy tables: pairs of words with their controls, words, and summaries; and inference on them."""

from daam_syntax.analysis.binding import BINDING_COLUMNS, binding_table
from daam_syntax.analysis.controls import (
    CONTROLS,
    attention_shares,
    cross_prompt_pairs,
    normalise_over_tokens,
    permuted_pairs,
    shifted_pairs,
)
from daam_syntax.analysis.effects import cliffs_delta, paired_dz
from daam_syntax.analysis.estimate import Estimate
from daam_syntax.analysis.inference import estimate_difference, estimate_mean, prompt_means
from daam_syntax.analysis.matching import Matching, dose_table, match_pairs
from daam_syntax.analysis.multiplicity import adjust_p
from daam_syntax.analysis.pairs import MEASURES, PAIR_COLUMNS, measure_pairs
from daam_syntax.analysis.power import (
    POWER_COLUMNS,
    VarianceComponents,
    power_table,
    variance_components,
)
from daam_syntax.analysis.regression import Regression, regress
from daam_syntax.analysis.reports import (
    table_notes,
    to_csv,
    to_html,
    to_latex,
    to_markdown,
    write_table,
)
from daam_syntax.analysis.simulation import Study
from daam_syntax.analysis.summary import SUMMARY_COLUMNS, summarize
from daam_syntax.analysis.sweeps import CURVE_COLUMNS, sweep, sweep_auc, sweep_curves
from daam_syntax.analysis.tables import measure_tables
from daam_syntax.analysis.words import WORD_COLUMNS, word_table

__all__ = [
    "BINDING_COLUMNS",
    "CONTROLS",
    "CURVE_COLUMNS",
    "MEASURES",
    "PAIR_COLUMNS",
    "POWER_COLUMNS",
    "SUMMARY_COLUMNS",
    "WORD_COLUMNS",
    "Estimate",
    "Matching",
    "Regression",
    "Study",
    "VarianceComponents",
    "adjust_p",
    "attention_shares",
    "binding_table",
    "cliffs_delta",
    "cross_prompt_pairs",
    "dose_table",
    "estimate_difference",
    "estimate_mean",
    "match_pairs",
    "measure_pairs",
    "measure_tables",
    "normalise_over_tokens",
    "paired_dz",
    "permuted_pairs",
    "power_table",
    "prompt_means",
    "regress",
    "shifted_pairs",
    "summarize",
    "sweep",
    "sweep_auc",
    "sweep_curves",
    "table_notes",
    "to_csv",
    "to_html",
    "to_latex",
    "to_markdown",
    "variance_components",
    "word_table",
    "write_table",
]
