"""Tidy tables: pairs of words with their controls, words, and summaries; and inference on them."""

from daam_syntax.analysis.controls.control_pairs import (
    CONTROLS,
    attention_shares,
    cross_prompt_pairs,
    normalise_over_tokens,
    permuted_pairs,
    shifted_pairs,
)
from daam_syntax.analysis.controls.matching import Matching, dose_table, match_pairs
from daam_syntax.analysis.export import (
    table_notes,
    to_csv,
    to_html,
    to_latex,
    to_markdown,
    write_table,
)
from daam_syntax.analysis.inference.effects import cliffs_delta, paired_dz
from daam_syntax.analysis.inference.estimate import Estimate
from daam_syntax.analysis.inference.estimation import (
    estimate_difference,
    estimate_mean,
    prompt_means,
)
from daam_syntax.analysis.inference.multiplicity import adjust_p
from daam_syntax.analysis.inference.power import (
    POWER_COLUMNS,
    VarianceComponents,
    power_table,
    variance_components,
)
from daam_syntax.analysis.inference.regression import Regression, regress
from daam_syntax.analysis.inference.simulation import SimulatedStudy
from daam_syntax.analysis.inference.summary import SUMMARY_COLUMNS, summarize
from daam_syntax.analysis.sweeps import CURVE_COLUMNS, sweep, sweep_auc, sweep_curves
from daam_syntax.analysis.tables.all_tables import measure_tables
from daam_syntax.analysis.tables.binding import BINDING_COLUMNS, binding_table
from daam_syntax.analysis.tables.pairs import MEASURES, PAIR_COLUMNS, measure_pairs
from daam_syntax.analysis.tables.words import WORD_COLUMNS, word_table

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
    "SimulatedStudy",
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
