"""Scenes that are wrong on purpose, with exact labels: what a judge should reject."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from daam_syntax.emoji.annotator import Annotation
from daam_syntax.emoji.grammar import ObjectSpec, SceneSpec
from daam_syntax.emoji.scenes import Scene, draw_scene
from daam_syntax.emoji.training.dataset import label_maps
from daam_syntax.emoji.vocabulary import BACKGROUNDS, CATEGORY_OF, COLORS, NOUNS

SYMMETRIC = ("and", "next to")
"""Relations that also hold with their objects exchanged."""


@dataclass(frozen=True)
class Labeled:
    """An image and its exact labels.

    Attributes
    ----------
    image
        The image.
    labels
        The exact annotation.
    """

    image: Image.Image
    labels: Annotation


def exact(spec: SceneSpec, seed: int) -> Labeled:
    """Draw the scene of a meaning."""
    return _labeled(draw_scene(spec, np.random.default_rng(seed)))


def spoiled(spec: SceneSpec, aspects: tuple[str, ...], seed: int) -> Iterator[tuple[str, Labeled]]:
    """Yield scenes that do not show what a meaning says, each with the name of its fault.

    Parameters
    ----------
    spec
        The meaning.
    aspects
        What is judged beside the objects, as for `faults.judge`; each of them is spoiled in turn.
    seed
        Seed of positions, and of what replaces what.
    """
    rng = np.random.default_rng(seed)
    other = _other_noun(spec, rng)
    first, *rest = spec.objects
    changed = replace(first, noun=other)
    yield "another noun", exact(replace(spec, objects=(changed, *rest)), seed)
    yield "chimera", chimera(spec, other, seed)
    if len(spec.objects) < 3:
        doubled = replace(spec, objects=(*spec.objects, first), relation="and", pattern="phrase")
        yield "twin", exact(doubled, seed)
    if "relation" in aspects and spec.relation not in SYMMETRIC:
        yield "relation", exact(replace(spec, objects=spec.objects[::-1]), seed)
    if "color" in aspects:
        yield "color", exact(replace(spec, objects=_recolored(spec.objects, rng)), seed)
    if "size" in aspects:
        wrong = {"tiny": "small", "small": None, "big": None, "large": None, "huge": None}
        resized = replace(first, size=wrong[str(first.size)])
        yield "size", exact(replace(spec, objects=(resized,)), seed)
    if "place" in aspects:
        places = [place for place in (None, *BACKGROUNDS) if place != spec.background]
        moved = replace(spec, background=places[int(rng.integers(len(places)))])
        yield "place", exact(moved, seed)


def chimera(spec: SceneSpec, other: str, seed: int) -> Labeled:
    """Draw a scene whose first object is half of another noun: below or to the right of its middle."""
    first, *rest = spec.objects
    plain = draw_scene(spec, np.random.default_rng(seed))
    changed = replace(spec, objects=(replace(first, noun=other), *rest))
    drawn = draw_scene(changed, np.random.default_rng(seed))
    half = _half(plain.objects[0].mask | drawn.objects[0].mask, sideways=bool(seed % 2))
    pixels = np.where(half[..., None], np.asarray(drawn.image), np.asarray(plain.image))
    labels = [
        np.where(half, changed_labels, labels)
        for changed_labels, labels in zip(label_maps(drawn), label_maps(plain), strict=True)
    ]
    return Labeled(Image.fromarray(pixels), Annotation(*labels))


def _half(mask: np.ndarray, *, sideways: bool) -> np.ndarray:
    """Return the half of the image beyond the middle of a mask."""
    along = np.nonzero(mask)[1 if sideways else 0]
    middle = (along.min() + along.max() + 1) // 2
    beyond = np.arange(len(mask)) >= middle
    return np.broadcast_to(beyond if sideways else beyond[:, None], mask.shape)


def _labeled(drawn: Scene) -> Labeled:
    return Labeled(drawn.image, Annotation(*label_maps(drawn)))


def _other_noun(spec: SceneSpec, rng: np.random.Generator) -> str:
    """Choose a noun that was not asked for; a category's members were all asked for."""
    asked = {obj.noun for obj in spec.objects}
    categories = {CATEGORY_OF[obj.noun] for obj in spec.objects if obj.by_category}
    free = [noun for noun in NOUNS if noun not in asked and CATEGORY_OF[noun] not in categories]
    return str(rng.choice(free))


def _recolored(objects: tuple[ObjectSpec, ...], rng: np.random.Generator) -> tuple[ObjectSpec, ...]:
    """Exchange the colors of two objects, or give a single one another color."""
    if len(objects) > 1:
        colors = [obj.color for obj in objects]
        return tuple(replace(o, color=c) for o, c in zip(objects, colors[::-1], strict=True))
    others = [color for color in COLORS if color != objects[0].color]
    return (replace(objects[0], color=str(rng.choice(others))),)
