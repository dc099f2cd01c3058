"""The same scene without one of its objects, or with another one in its place."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from daam_syntax.emoji import ObjectSpec, SceneSpec, draw_scene, scene
from daam_syntax.emoji.counterfactuals import other_nouns, with_other_object, without_object
from daam_syntax.emoji.vocabulary import CATEGORY_OF

RIM = 5  # pixels around an object that its shadow may change


def near(*masks):
    """Everything within the rim of some masks."""
    union = Image.fromarray(np.any(masks, axis=0)).convert("L")
    return np.asarray(union.filter(ImageFilter.MaxFilter(2 * RIM + 1))) > 0


def differs(first, second):
    return (np.asarray(first) != np.asarray(second)).any(axis=-1)


def whole(drawn, index):
    """All pixels of an object, also those that the other one covers in the scene."""
    masks = [
        without_object(drawn, other).masks[index]
        for other in range(len(drawn.objects))
        if other != index
    ]
    return np.any([drawn.objects[index].mask, *masks], axis=0)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 5, 8])
def test_only_the_place_of_the_object_changes(seed):
    drawn = scene(seed, n_objects=2)
    for index in range(2):
        place = whole(drawn, index)
        missing = without_object(drawn, index)
        assert missing.masks[index] is None
        changed = differs(drawn.image, missing.image)
        assert not (changed & ~near(place)).any()
        assert changed[drawn.objects[index].mask].mean() > 0.5
        noun = other_nouns(drawn, index)[seed]
        other = with_other_object(drawn, index, noun)
        shown = other.masks[index]
        assert not (differs(missing.image, other.image) & ~near(shown)).any()
        assert not (differs(drawn.image, other.image) & ~near(place, shown)).any()


def test_an_object_behind_the_missing_one_is_whole():
    """A cat covers a part of the horse that it rides; without the cat, the horse is whole."""
    spec = SceneSpec((ObjectSpec("cat"), ObjectSpec("horse")), "ride", "room")
    drawn = draw_scene(spec, np.random.default_rng(1))
    cat, horse = (obj.mask for obj in drawn.objects)
    missing = without_object(drawn, 0)
    assert missing.masks[1].sum() > horse.sum()
    assert not (horse & ~missing.masks[1]).any()
    nothing = without_object(drawn, 1)
    np.testing.assert_array_equal(nothing.masks[0], cat)
    # Where neither is, both images show the room behind them.
    free = ~near(missing.masks[1], cat)
    assert not differs(missing.image, nothing.image)[free].any()
    assert not differs(missing.image, drawn.placement.background)[~near(missing.masks[1])].any()


def test_what_replaces_an_object_is_drawn_as_that_noun_would_be():
    """With a car drawn in the place of the cat, the image is that of the scene of a car in this place."""
    cat, car = ObjectSpec("cat", "red"), ObjectSpec("car", "red")
    owl = ObjectSpec("owl")
    specs = [SceneSpec((first, owl), "next to", "snow") for first in (cat, car)]
    with_cat, with_car = (draw_scene(spec, np.random.default_rng(4)) for spec in specs)
    found = with_other_object(with_cat, 0, "car")
    np.testing.assert_array_equal(np.asarray(found.image), np.asarray(with_car.image))
    np.testing.assert_array_equal(found.masks[0], with_car.objects[0].mask)
    np.testing.assert_array_equal(found.masks[1], with_car.objects[1].mask)


def test_what_cannot_replace_an_object_is_refused():
    drawn = draw_scene(
        SceneSpec((ObjectSpec("owl", by_category=True), ObjectSpec("cat"))),
        np.random.default_rng(0),
    )
    nouns = other_nouns(drawn, 0)
    assert not {"owl", "duck", "cat"} & set(nouns)
    assert {CATEGORY_OF[noun] for noun in nouns} == set(CATEGORY_OF.values()) - {"bird"}
    for noun in ("duck", "cat", "unicorn"):
        with pytest.raises(ValueError, match=f"another category than 'owl'.*but got '{noun}'"):
            with_other_object(drawn, 0, noun)
    for index in (-1, 2):
        with pytest.raises(ValueError, match=f"from 0 to 1, but got {index}"):
            without_object(drawn, index)
