"""Captioned scenes of emoji, with the exact mask of every word that refers to something visible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from PIL import Image

from daam_syntax.emoji.grammar import BACKGROUND, ObjectSpec, Pattern, SceneSpec, write_caption
from daam_syntax.emoji.placement import IMAGE_SIZE, Placement, compose, place
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
from daam_syntax.util.arguments.checks import checked, whole

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


@dataclass(frozen=True, eq=False)  # arrays have no truth value
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
    placement
        Where the objects stand, and on what.
    """

    image: Image.Image
    sentence: Sentence
    spec: SceneSpec
    objects: tuple[DrawnObject, ...]
    masks: dict[int, np.ndarray]
    placement: Placement

    @property
    def caption(self) -> str:
        """Text of the caption."""
        return self.sentence.text


@checked(seed=whole(0), n_objects=whole(1))
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
        raise ValueError(f"Expected a split among {', '.join(get_args(Split))}, but got {split!r}.")
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


@checked
def draw_scene(spec: SceneSpec, rng: np.random.Generator) -> Scene:
    """Compose a scene of a given meaning; `rng` decides positions and backgrounds."""
    return compose_scene(spec, place(spec, rng))


def compose_scene(spec: SceneSpec, placement: Placement) -> Scene:
    """Draw objects at places that are decided, and write the caption."""
    image, visible = compose(spec.objects, placement)
    masks = {i: mask for i, mask in enumerate(visible) if mask is not None}
    sentence, refers = write_caption(spec)
    masks[BACKGROUND] = ~np.any(list(masks.values()), axis=0)
    heads = {phrase.root for phrase in sentence.noun_phrases}
    objects = tuple(
        DrawnObject(obj, next(w for w, r in refers.items() if r == i and w in heads), masks[i])
        for i, obj in enumerate(spec.objects)
    )
    word_masks = {word: masks[thing] for word, thing in refers.items()}
    return Scene(image, sentence, spec, objects, word_masks, placement)


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
