"""Distance in the dependency tree as a dose of relatedness."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from daam_syntax.analysis.checks import check_columns
from daam_syntax.analysis.inference.means import prompt_means
from daam_syntax.analysis.inference.sample import sample_sizes
from daam_syntax.analysis.relations.regression import regress
from daam_syntax.analysis.statistics.multiplicity import adjust_p
from daam_syntax.util.arguments.checks import checked

_DISTANCES: Final = ("log_distance", "linear_distance", "adjacency")

FARTHEST: Final = 4
"""Words at this distance in the tree or farther are the reference."""

DOSE_COLUMNS: Final = {
    "tree_distance": "Edges between the words; the last row also has pairs that are farther apart",
    "n_prompts": "Prompts with such a pair",
    "n_images": "Images with such a pair",
    "n_pairs": "Such pairs",
    "mean": "Mean over prompts; it differs between distances also because of what the words are",
    "difference": "What the pairs have more than the same words would have at the farthest distance",
    "low": "Low end of the interval of the difference",
    "high": "High end of that interval",
    "p": "p-value of no difference",
    "p_adjusted": "p, corrected for the number of distances (Holm)",
    "reason": "Why there is no difference",
}
"""Columns of the dose table."""


@checked
def dose_table(
    pairs: pd.DataFrame, measure: str = "iou", *, farthest: int = FARTHEST, **options: Any
) -> pd.DataFrame:
    """Tabulate a measure by the distance of the words in the tree, the dose of relatedness.

    Raw means by distance compare different words: function words, for instance, are mostly far apart. The differences
    therefore compare the same words with exchanged partners, at constant distance in the sentence.

    Parameters
    ----------
    pairs
        A pair table of one scheme and threshold, with unrelated pairs.
    measure
        Name of the measure.
    farthest
        Distance at and beyond which pairs are the reference, at least 2.
    **options
        Further arguments of `regress`: ``tier``, ``cluster``, ``level``, ``symmetric``.

    Returns
    -------
    pandas.DataFrame
        One row per distance, with the columns of `DOSE_COLUMNS`. Pairs that no path joins are left out. For one slope,
        use ``regress(pairs, by=None, covariates=["tree_distance", "log_distance", "linear_distance",
        "adjacency"])``.

    Raises
    ------
    ValueError
        If `farthest` is below 2, or the table has no unrelated pairs.
    """
    if farthest < 2:
        raise ValueError(f"Expected the farthest distance to be at least 2, but got {farthest}.")
    check_columns(pairs, ("kind", "tree_distance"))
    chosen = pairs[pairs["kind"].isin(["dependency", "unrelated"])]
    chosen = chosen[chosen["tree_distance"].notna()]
    distance = chosen["tree_distance"].astype(int).clip(upper=farthest)
    doses = {f"tree distance {k}": distance.eq(k).astype(float) for k in range(1, farthest)}
    present = [name for name, values in doses.items() if values.any()]
    found = regress(
        chosen.assign(**doses),
        measure,
        by=None,
        covariates=[*present, *_DISTANCES],
        **options,
    )
    terms = found.terms.set_index("term")
    doses_p = terms.loc[present, "p"]
    adjusted = pd.Series(adjust_p(doses_p.to_numpy(float)), index=present)
    rows = []
    for k in range(1, farthest + 1):
        group = chosen[distance.eq(k) & chosen[measure].notna()]
        name = f"tree distance {k}"
        row: dict[str, Any] = {"tree_distance": k} | sample_sizes(group)
        row["mean"] = float(prompt_means(group, measure).mean())
        if name in present:
            term = terms.loc[name]
            row |= {"difference": term["estimate"], "low": term["low"], "high": term["high"]}
            row |= {"p": term["p"], "p_adjusted": adjusted[name], "reason": term["reason"]}
        else:
            row["reason"] = "the reference" if k == farthest else "no such pairs"
        rows.append(row)
    return pd.DataFrame(rows, columns=list(DOSE_COLUMNS))
