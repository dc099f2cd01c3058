"""Weights of steps, layers, and heads: against loops, where the solution is known, and on exact masks."""

from itertools import product

import numpy as np
import pytest
import xarray as xr

from daam_syntax import trace, trace_image
from daam_syntax.emoji import learned_weights, scene
from daam_syntax.errors import FileError, SelectionError, WordError
from daam_syntax.maps import HeatMaps, KeptMaps, LayerMaps, MapWeights, bicubic, learn_weights
from daam_syntax.maps.measures import mask_iou
from helpers.examples import SUBWORDS, make_sentence

GRIDS = {"fine": (4, 6), "coarse": (2, 3)}
STEPS, HEADS = 2, 3
AXES = ("step", "layer", "head")


@pytest.fixture
def kept():
    """Maps of "red car , red zebra" in two layers, each with its own non-square grid."""
    rng = np.random.default_rng(0)
    dims = ("token", "step", "head", "y", "x")
    parts = [
        LayerMaps(
            (path,), xr.DataArray(rng.random((len(SUBWORDS), STEPS, HEADS, *grid)), dims=dims)
        )
        for path, grid in GRIDS.items()
    ]
    return [
        LayerMaps(p.layers, p.values.assign_coords(step=range(STEPS), head=range(HEADS)))
        for p in parts
    ]


@pytest.fixture
def maps(kept):
    return HeatMaps(KeptMaps(kept, keeps_layers=True), SUBWORDS, make_sentence(), (4, 6))


def weights_of(axes, values=None):
    labels = {"step": range(STEPS), "layer": list(GRIDS), "head": range(HEADS)}
    shape = [len(labels[axis]) for axis in axes]
    values = np.random.default_rng(1).random(shape) if values is None else values
    return MapWeights(xr.DataArray(values, dims=axes, coords={a: list(labels[a]) for a in axes}))


@pytest.mark.parametrize(
    "axes", [("layer",), ("head",), ("step", "head"), ("layer", "head"), AXES], ids="-".join
)
def test_weighted_maps_against_a_loop(maps, kept, axes):
    weights = weights_of(axes)
    weighted = maps.weighted(weights)
    expected = np.zeros((len(SUBWORDS), 4, 6))
    for part in kept:
        own = np.zeros((len(SUBWORDS), *part.grid))
        for step, head in product(range(STEPS), range(HEADS)):
            labels = {"step": step, "layer": part.layers[0], "head": head}
            share = float(weights.values.sel({axis: labels[axis] for axis in axes}))
            # Maps are averaged over the axes that the weights do not distinguish.
            for axis, n in zip(AXES, (STEPS, len(GRIDS), HEADS), strict=True):
                share /= 1 if axis in axes else n
            own += share * part.values.sel(step=step, head=head).values
        expected += bicubic(own, (4, 6))
    np.testing.assert_allclose(weighted.mean, expected, atol=1e-6)
    np.testing.assert_allclose(weighted[4].values, expected[5:7].mean(axis=0), atol=1e-6)  # ze, bra
    np.testing.assert_allclose(weighted[3].values, expected[4], atol=1e-6)  # the second red
    assert weighted.axes == ()
    assert weighted.provenance["weighted"]["by"] == [axis for axis in AXES if axis in axes]


def test_equal_weights_give_plain_maps(maps):
    equal = weights_of(AXES, np.ones((STEPS, len(GRIDS), HEADS)))
    np.testing.assert_allclose(maps.weighted(equal).mean, maps.mean, atol=1e-6)


def test_learning_recovers_the_weights_that_made_a_mask(maps):
    """A mask that is a weighted sum of a word's slices determines the weights."""
    true = np.zeros((STEPS, len(GRIDS), HEADS))
    true[0, 0, 1], true[1, 0, 2], true[1, 1, 0] = 0.5, 0.2, 0.3
    axes = xr.DataArray(true, dims=AXES, coords=weights_of(AXES).values.coords)
    masks = {i: 0.1 * i + (maps.word_array(i) * axes).sum(AXES).values for i in (0, 1, 3, 4)}
    learned = learn_weights([maps], [masks], axes=AXES, shrinkage=1e-9)
    np.testing.assert_allclose(learned.values, true, atol=1e-4)
    assert learned.nonzero("layer") == list(GRIDS)
    assert learned.notes == {"maps": 1, "words": 4}


