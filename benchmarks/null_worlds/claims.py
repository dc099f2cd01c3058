"""What a recipe claims, and what a recipe is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.null_worlds.studies import Study, World

POOLED: Final = "all relations"
"""Row of a recipe that does not distinguish relations."""


@dataclass(frozen=True)
class Claim:
    """A row of a table that a recipe makes.

    Attributes
    ----------
    measure
        The measure: the rows of one measure are a family.
    row
        Relation, `POOLED`, or the name of a comparison without an effect.
    estimate, low, high
        The difference, with its interval.
    p, p_adjusted
        Its p-values; NaN if there is no claim.
    withheld
        Whether the recipe gives no p-value because something else differs.
    """

    measure: str
    row: str
    estimate: float
    low: float
    high: float
    p: float
    p_adjusted: float
    withheld: bool = False


Claims = Iterator[Claim]


@dataclass(frozen=True)
class Recipe:
    """A way to a claim.

    Attributes
    ----------
    name
        What is called, as in the documentation.
    make
        Returns the claims of a study.
    cost
        "default" for defaults, which are simulated most often; "cheap"; or "slow", simulated least often.
    accepts
        Whether it claims "relation plus something": wrong only in worlds where nothing matters.
    needs_maps
        Whether it needs maps.
    clustered
        Whether it clusters as the world's prompts demand. One that does not is shown, but not judged, in worlds whose
        prompts have templates or lemmas with effects.
    recurring
        Whether it is only for worlds whose lemmas recur.
    balanced
        Whether its sides differ by chance only, in every world.
    scaled
        Whether its estimates are differences of the measure.
    exchanged
        Whether it estimates what the truth of worlds of maps is, see `exchanged_effects`: its intervals are compared
        with the truth there, too.
    study
        Name of the study whose page it is; tried only in worlds with the prompts of that study.
    plain_only
        Whether it is tried only in null worlds whose prompts are the sample.
    """

    name: str
    make: Callable[[Study], Claims]
    cost: str = "cheap"
    accepts: bool = False
    needs_maps: bool = False
    clustered: bool = True
    recurring: bool = False
    balanced: bool = False
    scaled: bool = True
    exchanged: bool = False
    study: str = ""
    plain_only: bool = False

    def suits(self, world: World) -> bool:
        """Return whether a world is one in which the recipe is tried."""
        if self.study != world.study or (self.needs_maps and not world.has_maps):
            return False
        if self.plain_only and (world.effect or world.cluster != "prompt_id"):
            return False
        if self.recurring and isinstance(world.cluster, str):
            return False
        if self.accepts and (not world.neutral or world.effect):
            return False
        return self.clustered or world.cluster != "prompt_id"

    def has_known_truth(self, world: World) -> bool:
        """Return whether its intervals are compared with the truth in a world."""
        return self.scaled and (self.exchanged or not (world.has_maps and world.effect))
