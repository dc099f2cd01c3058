"""Verdicts of the annotator on images of the embedded model, and how often it errs on scenes whose content is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL.Image import Image
from PIL.Image import fromarray as image_of
from scipy import ndimage

from daam_syntax.emoji.grammar import ObjectSpec, SceneSpec
from daam_syntax.emoji.scenes import Scene, draw_scene
from daam_syntax.emoji.vocabulary import COLORS, NOUNS, VERB_FORMS
from daam_syntax.language import Sentence
from daam_syntax.studies.framework.word_classes import color_words
from daam_syntax.studies.verdicts.judging.failures import ANY, KINDS
from daam_syntax.studies.verdicts.judging.misjudgment import ErrorRates

if TYPE_CHECKING:
    from daam_syntax.emoji.annotator import Annotation, Annotator

SMALLEST: Final = 0.005
"""Smallest share of the image that counts as a part of an object."""

REMNANT: Final = 0.35
"""A part of a noun smaller than this share of its largest one is a remnant, not another object."""

APART: Final = 0.215
"""Parts of two nouns whose centers are closer, as a share of the image's side, are one object: half of the smallest
distance of two objects side by side in scenes."""

ELONGATED: Final = 1.4
"""What is longer than this, relative to its width, may be several objects in a row that touch; parts of two nouns that
touch and are not as long together are one object."""

_SIDES: Final = {1: 80 / 128, 2: 62 / 128, 3: 44 / 128}
"""Longer side of an object in scenes by the number of objects; with more, that of three."""

MOST: Final = 3
"""Objects in the scenes on which the error rates are measured; the embedded world has no more."""

_TOUCHING: Final = {"on", *VERB_FORMS["ride"], *VERB_FORMS["wear"], *VERB_FORMS["hold"]}
_EIGHT: Final = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Asked:
    """The objects that a prompt asks for.

    Attributes
    ----------
    nouns
        Their nouns, in the order of the prompt; a noun that occurs twice is there twice.
    colors
        Color of each noun that has a color word.
    reads_colors
        Whether the noun of every color word is known.
    apart
        Whether they lie beside each other; objects that ride, wear, or hold another one touch it by design.
    """

    nouns: tuple[str, ...]
    colors: dict[str, str]
    reads_colors: bool = True
    apart: bool = True

    @classmethod
    def of(cls, sentence: Sentence) -> Asked:
        """Read what a prompt of the embedded world asks for."""
        nouns = tuple(token.text for token in sentence.tokens if token.text in NOUNS)
        of_noun = color_words(sentence) | _predicates(sentence)
        colors = {sentence[noun].text: sentence[color].text for color, noun in of_noun.items()}
        n_colors = sum(token.text in COLORS for token in sentence.tokens)
        apart = not _TOUCHING & set(sentence.words)
        return cls(nouns, colors, len(colors) == n_colors, apart)


def _predicates(sentence: Sentence) -> dict[int, int]:
    """Return the noun of each color word that is a predicate: "a cat that is red", "the cat is red"."""
    found = {}
    for edge in sentence.edges_of("ud"):
        head, dependent = sentence[edge.head].text, sentence[edge.dependent].text
        if edge.relation == "acl:relcl" and head in NOUNS and dependent in COLORS:
            found[edge.dependent] = edge.head
        if edge.relation == "nsubj" and head in COLORS and dependent in NOUNS:
            found[edge.head] = edge.dependent
    return found


@dataclass(frozen=True)
class _Part:
    """Connected pixels of one noun, or of several nouns that are one object. *Shape of the mask:* ``(y, x)``."""

    noun: str
    mask: np.ndarray

    @property
    def ends(self) -> np.ndarray:
        """First and last place of the box along y and x, as shares of the sides. *Shape:* ``(axis, end)``."""
        (box,) = ndimage.find_objects(self.mask.astype(int))
        return np.array([[side.start, side.stop] for side in box]) / len(self.mask)

    @property
    def sides(self) -> tuple[float, float]:
        """Longer and shorter side of the box."""
        height, width = self.ends[:, 1] - self.ends[:, 0]
        return max(height, width), min(height, width)

    def is_long(self) -> bool:
        """Whether it may be several objects in a row."""
        long, short = self.sides
        return long >= ELONGATED * short

    def joined(self, other: _Part) -> _Part | None:
        """Return both as one object; None if they are two."""
        both = _Part(self.noun, self.mask | other.mask)
        distance = np.hypot(*(self.ends.mean(axis=1) - other.ends.mean(axis=1)))
        touch = bool((ndimage.binary_dilation(self.mask, _EIGHT, 2) & other.mask).any())
        is_one = distance < APART or (touch and not both.is_long())
        return both if is_one else None


def verdict(seen: Annotation, asked: Asked) -> dict[str, float]:
    """Judge an annotated image.

    - missing: no part of the image has the noun.
    - fused: the image has fewer objects than the prompt has nouns, whatever they are. What is half of one noun and half
      of another is one object. A missing noun whose place another object takes is not fused.
    - color: the noun has another color than its color word says, or the color of a tint without a color word.

    Parameters
    ----------
    seen
        The annotation.
    asked
        What the prompt asks for.

    Returns
    -------
    dict
        1 or 0 for each of `KINDS`; NaN for what cannot be judged: fused objects that touch by design or of fewer than
        two nouns; colors of prompts without a color word, whose colors the parse does not join to nouns, or of images
        without any of the objects.
    """
    parts = _parts(seen)
    names = set(asked.nouns)
    missing = names - {part.noun for part in parts}
    shown = names - missing
    found = {"missing": float(bool(missing)), "fused": float("nan"), "color": float("nan")}
    if asked.apart and len(asked.nouns) > 1:
        found["fused"] = float(_count(parts, len(asked.nouns)) < len(asked.nouns))
    if asked.colors and asked.reads_colors and shown:
        wrong = (seen.color(noun) != asked.colors.get(noun, "own color") for noun in shown)
        found["color"] = float(any(wrong))
    return found


def _parts(seen: Annotation) -> list[_Part]:
    """Return the connected parts of every noun, without speckles and remnants."""
    from daam_syntax.emoji.annotator import NOUN_CLASSES

    parts: list[_Part] = []
    for number in np.unique(seen.nouns[seen.nouns > 0]):
        labels, n = ndimage.label(seen.nouns == number, _EIGHT)
        areas = np.bincount(labels.ravel(), minlength=n + 1)[1:] / labels.size
        least = max(SMALLEST, REMNANT * areas.max())
        kept = np.flatnonzero(areas >= least) + 1
        parts += [_Part(NOUN_CLASSES[number], labels == part) for part in kept]
    return parts


def _count(parts: Sequence[_Part], n_asked: int) -> int:
    """Count objects: parts of different nouns may be one object, and a long part is as many as fit into it."""
    side = _SIDES[min(n_asked, MOST)]
    objects: list[_Part] = []
    for part in parts:
        for place, other in enumerate(objects):
            both = other.joined(part) if other.noun != part.noun else None
            if both is not None:
                objects[place] = both
                break
        else:
            objects.append(part)
    return sum(max(1, round(each.sides[0] / side)) if each.is_long() else 1 for each in objects)


def annotator_rates(
    annotator: Annotator, asked: Sequence[Asked], *, n: int = 120, seed: int = 0
) -> dict[str, ErrorRates]:
    """Measure how often the annotator's verdicts are right, on rendered scenes of what the prompts ask for.

    Each prompt has scenes that show what it asks for, that lack an object, in which one object, half of each of two
    nouns, stands for both, and in which an object has another color. The scenes are sharper than images that a model
    draws, on which the annotator may err more often.

    Parameters
    ----------
    annotator
        The annotator.
    asked
        What prompts ask for; those with more than `MOST` objects, with a noun twice or with objects that touch are not
        rendered.
    n
        Number of prompts, spread over all that can be rendered.
    seed
        Seed of the scenes.

    Returns
    -------
    dict
        Error rates for each of `KINDS` and for `ANY`, whose failures are those of all kinds; kinds that no scene has
        are left out.
    """
    rng = np.random.default_rng(seed)
    able = [a for a in asked if a.apart and 1 < len(a.nouns) <= MOST and len({*a.nouns}) > 1]
    able = [a for a in able if len({*a.nouns}) == len(a.nouns)]
    chosen = (
        [able[i] for i in np.unique(np.linspace(0, len(able) - 1, n).round().astype(int))]
        if able
        else []
    )
    hits: dict[str, tuple[list[bool], list[bool]]] = {name: ([], []) for name in (*KINDS, ANY)}
    for each in chosen:
        kinds, images = zip(*_scenes(each, rng), strict=True)
        for kind, seen in zip(kinds, annotator(images), strict=True):
            found = verdict(seen, each)
            some = max(value for value in found.values() if not np.isnan(value))
            for name, value in {**found, ANY: some}.items():
                if np.isnan(value):
                    continue
                if kind == name or (kind and name == ANY):
                    hits[name][0].append(value > 0)
                elif not kind:
                    hits[name][1].append(value == 0)
    return {
        name: ErrorRates(
            float(np.mean(with_it)), float(np.mean(without)), len(with_it), len(without)
        )
        for name, (with_it, without) in hits.items()
        if with_it and without
    }


def _scenes(asked: Asked, rng: np.random.Generator) -> Iterator[tuple[str, Image]]:
    """Yield scenes with the kind of their failure; that of what a prompt asks for is ""."""
    objects = tuple(ObjectSpec(noun, asked.colors.get(noun)) for noun in asked.nouns)
    yield "", draw_scene(SceneSpec(objects), rng).image
    place = int(rng.integers(len(objects)))
    others = (*objects[:place], *objects[place + 1 :])
    twin = (*others, others[int(rng.integers(len(others)))])
    # An image that lacks an object often shows another one twice instead.
    lacking = twin if rng.random() < 0.5 else others
    yield "missing", draw_scene(SceneSpec(lacking), rng).image
    yield "fused", _fused(objects, rng)
    if asked.colors:
        yield "color", draw_scene(SceneSpec(_recolored(objects, rng)), rng).image


def _fused(objects: Sequence[ObjectSpec], rng: np.random.Generator) -> Image:
    """Draw a scene in which one object is half the first noun and half the second, beside the other objects."""
    first, second, *rest = objects
    seed = int(rng.integers(2**32))
    one, two = (
        draw_scene(SceneSpec((half, *rest)), np.random.default_rng(seed))
        for half in (first, second)
    )
    beyond = _beyond_middle(one, two, int(rng.integers(2)))
    return image_of(np.where(beyond[..., None], np.asarray(two.image), np.asarray(one.image)))


def _beyond_middle(one: Scene, two: Scene, axis: int) -> np.ndarray:
    """Return the half of the image below, or to the right of, the middle of the two scenes' first objects."""
    mask = one.objects[0].mask | two.objects[0].mask
    along = np.nonzero(mask)[axis]
    middle = (along.min() + along.max() + 1) // 2
    places = np.arange(mask.shape[axis]) >= middle
    return np.broadcast_to(places[:, None] if axis == 0 else places, mask.shape)


def _recolored(objects: Sequence[ObjectSpec], rng: np.random.Generator) -> tuple[ObjectSpec, ...]:
    """Give one object a color that it should not have."""
    place = int(rng.integers(len(objects)))
    others = [color for color in COLORS if color != objects[place].color]
    changed = ObjectSpec(objects[place].noun, str(rng.choice(others)))
    return (*objects[:place], changed, *objects[place + 1 :])
