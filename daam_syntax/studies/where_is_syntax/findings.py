"""What the study of syntax in attention finds."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from daam_syntax.analysis import Estimate, estimate_difference, estimate_mean
from daam_syntax.analysis.formatting import format_p
from daam_syntax.studies.framework.bounds import SHARE
from daam_syntax.studies.framework.findings import Finding

CONTROLS: Final = (
    "permuted trees",
    "fixed distance",
    "nearest neighbor",
    "randomized model",
    "shuffled prompt",
)
"""The controls, the strictest for the tree first."""


def make_findings(table: pd.DataFrame, scores: pd.DataFrame) -> list[Finding]:
    """Return the findings of each relation of attention.

    Parameters
    ----------
    table
        One row for each scored prompt, relation, direction, and condition, with its ``value``.
    scores
        One row for each relation and direction.
    """
    findings = []
    for name in dict.fromkeys(scores["relation"]):
        own = table[table["relation"] == name]
        chosen = scores[(scores["relation"] == name) & (scores["direction"] == "chosen")].iloc[0]
        findings.append(
            Finding(
                f"Unlabeled attachment in {name}",
                "share of edges found (0 to 1)",
                _against_controls(own[own["direction"] == "chosen"], ""),
                notes=(_where(chosen),),
            )
        )
        findings.append(
            Finding(
                f"Directions and spanning tree in {name}",
                "share of edges found (0 to 1)",
                tuple(
                    estimate
                    for direction in ("dependent to head", "head to dependent", "spanning tree")
                    for estimate in _against_controls(
                        own[own["direction"] == direction],
                        f"{direction}: ",
                        ("permuted trees", "nearest neighbor")
                        if direction == "spanning tree"
                        else ("permuted trees", "fixed distance"),
                    )
                ),
            )
        )
        agreed = own[own["condition"] == "agreement"]
        if agreed["value"].notna().any():
            findings.append(
                Finding(
                    f"Agreement of {name} with the image",
                    "partial correlation (−1 to 1)",
                    (
                        estimate_mean(
                            agreed,
                            "value",
                            label="attention and overlap of heat maps",
                            bounds=(-1.0, 1.0),
                        ),
                    ),
                )
            )
    return findings


def _against_controls(
    own: pd.DataFrame, prefix: str, controls: tuple[str, ...] = CONTROLS
) -> tuple[Estimate, ...]:
    """Return the mean attachment, and its differences from controls, paired by prompt."""
    attention = own[own["condition"] == "attention"]
    if not attention["value"].notna().any():
        return ()
    first = estimate_mean(attention, "value", label=f"{prefix}attention", bounds=SHARE)
    return (
        first,
        *(
            estimate_difference(
                attention,
                own[own["condition"] == control],
                "value",
                label=f"{prefix}attention minus {control}",
                bounds=SHARE,
            )
            for control in controls
            if own.loc[own["condition"] == control, "value"].notna().any()
        ),
    )


def _where(chosen: pd.Series) -> str:
    mask = "causal mask" if chosen["causal"] else "attention in both directions"
    p = "" if np.isnan(chosen["p_permuted"]) else format_p(chosen["p_permuted"], equals=True)
    return (
        f"Chosen on the other half: {chosen['chosen_direction']}, attention head {chosen['attention_head']} of "
        f"{chosen['layer']} ({mask}). Exact test against permuted trees: p {p}."
    )
