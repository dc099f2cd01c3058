"""Scenes of the embedded world with exact masks, and what is true of no other data: the same scene without a thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.attribution.cases import MIN_VISIBLE, Case, Maps, Scored, Thing
from benchmarks.attribution.scoring import at_size, share_inside
from daam_syntax.emoji.counterfactuals import other_nouns, with_other_object, without_object
from daam_syntax.emoji.scenes import DrawnObject, Scene, scene

FIRST: Final = 600_000
"""Seed of the first scene; nothing is learned or chosen on these."""

WITH: Final = "mass on the thing"
WITHOUT: Final = "mass there without the thing"
LOST: Final = "mass lost without the thing"
FALLS: Final = "falls without the thing"
OTHER: Final = "mass lost to another thing"
BELOW: Final = "falls for another thing"
COUNTERFACTUAL: Final = (LOST, FALLS, OTHER, BELOW)

KEPT: Final = {
    "without the thing": ("total without the thing", "total with the thing"),
    "with another thing": ("total with another thing", "total of shared pixels"),
}
"""How much of its mass, on the scale of the method, a map keeps: names of sums after, and before."""


@dataclass(frozen=True, eq=False)
class Counterfactuals:
    """A scene, one thing of it, and the same caption for the scene without it and with another thing.

    Attributes
    ----------
    thing
        The thing and its pixels.
    without, other
        The cases: nothing in the place of the thing, and another thing.
    shared
        Pixels that show the thing in the scene, and the other thing in its place, bool. *Shape:* ``(y, x)``.
    """

    thing: Thing
    without: Case
    other: Case
    shared: np.ndarray


def exact_scenes(n: int, first: int = FIRST) -> list[Scene]:
    """Return the first scenes in which a thing is visible."""
    found: list[Scene] = []
    seed = first
    while len(found) < n:
        drawn = scene(seed)
        if visible(drawn):
            found.append(drawn)
        seed += 1
    return found


def visible(drawn: Scene) -> list[int]:
    """Return the indices of the objects that are not almost entirely hidden."""
    return [i for i, obj in enumerate(drawn.objects) if obj.mask.mean() >= MIN_VISIBLE]


def nouns_of(drawn: Scene) -> Scored:
    """Return the nouns of a scene, and the pixels of what they name."""
    return _scored(drawn, [(drawn.objects[i], drawn.objects[i].word) for i in visible(drawn)])


def colors_of(drawn: Scene) -> Scored:
    """Return the color words of a scene, and the pixels of the objects that have these colors."""
    found = []
    for i in visible(drawn):
        obj = drawn.objects[i]
        words = [w for w, mask in drawn.masks.items() if mask is obj.mask]
        found += [(obj, w) for w in words if drawn.sentence[w].text == obj.spec.color]
    return _scored(drawn, found)


def _scored(drawn: Scene, named: Sequence[tuple[DrawnObject, int]]) -> Scored:
    shown = [drawn.objects[i] for i in visible(drawn)]
    things = tuple(
        Thing(word, obj.mask, tuple(other.mask for other in shown if other is not obj))
        for obj, word in named
    )
    return Scored(Case(drawn.image, drawn.sentence, tuple(thing.word for thing in things)), things)


def counterfactuals_of(drawn: Scene, seed: int) -> Counterfactuals:
    """Remove and replace one visible thing of a scene, which the seed chooses.

    What replaces it is drawn from the nouns of other categories, and covers a part of the pixels of the thing.
    """
    rng = np.random.default_rng([FIRST, seed])
    index = int(rng.choice(visible(drawn)))
    obj = drawn.objects[index]
    thing = Thing(obj.word, obj.mask)

    def case(image: object) -> Case:
        return Case(image, drawn.sentence, (obj.word,))  # type: ignore[arg-type]

    for noun in rng.permutation(other_nouns(drawn, index)):
        other = with_other_object(drawn, index, str(noun))
        shown = other.masks[index]
        assert shown is not None, "the other thing is drawn"
        shared = shown & obj.mask
        if shared.mean() >= MIN_VISIBLE:
            break
    else:
        raise ValueError(f"Expected a thing that covers {obj.spec.noun!r} in {drawn.caption!r}.")
    return Counterfactuals(
        thing, case(without_object(drawn, index).image), case(other.image), shared
    )


def counterfactual_scores(
    found: Sequence[Counterfactuals],
    own: Sequence[Maps],
    without: Sequence[Maps],
    other: Sequence[Maps],
) -> dict[str, np.ndarray]:
    """Score the maps of the things in the scenes, without them, and with other things.

    Parameters
    ----------
    found
        The counterfactuals.
    own, without, other
        Maps of the words in the scenes, without the things, and with other things.

    Returns
    -------
    dict
        Shares of the map's mass on the thing's pixels: in the scene, without the thing, and the difference of the
        two; how often it falls; the same for the pixels that the thing and the other thing share. Those of `KEPT`
        are means of the map on these pixels, on its own scale. *Shape:* ``(scene,)``.
    """
    rows = []
    for each, first, second, third in zip(found, own, without, other, strict=True):
        word, mask, shared = each.thing.word, each.thing.mask, each.shared
        here, gone = share_inside(first[word], mask), share_inside(second[word], mask)
        before, replaced = share_inside(first[word], shared), share_inside(third[word], shared)
        totals = {
            "without the thing": (mass_inside(second[word], mask), mass_inside(first[word], mask)),
            "with another thing": (
                mass_inside(third[word], shared),
                mass_inside(first[word], shared),
            ),
        }
        rows.append(
            {
                WITH: here,
                WITHOUT: gone,
                LOST: here - gone,
                FALLS: falls(here, gone),
                OTHER: before - replaced,
                BELOW: falls(before, replaced),
                **{
                    name: value
                    for when, names in KEPT.items()
                    for name, value in zip(names, totals[when], strict=True)
                },
            }
        )
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def mass_inside(values: np.ndarray, region: np.ndarray) -> float:
    """Return the mean of a map over the pixels of a region, on the method's own scale."""
    return float(at_size(values, region.shape)[region].mean()) if values.any() else 0.0


def falls(before: float, after: float) -> float:
    """Return whether a share falls; a tie is a half."""
    return 0.5 if np.isclose(before, after, rtol=1e-9, atol=1e-12) else float(after < before)
