"""The kinds of failures, and a verdict on an image."""

from __future__ import annotations

from typing import Final

import pandas as pd

ANY: Final = "any"
"""An image has some failure; a verdict may know this without knowing which."""

KINDS: Final = {
    "missing": "an object is missing",
    "fused": "two nouns have one object",
    "color": "an object has a wrong color",
}
"""Kinds of failures, and what each means."""

FAILURES: Final = {**KINDS, ANY: "something is wrong"}
"""Kinds of failures, and any of them."""


def with_any(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Add the column `ANY` to verdicts that have only kinds of failures.

    Parameters
    ----------
    verdicts
        A column for each kind: 1 if the image has the failure, 0 if not, and NaN if nobody judged that.

    Returns
    -------
    pandas.DataFrame
        1 if a kind is known to be there; 0 if none is and at least one was judged; NaN otherwise.
    """
    kinds = verdicts[list(KINDS)]
    return verdicts.assign(**{ANY: kinds.max(axis=1)})


def name_of_failure(failure: str) -> str:
    """Return what a failure means, for a sentence or a title: "an object is missing"."""
    return FAILURES[failure]
