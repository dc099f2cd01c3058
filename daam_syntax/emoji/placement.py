"""Where the objects of a scene stand, and drawing them there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from daam_syntax.emoji.backgrounds import draw_background
from daam_syntax.emoji.grammar import ObjectSpec, SceneSpec
from daam_syntax.emoji.sprites import draw_rim, draw_sprite
from daam_syntax.emoji.vocabulary import SIZES

IMAGE_SIZE: Final = 128
"""Pixels along each side of a scene, and of images of the embedded model."""

# Longer side of a sprite of ordinary size, by the number of objects; the largest size still fits.
_SIDES: Final = {1: 80.0, 2: 62.0, 3: 44.0}
_LARGEST: Final = 112.0


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the objects of a scene stand, and on what.

    Attributes
    ----------
    background
        The RGB image behind the objects.
    sides
        Longer side of each object's sprite, in pixels.
    centers
        Center of each object (x, y), in pixels.
    order
        The objects from back to front.
    """

    background: Image.Image
    sides: tuple[float, ...]
    centers: tuple[tuple[float, float], ...]
    order: tuple[int, ...]


def place(spec: SceneSpec, rng: np.random.Generator) -> Placement:
    """Decide where the objects of a scene stand, and draw what is behind them."""
    sides = [
        min(_LARGEST, _SIDES[len(spec.objects)] * SIZES.get(obj.size or "", 1.0))
        * rng.uniform(0.93, 1.07)
        for obj in spec.objects
    ]
    sides, centers = _lay_out(spec, sides, rng)
    background = draw_background(spec.background, IMAGE_SIZE, rng).convert("RGB")
    return Placement(background, tuple(sides), tuple(centers), tuple(_drawing_order(spec)))


def compose(
    objects: Sequence[ObjectSpec | None], placement: Placement
) -> tuple[Image.Image, list[np.ndarray | None]]:
    """Draw objects in their places.

    Parameters
    ----------
    objects
        What stands in each place; None leaves it empty.
    placement
        The places.

    Returns
    -------
    image : PIL.Image.Image
        The RGB image.
    masks : list of numpy.ndarray
        Visible pixels of each object, without those that other objects cover, bool; None for an empty place.
        *Shape:* ``(y, x)``.
    """
    canvas = placement.background.convert("RGBA")
    masks: dict[int, np.ndarray] = {}
    for i in placement.order:
        obj = objects[i]
        if obj is None:
            continue
        tinted = draw_sprite(obj.noun, placement.sides[i], obj.color)
        x, y = placement.centers[i]
        layer = Image.new("RGBA", canvas.size, (0, 0, 0, 0))
        layer.paste(tinted, (int(x - tinted.width / 2), int(y - tinted.height / 2)))
        canvas = Image.alpha_composite(Image.alpha_composite(canvas, draw_rim(layer)), layer)
        visible = np.asarray(layer)[..., 3] > 127
        masks = {j: mask & ~visible for j, mask in masks.items()}
        masks[i] = visible
    return canvas.convert("RGB"), [masks.get(i) for i in range(len(objects))]


def _drawing_order(spec: SceneSpec) -> list[int]:
    """Return the order from back to front: an object on another one covers it."""
    order = list(range(len(spec.objects)))
    if len(order) > 1 and spec.relation in ("on", "ride"):
        order[:2] = [1, 0]
    return order


def _lay_out(
    spec: SceneSpec, sides: list[float], rng: np.random.Generator
) -> tuple[list[float], list[tuple[float, float]]]:
    """Place the objects on the canvas by their relation; return their sides and centers (x, y)."""

    def jitter(amount: float) -> float:
        return float(rng.uniform(-amount, amount))

    if len(sides) == 1:
        slack = max(4.0, (IMAGE_SIZE - sides[0]) / 2 - 4)
        return sides, [(64 + jitter(slack), 66 + jitter(min(slack, 18)))]
    if len(sides) == 3:
        return _lay_out_three(spec, sides, rng)

    relation = spec.relation
    left, right, level = 33 + jitter(4), 95 + jitter(4), 76 + jitter(10)
    column = 64 + jitter(18)
    if relation in ("and", "next to"):
        centers = [(left, level), (right, level + jitter(4))]
        if rng.random() < 0.5:
            centers.reverse()
    elif relation == "to the left of":
        centers = [(left, level), (right, level + jitter(4))]
    elif relation in ("to the right of", "chase"):
        # The artwork faces left, so the one that chases is on the right.
        centers = [(right, level), (left, level + jitter(4))]
    elif relation == "above":
        centers = [(column, 32 + jitter(3)), (column + jitter(8), 96 + jitter(3))]
    elif relation == "below":
        centers = [(column, 96 + jitter(3)), (column + jitter(8), 32 + jitter(3))]
    elif relation in ("on", "ride"):
        overlap = 0.40 if relation == "on" else 0.30
        base = 94 + jitter(4)
        top = max(sides[0] / 2, base - (sides[0] + sides[1]) * overlap)
        centers = [(column + jitter(4), top), (column, base)]
    elif relation == "wear":
        sides = [sides[0] * 1.25, sides[0] * 0.7]
        x, y = column, 80 + jitter(4)
        height = -0.48 if spec.objects[1].noun == "hat" else 0.30
        centers = [(x, y), (x + jitter(2), y + height * sides[0])]
    else:  # hold
        sides = [sides[0] * 1.2, min(sides[1], sides[0]) * 0.75]
        x, y = 54 + jitter(12), 70 + jitter(8)
        centers = [(x, y), (x + 0.5 * sides[0], y + 0.18 * sides[0])]
    return sides, centers


def _lay_out_three(
    spec: SceneSpec, sides: list[float], rng: np.random.Generator
) -> tuple[list[float], list[tuple[float, float]]]:
    """Place three objects: a pair on two thirds of the canvas, and the third beside it."""

    def jitter(amount: float) -> float:
        return float(rng.uniform(-amount, amount))

    level = 76 + jitter(10)
    columns = [23.0, 64.0, 105.0]
    if spec.relation == "and":
        columns = [columns[i] for i in rng.permutation(3)]
        return sides, [(x + jitter(2), level + jitter(5)) for x in columns]
    pair_spec = SceneSpec(spec.objects[:2], spec.relation, spec.background, spec.pattern)
    pair_sides, pair = _lay_out(pair_spec, [s / _SIDES[3] * _SIDES[2] for s in sides[:2]], rng)
    shrink = 0.70
    at_left = bool(rng.random() < 0.5)
    offset = (1 - shrink) * IMAGE_SIZE if at_left else 0.0
    centers = [(x * shrink + offset, y * shrink + 24) for x, y in pair]
    third = (18 + jitter(2) if at_left else 110 + jitter(2), level + jitter(4))
    return [*(s * shrink for s in pair_sides), min(sides[2], 40.0)], [*centers, third]