def test_layers_with_zero_weight_need_not_be_recorded(maps, kept):
    values = np.zeros((len(GRIDS), HEADS))
    values[0] = 1, 2, 1
    weights = weights_of(("layer", "head"), values)
    assert weights.nonzero("layer") == ["fine"]
    fine = HeatMaps(KeptMaps(kept[:1], keeps_layers=True), SUBWORDS, make_sentence(), (4, 6))
    np.testing.assert_array_equal(fine.weighted(weights).mean, maps.weighted(weights).mean)
    assert maps.weighted(weights).grid == (4, 6)


def test_weights_survive_a_file(tmp_path):
    weights = weights_of(("layer", "head"))
    MapWeights(weights.values, {"maps": 3}).save(tmp_path / "w.json")
    again = MapWeights.load(tmp_path / "w.json")
    xr.testing.assert_allclose(again.values, weights.values)
    assert again.notes == {"maps": 3}
    assert again.values.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"format": 2}', '{"format": 1, "labels": {"head": [0]}, "weights": [-1]}'],
    ids=["empty", "a list", "another format", "negative"],
)
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(FileError, match=r"Expected weights of maps in .*w\.json"):
        MapWeights.load(tmp_path / "w.json")


def test_mismatched_weights_maps_and_masks_are_refused(maps, kept):
    strange = weights_of(("layer",)).values.assign_coords(layer=["fine", "other"])
    with pytest.raises(
        SelectionError, match="every layer with a nonzero weight, but other is missing"
    ):
        maps.weighted(MapWeights(strange))
    plain = HeatMaps(
        xr.DataArray(maps.mean, dims=("token", "y", "x")), SUBWORDS, make_sentence(), (4, 6)
    )
    with pytest.raises(SelectionError, match=r"trace with keep=\('head', ...\)"):
        plain.weighted(weights_of(("head",)))
    mask = {0: np.eye(4, 6)}
    with pytest.raises(SelectionError, match="to learn weights of layers"):
        learn_weights([plain], [mask])
    with pytest.raises(ValueError, match="neither empty nor full"):
        learn_weights([maps], [{0: np.ones((4, 6))}])
    with pytest.raises(ValueError, match="neither empty nor full"):
        learn_weights([], [])
    with pytest.raises(WordError):
        learn_weights([maps], [{7: np.eye(4, 6)}])
    fine = HeatMaps(KeptMaps(kept[:1], keeps_layers=True), SUBWORDS, make_sentence(), (4, 6))
    with pytest.raises(SelectionError, match="the same layers and heads in all maps"):
        learn_weights([maps, fine], [mask, mask])
    for values in (np.zeros(2), np.array([1, np.nan]), np.array([1, -1])):
        with pytest.raises(ValueError, match="finite, not negative"):
            weights_of(("step",), values)
    with pytest.raises(ValueError, match="Expected dims"):
        MapWeights(xr.DataArray(np.ones(2), dims="token"))
    with pytest.raises(ValueError, match="name every head"):
        MapWeights(xr.DataArray(np.ones(2), dims="head"))


def test_shipped_weights_match_exact_masks_better_than_plain_maps(emoji_pipe):
    weights = learned_weights()
    scores = []
    for seed in range(990_000, 990_006):
        example = scene(seed)
        options = {"sentence": example.sentence, "keep": weights.axes}
        maps = trace_image(emoji_pipe, example.image, example.caption, **options)
        for obj in example.objects:
            each = (maps, maps.weighted(weights))
            found = [m[obj.word].mask("relative:0.4", obj.mask.shape) for m in each]
            scores.append([float(mask_iou(mask, obj.mask)) for mask in found])
    plain, weighted = np.mean(scores, axis=0)
    assert weighted > plain + 0.05


def test_shipped_weights_fit_images_of_any_shape(emoji_pipe):
    weights = learned_weights()
    with trace(emoji_pipe, keep=weights.axes, layers=weights.nonzero("layer")) as recording:
        emoji_pipe(
            "a red cat and a red car",
            num_inference_steps=2,
            height=128,
            width=192,
            guidance_scale=1.0,
        )
    (maps,) = recording.heat_maps()
    weighted = maps.weighted(weights)
    assert weighted.grid == (16, 24)
    total = weighted.data.sum("token").values
    assert total.max() <= 1 + 1e-5
