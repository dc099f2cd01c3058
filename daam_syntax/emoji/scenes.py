"""Captioned scenes of emoji, with the exact mask of every word that refers to something visible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from PIL import Image

from daam_syntax.emoji.backgrounds import draw_background
from daam_syntax.emoji.grammar import BACKGROUND, ObjectSpec, Pattern, SceneSpec, write_caption
from daam_syntax.emoji.sprites import draw_rim, draw_sprite
from daam_syntax.emoji.vocabulary import (
    ANIMATE,
    BACKGROUNDS,
    COLORS,
    NOUNS,
    SIZES,
    VERB_OBJECTS,
    is_reserved_color,
    is_reserved_pair,
)
from daam_syntax.language.sentence import Sentence

IMAGE_SIZE: Final = 128
"""Pixels along each side of a scene, and of images of the embedded model."""

# Longer side of a sprite of ordinary size, by the number of objects; the largest size still fits.
_SIDES: Final = {1: 80.0, 2: 62.0, 3: 44.0}
_LARGEST: Final = 112.0

# Relations that decide who is on which side are the hardest to learn, so they are the most frequent.
_RELATIONS: Final = {
    "and": 5.0,
    "next to": 2.5,
    "on": 1.8,
    "above": 1.5,
    "below": 1.2,
    "to the left of": 4.0,
    "to the right of": 4.0,
    "ride": 1.5,
    "chase": 3.5,
    "wear": 1.5,
    "hold": 1.5,
}
_PATTERNS: Final = {
    "phrase": 0.46,
    "progressive": 0.14,
    "finite": 0.08,
    "relative": 0.08,
    "existential": 0.08,
    "picture": 0.08,
    "scene": 0.08,
}

Split = Literal["train", "reserved", "any"]


@dataclass(frozen=True)
class DrawnObject:
    """One object of a scene, as drawn.

    Attributes
    ----------
    spec
        Its noun, and how the caption describes it.
    word
        Index of its noun in the caption (the head of the noun phrase).
    mask
        Its visible pixels, without those that other objects cover, bool. *Shape:* ``(y, x)``.
    """

    spec: ObjectSpec
    word: int
    mask: np.ndarray


@dataclass(frozen=True)
class Scene:
    """An image, its caption with the tree it was written from, and exact masks.

    Attributes
    ----------
    image
        RGB image of 128 x 128 pixels.
    sentence
        The caption with its basic UD tree (scheme ``"ud"``).
    spec
        The meaning and the pattern of the caption.
    objects
        The objects, in the order of ``spec.objects``.
    masks
        Token index to mask, bool. The mask of a noun and its modifiers is that of their object; the mask of a
        background noun is everything except the objects. *Shape:* ``(y, x)``.
    """

    image: Image.Image
    sentence: Sentence
    spec: SceneSpec
    objects: tuple[DrawnObject, ...]
    masks: dict[int, np.ndarray]

    @property
    def caption(self) -> str:
        """Text of the caption."""
        return self.sentence.text


def scene(seed: int, *, split: Split = "any", n_objects: int | None = None) -> Scene:
    """Compose the scene of a seed.

    Parameters
    ----------
    seed
        Any non-negative integer; the same seed gives the same scene.
    split
        "train" uses no noun pair or color-noun pair that is reserved for evaluation; "reserved" uses at least one;
        "any" may use some.
    n_objects
        1, 2, or 3; random if None.

    Returns
    -------
    Scene
        The image with its caption, tree, and masks.
    """
    if split not in get_args(Split):
        raise ValueError(f"split must be one of {', '.join(get_args(Split))}, but got {split!r}.")
    if n_objects not in (None, 1, 2, 3):
        raise ValueError(f"n_objects must be 1, 2, 3 or None, but got {n_objects!r}.")
    rng = np.random.default_rng(seed)
    while True:
        spec = sample_spec(rng, n_objects)
        if split == "any" or is_reserved(spec) == (split == "reserved"):
            return draw_scene(spec, rng)


def is_reserved(spec: SceneSpec) -> bool:
    """Whether a scene has a noun pair or a color-noun pair that is withheld from training."""
    objects = spec.objects
    return any(obj.color and is_reserved_color(obj.color, obj.noun) for obj in objects) or any(
        is_reserved_pair(a.noun, b.noun) for i, a in enumerate(objects) for b in objects[:i]
    )


def sample_spec(rng: np.random.Generator, n_objects: int | None = None) -> SceneSpec:
    """Sample the meaning and the pattern of a scene."""
    n = n_objects or int(rng.choice([1, 2, 3], p=[0.36, 0.54, 0.10]))
    relation = _choose(rng, _RELATIONS) if n > 1 else "and"
    nouns: list[str] = []
    for i in range(n):
        pool: list[str] | tuple[str, ...] = NOUNS
        if relation in VERB_OBJECTS and i < 2:
            pool = sorted(ANIMATE if i == 0 else VERB_OBJECTS[relation])
        nouns.append(str(rng.choice([noun for noun in pool if noun not in nouns])))
    p_color = float(rng.choice([0.0, 0.5, 1.0], p=[0.30, 0.35, 0.35]))
    objects = tuple(
        ObjectSpec(
            noun,
            color=str(rng.choice(list(COLORS))) if rng.random() < p_color else None,
            size=(
                str(rng.choice(list(SIZES)))
                if rng.random() < 0.2 and _has_free_size(i, n, relation)
                else None
            ),
            by_category=bool(rng.random() < 0.12),
        )
        for i, noun in enumerate(nouns)
    )
    background = str(rng.choice(list(BACKGROUNDS))) if rng.random() < 0.6 else None
    pattern: Pattern = _choose(rng, _PATTERNS)  # type: ignore[assignment]
    return SceneSpec(objects, relation, background, pattern)


def _has_free_size(index: int, n_objects: int, relation: str) -> bool:
    """Whether an object can have any size; objects that are worn, held, or beside a pair cannot."""
    fitted = index == 1 and relation in ("wear", "hold")
    beside_pair = index == 2 and relation != "and"
    return not (fitted or beside_pair)


def _choose(rng: np.random.Generator, weights: dict[str, float]) -> str:
    p = np.array(list(weights.values()))
    return str(rng.choice(list(weights), p=p / p.sum()))


def draw_scene(spec: SceneSpec, rng: np.random.Generator) -> Scene:
    """Compose a scene of a given meaning; `rng` decides positions and backgrounds."""
    sides = [
        min(_LARGEST, _SIDES[len(spec.objects)] * SIZES.get(obj.size or "", 1.0))
        * rng.uniform(0.93, 1.07)
        for obj in spec.objects
    ]
    sides, centers = _lay_out(spec, sides, rng)
    canvas = draw_background(spec.background, IMAGE_SIZE, rng).convert("RGBA")
    masks: dict[int, np.ndarray] = {}
    for i in _drawing_order(spec):
        obj = spec.objects[i]
        tinted = draw_sprite(obj.noun, sides[i], obj.color)
        layer = Image.new("RGBA", canvas.size, (0, 0, 0, 0))
        layer.paste(
            tinted,
            (int(centers[i][0] - tinted.width / 2), int(centers[i][1] - tinted.height / 2)),
        )
        canvas = Image.alpha_composite(Image.alpha_composite(canvas, draw_rim(layer)), layer)
        visible = np.asarray(layer)[..., 3] > 127
        masks = {j: mask & ~visible for j, mask in masks.items()}
        masks[i] = visible
    image = canvas.convert("RGB")
    sentence, refers = write_caption(spec)
    masks[BACKGROUND] = ~np.any([masks[i] for i in range(len(spec.objects))], axis=0)
    heads = {phrase.root for phrase in sentence.noun_phrases}
    objects = tuple(
        DrawnObject(obj, next(w for w, r in refers.items() if r == i and w in heads), masks[i])
        for i, obj in enumerate(spec.objects)
    )
    word_masks = {word: masks[thing] for word, thing in refers.items()}
    return Scene(image, sentence, spec, objects, word_masks)


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


__all__ = [
    "IMAGE_SIZE",
    "DrawnObject",
    "Scene",
    "Split",
    "draw_scene",
    "is_reserved",
    "sample_spec",
    "scene",
]
