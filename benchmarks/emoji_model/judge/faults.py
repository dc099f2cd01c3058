"""What is wrong with an image of a prompt: objects, relation, colors, size, and background."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from PIL import Image

from benchmarks.emoji_model.judge.geometry import OVERLAPPING, has_size, holds, is_doubled, is_whole
from benchmarks.emoji_model.judge.places import place_shown
from benchmarks.emoji_model.judge.regions import Region, parts_of, regions
from daam_syntax.emoji.annotator import Annotation
from daam_syntax.emoji.grammar import SceneSpec
from daam_syntax.emoji.vocabulary import CATEGORIES, CATEGORY_OF

OBJECT_FAULTS: Final = ("missing", "twin", "chimera", "partial", "extra")
"""Faults of the objects: absent, there twice, mixed with another noun, too small to be whole, not asked for."""

FAULTS: Final = (*OBJECT_FAULTS, "relation", "color", "size", "place")
"""All faults that an image can have."""

PURE: Final = 0.75
"""Smallest share of its own noun in the region of an object; in halves of two objects it is between 0.3 and 0.7."""


def judge(
    seen: Annotation,
    spec: SceneSpec,
    image: Image.Image,
    aspects: Collection[str] = ("relation", "color", "size", "place"),
) -> tuple[str, ...]:
    """Return the faults of an image, in the order of `FAULTS`; none means that it shows what the prompt says.

    Parameters
    ----------
    seen
        The annotation of the image.
    spec
        The meaning of the prompt.
    image
        The image.
    aspects
        Which of "relation", "color", "size", and "place" to judge beside the objects. The size is judged of single
        objects only.
    """
    asked = asked_nouns(seen, spec)
    found, extras = regions(seen.nouns, asked, overlapping=_overlaps(spec))
    faults = {"extra"} if extras else set()
    if len(found) < len(spec.objects):
        faults.add("missing")
    for index, noun in enumerate(asked):
        if noun in found:
            faults |= _object_faults(found[noun], spec, index)
    faults |= _aspect_faults(seen, spec, [found.get(noun) for noun in asked]) & set(aspects)
    if "place" in aspects and place_shown(image, seen.nouns > 0) != spec.background:
        faults.add("place")
    return tuple(fault for fault in FAULTS if fault in faults)


def asked_nouns(seen: Annotation, spec: SceneSpec) -> list[str]:
    """Return the noun of every object; for a category, its member that covers most of the image."""
    shown = [part.noun for part in parts_of(seen.nouns)]
    asked: list[str] = []
    for obj in spec.objects:
        members = CATEGORIES[CATEGORY_OF[obj.noun]] if obj.by_category else (obj.noun,)
        others = {o.noun for o in spec.objects if not o.by_category} | set(asked)
        fitting = [noun for noun in shown if noun in members and noun not in others]
        asked.append(fitting[0] if obj.by_category and fitting else obj.noun)
    return asked


def _overlaps(spec: SceneSpec) -> bool:
    return len(spec.objects) > 1 and (
        spec.relation in OVERLAPPING or any(obj.size for obj in spec.objects)
    )


def _object_faults(region: Region, spec: SceneSpec, index: int) -> set[str]:
    faults = set()
    if region.count > 1 or is_doubled(region, spec, index):
        faults.add("twin")
    if region.purity < PURE:
        faults.add("chimera")
    if not is_whole(region, spec, index):
        faults.add("partial")
    return faults


def _aspect_faults(seen: Annotation, spec: SceneSpec, found: Sequence[Region | None]) -> set[str]:
    """Return the faults of relation, colors, and size, as far as the objects are there."""
    faults = set()
    there = [region for region in found if region is not None]
    if len(there) == len(found) > 1 and not holds(spec.relation, *there[:2]):
        faults.add("relation")
    for obj, region in zip(spec.objects, found, strict=True):
        if region and obj.color and seen.color(region.noun) != obj.color:
            faults.add("color")
        if region and obj.size and len(found) == 1 and not has_size(region, obj):
            faults.add("size")
    return faults
