"""Captions, trees, masks, and images of scenes."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from daam_syntax.emoji import ObjectSpec, SceneSpec, draw_scene, scene, write_caption
from daam_syntax.emoji.scenes import is_reserved, sample_spec
from daam_syntax.emoji.vocabulary import (
    BACKGROUNDS,
    CATEGORIES,
    CATEGORY_OF,
    COLORS,
    NOUNS,
    SIZES,
    is_reserved_color,
    is_reserved_pair,
)

CAT, OWL = ObjectSpec("cat", "red"), ObjectSpec("owl", "blue", "small")


def tree(spec):
    sentence, _ = write_caption(spec)
    edges = {
        (e.relation, sentence[e.head].text, sentence[e.dependent].text)
        for e in sentence.edges["ud"]
    }
    return sentence, edges


def test_the_vocabulary_is_as_large_as_promised():
    assert len(NOUNS) == len(set(NOUNS)) == 56
    assert len(CATEGORIES) == 14
    assert all(len(nouns) == 4 for nouns in CATEGORIES.values())
    assert (len(COLORS), len(SIZES), len(BACKGROUNDS)) == (9, 5, 8)


# A meaning in a pattern; its caption, the root, and edges that the tree must have.
CASES = [
    (
        SceneSpec((CAT, OWL), "chase", "snow"),
        "a red cat chasing a small blue owl in the snow",
        "cat",
        {
            ("acl", "cat", "chasing"),
            ("obj", "chasing", "owl"),
            ("amod", "owl", "small"),
            ("nmod", "cat", "snow"),
            ("case", "snow", "in"),
            ("det", "snow", "the"),
        },
    ),
    (
        SceneSpec((CAT, OWL), "chase", "snow", "progressive"),
        "a red cat is chasing a small blue owl in the snow",
        "chasing",
        {("nsubj", "chasing", "cat"), ("aux", "chasing", "is"), ("obl", "chasing", "snow")},
    ),
    (
        SceneSpec((CAT, OWL), "chase", "night", "scene"),
        "at night, a red cat chases a small blue owl",
        "chases",
        {("obl", "chases", "night"), ("punct", "chases", ","), ("nsubj", "chases", "cat")},
    ),
    (
        SceneSpec((CAT, OWL), "hold", None, "relative"),
        "a red cat that is holding a small blue owl",
        "cat",
        {("acl:relcl", "cat", "holding"), ("nsubj", "holding", "that"), ("obj", "holding", "owl")},
    ),
    (
        SceneSpec((CAT, OWL), "and", "field", "existential"),
        "there is a red cat and a small blue owl in a field",
        "is",
        {
            ("expl", "is", "there"),
            ("nsubj", "is", "cat"),
            ("conj", "cat", "owl"),
            ("cc", "owl", "and"),
            ("obl", "is", "field"),
        },
    ),
    (
        SceneSpec((CAT, OWL), "to the left of", None),
        "a red cat to the left of a small blue owl",
        "cat",
        {
            ("nmod", "cat", "left"),
            ("case", "left", "to"),
            ("nmod", "left", "owl"),
            ("case", "owl", "of"),
        },
    ),
    (
        SceneSpec((CAT, OWL), "next to", None, "progressive"),
        "a red cat is next to a small blue owl",
        "owl",
        {
            ("nsubj", "owl", "cat"),
            ("cop", "owl", "is"),
            ("case", "owl", "next"),
            ("fixed", "next", "to"),
        },
    ),
    (
        SceneSpec((CAT,), background="beach", pattern="scene"),
        "a beach scene with a red cat",
        "scene",
        {("compound", "scene", "beach"), ("nmod", "scene", "cat"), ("case", "cat", "with")},
    ),
    (
        SceneSpec((CAT,), background="room", pattern="picture"),
        "a picture of a red cat in a room",
        "picture",
        {("nmod", "picture", "cat"), ("case", "cat", "of"), ("nmod", "cat", "room")},
    ),
    (
        SceneSpec((ObjectSpec("apple", "orange"),), pattern="progressive"),
        "the apple is orange",
        "orange",
        {("nsubj", "orange", "apple"), ("cop", "orange", "is"), ("det", "apple", "the")},
    ),
    (
        SceneSpec((ObjectSpec("crab", "orange", by_category=True),)),
        "an orange sea animal",
        "animal",
        {("compound", "animal", "sea"), ("amod", "animal", "orange"), ("det", "animal", "an")},
    ),
    (
        SceneSpec((ObjectSpec("cat"), ObjectSpec("dog"), OWL), "and"),
        "a cat, a dog and a small blue owl",
        "cat",
        {
            ("conj", "cat", "dog"),
            ("conj", "cat", "owl"),
            ("punct", "dog", ","),
            ("cc", "owl", "and"),
        },
    ),
    (
        SceneSpec((CAT, OWL, ObjectSpec("tree")), "chase"),
        "a red cat chasing a small blue owl next to a tree",
        "cat",
        {("nmod", "owl", "tree"), ("obj", "chasing", "owl")},
    ),
]


@pytest.mark.parametrize(
    ("spec", "caption", "root", "edges"), CASES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_captions_and_their_trees(spec, caption, root, edges):
    sentence, found = tree(spec)
    assert sentence.text == caption
    assert [sentence[i].text for i in sentence.roots("ud")] == [root]
    assert edges <= found


def test_every_caption_is_one_tree_over_all_its_words():
    for seed in range(300):
        drawn = scene(seed)
        sentence = drawn.sentence
        assert len(sentence.edges["ud"]) == len(sentence) - 1
        assert len({e.dependent for e in sentence.edges["ud"]}) == len(sentence) - 1
        root = sentence.roots("ud")[0]
        assert sentence.subtree(root, "ud") == tuple(range(len(sentence)))
        assert " ".join(drawn.caption.replace(",", " ,").split()) == " ".join(sentence.words)


def test_all_relations_that_the_studies_need_occur():
    found = {e.relation for seed in range(300) for e in scene(seed).sentence.edges["ud"]}
    wanted = {"det", "amod", "nsubj", "obj", "case", "nmod", "obl", "conj", "cc", "acl", "compound"}
    assert wanted <= found


def test_words_refer_to_what_they_are_about():
    drawn = draw_scene(CASES[0][0], np.random.default_rng(0))
    cat, owl = (obj.mask for obj in drawn.objects)
    by_word = {drawn.sentence[w].text: mask for w, mask in drawn.masks.items()}
    assert set(by_word) == {"red", "cat", "small", "blue", "owl", "snow"}
    assert by_word["red"] is by_word["cat"] is cat
    assert by_word["small"] is by_word["blue"] is by_word["owl"] is owl
    np.testing.assert_array_equal(by_word["snow"], ~(cat | owl))
    assert not (cat & owl).any()


def test_the_same_seed_is_the_same_scene_and_another_is_not():
    first, again, other = scene(7), scene(7), scene(8)
    np.testing.assert_array_equal(np.asarray(first.image), np.asarray(again.image))
    assert first.sentence == again.sentence
    assert (
        first.caption != other.caption
        or np.asarray(first.image).tolist() != np.asarray(other.image).tolist()
    )


def test_masks_are_where_the_image_changes():
    one = draw_scene(SceneSpec((CAT,)), np.random.default_rng(3))
    pixels = np.asarray(one.image).astype(int)
    plain = pixels[0, 0]  # without a place, the background is plain
    changed = np.abs(pixels - plain).max(axis=-1) > 12
    mask = one.objects[0].mask
    near = np.asarray(Image.fromarray(mask).convert("L").filter(ImageFilter.MaxFilter(9))) > 0
    assert (changed & mask).sum() / mask.sum() > 0.9
    assert not (changed & ~near).any()  # only the rim is around it
    red, green, blue = pixels[mask].mean(axis=0)
    assert red > 1.5 * max(green, blue)


@pytest.mark.parametrize(
    ("relation", "holds"),
    [
        ("to the left of", lambda a, b: a[1] < b[1]),
        ("to the right of", lambda a, b: a[1] > b[1]),
        ("above", lambda a, b: a[0] < b[0]),
        ("below", lambda a, b: a[0] > b[0]),
        ("on", lambda a, b: a[0] < b[0]),
        ("ride", lambda a, b: a[0] < b[0]),
        ("chase", lambda a, b: a[1] > b[1]),  # the artwork faces left
        ("next to", lambda a, b: abs(a[1] - b[1]) > abs(a[0] - b[0])),
        ("hold", lambda a, b: a[1] < b[1]),
    ],
)
def test_relations_are_drawn_as_said(relation, holds):
    for seed in range(20):
        drawn = draw_scene(
            SceneSpec((ObjectSpec("cat"), ObjectSpec("car")), relation), np.random.default_rng(seed)
        )
        first, second = (np.argwhere(obj.mask).mean(axis=0) for obj in drawn.objects)
        assert holds(first, second)


@pytest.mark.parametrize(("relation", "index"), [(None, 0), ("and", 1), ("ride", 1), ("chase", 0)])
def test_sizes_are_drawn_as_said(relation, index):
    def side(size):
        objects = [ObjectSpec("cat"), ObjectSpec("horse")][: 1 if relation is None else 2]
        objects[index] = replace(objects[index], size=size)
        spec = SceneSpec(tuple(objects), relation or "and")
        mask = draw_scene(spec, np.random.default_rng(0)).objects[index].mask
        return max(np.ptp(axis) + 1 for axis in np.nonzero(mask))

    sides = [side(size) for size in ("tiny", "small", None, "big", "huge")]
    assert sides[0] < sides[1] < sides[2] < sides[3] <= sides[4]
    if relation is None:
        assert (
            sides[3] < sides[4]
        )  # of two objects, the edge of the image may hide part of a huge one


@pytest.mark.parametrize("background", [None, *BACKGROUNDS])
def test_white_objects_are_seen_on_every_background(background):
    for seed in range(5):
        spec = SceneSpec((ObjectSpec("sheep", "white"),), background=background)
        drawn = draw_scene(spec, np.random.default_rng(seed))
        mask = drawn.objects[0].mask
        light = np.asarray(drawn.image.convert("L")).astype(float)
        around = Image.fromarray(mask).convert("L").filter(ImageFilter.MaxFilter(3))
        rim = (np.asarray(around) > 0) & ~mask
        assert np.quantile(light[mask], 0.75) - np.median(light[rim]) > 25


def test_no_caption_states_a_size_that_is_not_drawn():
    for seed in range(2000):
        spec = sample_spec(np.random.default_rng(seed))
        if spec.relation in ("wear", "hold") and len(spec.objects) > 1:
            assert spec.objects[1].size is None
        if len(spec.objects) == 3 and spec.relation != "and":
            assert spec.objects[2].size is None


def test_training_never_shows_what_is_reserved():
    for seed in range(200):
        assert not is_reserved(scene(seed, split="train").spec)
        assert is_reserved(scene(seed, split="reserved").spec)
    pairs = [(a, b) for i, a in enumerate(NOUNS) for b in NOUNS[:i]]
    assert 0.08 < np.mean([is_reserved_pair(a, b) for a, b in pairs]) < 0.18
    assert all(is_reserved_pair(a, b) == is_reserved_pair(b, a) for a, b in pairs)
    tinted = [is_reserved_color(c, n) for c in COLORS for n in NOUNS]
    assert 0.08 < np.mean(tinted) < 0.18
    cohyponyms = [p for p in pairs if CATEGORY_OF[p[0]] == CATEGORY_OF[p[1]]]
    assert any(is_reserved_pair(*p) for p in cohyponyms)


def test_how_many_objects():
    for n in (1, 2, 3):
        assert len(scene(0, n_objects=n).objects) == n
    with pytest.raises(ValueError, match="1, 2, 3 or None, but got 4"):
        scene(0, n_objects=4)
    with pytest.raises(ValueError, match="train, reserved, any, but got 'test'"):
        scene(0, split="test")
