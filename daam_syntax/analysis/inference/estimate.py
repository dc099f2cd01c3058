"""An estimate with its interval, test and sample."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass
from math import isnan, nan
from typing import Any

from daam_syntax.analysis.formatting import format_p, format_sample
from daam_syntax.util.wording import plural


@dataclass(frozen=True)
class Estimate:
    """A mean over prompts, or a difference of two means.

    Attributes
    ----------
    label
        What was estimated.
    measure
        Column of the pair table that was averaged.
    estimate
        The value, in the unit of the measure; every prompt has the same weight.
    low, high
        Ends of the interval; NaN if there is none, see `reason`.
    p
        Two-sided p-value of no difference. NaN for a mean, which has no natural null hypothesis, and without a test.
    least_p
        Smallest p-value that the test could have given with this number of clusters. If it is above 0.05, the test
        could not have found anything.
    p_equivalent
        p-value of the hypothesis that the difference is at least as large as the margin, if one was given. A small
        value supports "no difference that matters".
    level
        Confidence level of the interval, such as 0.95.
    effect_size
        Paired d_z, see `daam_syntax.analysis.statistics.effects.paired_dz`; NaN for a mean.
    standard_error
        Clustered standard error of the estimate.
    n_prompts, n_images, n_pairs
        Size of the sample. For a difference: that of its first side, in prompts that have both sides.
    n_clusters
        Number of independent units behind the interval; for two-way clusters, the smaller of the two numbers.
    n_unpaired
        Prompts that were left out of a difference because they have only one side.
    method
        How the interval and the p-value were computed.
    reason
        Why there is no interval; "" if there is one.
    imbalances
        Properties in which the sides of a difference differ, see `daam_syntax.analysis.balance`.
    untested
        Why there is no p-value although there is a difference; "" if there is one.
    """

    label: str
    measure: str
    estimate: float
    low: float = nan
    high: float = nan
    p: float = nan
    least_p: float = nan
    p_equivalent: float = nan
    level: float = 0.95
    effect_size: float = nan
    standard_error: float = nan
    n_prompts: int = 0
    n_images: int = 0
    n_pairs: int = 0
    n_clusters: int = 0
    n_unpaired: int = 0
    method: str = ""
    reason: str = ""
    imbalances: tuple[str, ...] = ()
    untested: str = ""

    @property
    def interval(self) -> str:
        """The interval as text, or why there is none."""
        if self.reason:
            return f"no interval: {self.reason}"
        return f"{100 * self.level:g}% interval [{self.low:.3g}, {self.high:.3g}]"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a row of a table."""
        return asdict(self)

    def __repr__(self) -> str:
        parts = [f"{self.measure} {self.estimate:.3g}", self.interval]
        if not isnan(self.p):
            parts.append(f"p {format_p(self.p, equals=True)}")
        if self.untested:
            parts.append(f"not tested: {self.untested}")
        if not isnan(self.p_equivalent):
            parts.append(f"equivalence p {format_p(self.p_equivalent, equals=True)}")
        if not isnan(self.effect_size):
            parts.append(f"dz = {self.effect_size:.2f}")
        n = format_sample(self.n_prompts, self.n_images, self.n_pairs)
        unpaired = plural(self.n_unpaired, "prompt")
        left_out = f", {unpaired} without both sides" if self.n_unpaired else ""
        method = f"; {self.method}" if self.method else ""
        return f"Estimate({self.label}: {', '.join(parts)}; {n}{left_out}{method})"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>"
