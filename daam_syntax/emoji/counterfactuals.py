"""The same scene without one of its objects, or with another object in its place."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from daam_syntax.emoji.grammar import ObjectSpec
from daam_syntax.emoji.placement import compose
from daam_syntax.emoji.scenes import Scene
from daam_syntax.emoji.vocabulary import CATEGORY_OF, NOUNS
from daam_syntax.util.arguments.checks import checked


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """The image of a scene in which one object is missing or replaced.

    Attributes
    ----------
    image
        RGB image. Everything except the object, its rim, and what they cover is as in the scene, pixel by pixel.
    masks
        Visible pixels of each object, in the order of ``Scene.objects``, bool; those of the replaced object are the
        pixels of what replaces it, and None stands for the missing one. *Shape:* ``(y, x)``.
    """

    image: Image.Image
    masks: tuple[np.ndarray | None, ...]


@checked
def without_object(drawn: Scene, index: int) -> Counterfactual:
    """Draw a scene without one of its objects.

    Parameters
    ----------
    drawn
        The scene.
    index
        Index of the object in ``drawn.objects``.

    Returns
    -------
    Counterfactual
        The image and its masks. The caption of the scene still names the object.

    Raises
    ------
    ValueError
        If there is no such object.

    Examples
    --------
    >>> drawn = scene(7)  # doctest: +SKIP
    >>> trace_image(pipe, without_object(drawn, 0).image, drawn.caption)  # doctest: +SKIP
    """
    return _drawn_with(drawn, index, None)


@checked
def with_other_object(drawn: Scene, index: int, noun: str) -> Counterfactual:
    """Draw a scene with another object in the place of one of its objects, of the same side and color.

    Parameters
    ----------
    drawn
        The scene.
    index
        Index of the object in ``drawn.objects``.
    noun
        Noun of the other object, one of `vocabulary.NOUNS` and of another category, because a caption may name a
        category, and not the noun of another object.

    Returns
    -------
    Counterfactual
        The image and its masks. The caption of the scene still names the object that is replaced.

    Raises
    ------
    ValueError
        If there is no such object, or the noun is not one of `other_nouns`.
    """
    choices = other_nouns(drawn, index)
    if noun not in choices:
        raise ValueError(
            f"Expected a noun of another category than {drawn.objects[index].spec.noun!r} that is not in the scene, "
            f"but got {noun!r}: choose one of {', '.join(choices)}."
        )
    return _drawn_with(drawn, index, replace(drawn.objects[index].spec, noun=noun))


def other_nouns(drawn: Scene, index: int) -> tuple[str, ...]:
    """Return the nouns that can replace an object: those of other categories that the scene does not have."""
    _check_index(drawn, index)
    category = CATEGORY_OF[drawn.objects[index].spec.noun]
    taken = {obj.spec.noun for obj in drawn.objects}
    return tuple(n for n in NOUNS if CATEGORY_OF[n] != category and n not in taken)


def _drawn_with(drawn: Scene, index: int, other: ObjectSpec | None) -> Counterfactual:
    _check_index(drawn, index)
    objects: list[ObjectSpec | None] = [obj.spec for obj in drawn.objects]
    objects[index] = other
    image, masks = compose(objects, drawn.placement)
    return Counterfactual(image, tuple(masks))


def _check_index(drawn: Scene, index: int) -> None:
    if not 0 <= index < len(drawn.objects):
        raise ValueError(
            f"Expected the index of an object, from 0 to {len(drawn.objects) - 1}, but got {index}."
        )
