"""Refined maps: self-attention against a plain softmax, and refinement by hand."""

import numpy as np
import pytest
import torch

from daam_syntax.attention import predict_memory, trace, trace_image
from daam_syntax.errors import MemoryLimitError, TraceError
from daam_syntax.maps import HeatMaps
from helpers.attention_reference import Reference, softmax_by_head
from helpers.tiny_pipelines import make_sd, make_sdxl
from helpers.tracing import CAT, GRIDS, OBLONG, OWL, SQUARE, draw, make_image

COARSE = "down_blocks.1"


def sharpened(make):
    """Make a pipeline whose self-attention differs from uniform."""
    pipe = make()
    with torch.no_grad():
        for name, weight in pipe.unet.named_parameters():
            if "attn1.to_q" in name or "attn1.to_k" in name:
                weight *= 4
    return pipe


@pytest.fixture(scope="module", params=[make_sd, make_sdxl], ids=["sd", "sdxl"])
def pipe(request):
    return sharpened(request.param)


@pytest.fixture(scope="module")
def sd():
    return sharpened(make_sd)


class SelfReference(Reference):
    """Also records self-attention, in blocks whose path contains `among`."""

    def __init__(self, pipe, among=""):
        super().__init__(pipe.unet, GRIDS)
        self.modules = {path: module for path, module in self.modules.items() if among in path}
        self.own: dict[str, list[torch.Tensor]] = {}
        for path, module in pipe.unet.named_modules():
            if path.endswith("attn1") and among in path:
                self.modules[path] = module

    def _hook(self, path):
        if not path.endswith("attn1"):
            return super()._hook(path)

        def hook(module, args, kwargs):
            with torch.no_grad():
                shares = softmax_by_head(module, args[0], args[0]).mean(dim=1)
                self.own.setdefault(path, []).append(shares)

        return hook

    def finest(self, calls_by_layer):
        """Return only the layers of the finest grid."""
        n_pixels = max(calls[0].shape[1] for calls in calls_by_layer.values())
        return {p: c for p, c in calls_by_layer.items() if c[0].shape[1] == n_pixels}

    def refined(self, row, steps=slice(None)):
        """Return the refined maps of one row by loops over tokens and pixels, *shape* ``(token, y, x)``."""
        own, text = (
            torch.stack([torch.stack(c[steps]).mean(dim=0) for c in self.finest(each).values()])
            .mean(dim=0)[row]
            .numpy()
            for each in (self.own, self.layers)
        )
        refined = np.zeros(text.T.shape)
        for token, values in enumerate(text.T):
            for pixel, shares in enumerate(own):
                refined[token, pixel] = sum(s * v for s, v in zip(shares, values, strict=True))
            refined[token] -= refined[token].min()
        return refined.reshape(len(refined), *self.grids[len(own)])


@pytest.mark.parametrize("size", [SQUARE, OBLONG], ids=["square", "oblong"])
@pytest.mark.parametrize("guidance", [5.0, 1.0], ids=["guided", "unguided"])
def test_refined_maps_by_hand(pipe, guidance, size):
    """Two prompts with two images each; images and plain maps do not change."""
    options = {"size": size, "guidance": guidance, "num_images_per_prompt": 2}
    reference = SelfReference(pipe)
    untraced = reference.watch(lambda: draw(pipe, [CAT, OWL], **options))
    with trace(pipe) as plain:
        draw(pipe, [CAT, OWL], **options)
    with trace(pipe, refine=True) as recording:
        images = draw(pipe, [CAT, OWL], **options)
    assert torch.equal(images, untraced)
    first = 4 if guidance > 1 else 0
    refined = recording.heat_maps(refined=True)
    for row, (maps, same, known) in enumerate(
        zip(refined, recording.heat_maps(), plain.heat_maps(), strict=True)
    ):
        np.testing.assert_array_equal(same.data, known.data)
        assert "refined" not in same.provenance
        expected = reference.refined(first + row)[: len(maps.subwords)]
        np.testing.assert_allclose(maps.data, expected, atol=1e-6)
        assert np.ptp(expected[1:4], axis=(1, 2)).min() > 1e-4
        assert maps.provenance["refined"]["grid"] == list(maps.grid)
    how = refined[0].provenance["refined"]["self_attention"]
    assert sorted(how) == sorted(reference.finest(reference.own))


def test_self_attention_is_a_plain_softmax(pipe):
    reference = SelfReference(pipe)
    reference.watch(lambda: draw(pipe, CAT))
    with trace(pipe, refine=True) as recording:
        draw(pipe, CAT)
    (call,) = recording._recorder.finished
    finest = reference.finest(reference.own).values()
    expected = torch.stack([torch.stack(calls).mean(dim=0) for calls in finest]).mean(dim=0)[1:]
    recorded = call.self_attention.mean()
    np.testing.assert_allclose(recorded, expected, atol=1e-6)
    np.testing.assert_allclose(recorded.sum(axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("keep", ["step", ("head",), ("step", "layer", "head")])
def test_axes_that_are_kept_are_averaged(pipe, keep):
    with trace(pipe, keep=keep, refine=True) as recording:
        draw(pipe, OWL)
    with trace(pipe, refine=True) as without:
        draw(pipe, OWL)
    (maps,), (expected,) = (each.heat_maps(refined=True) for each in (recording, without))
    np.testing.assert_allclose(maps.data, expected.data, atol=1e-6)
    assert maps.axes == ()


def test_only_what_is_recorded_counts(sd):
    reference = SelfReference(sd, among=COARSE)
    reference.watch(lambda: draw(sd, CAT, steps=3))
    with trace(sd, layers=COARSE, steps=[0, 2], refine=True) as recording:
        draw(sd, CAT, steps=3)
    (maps,) = recording.heat_maps(refined=True)
    assert maps.grid == (5, 7)
    expected = reference.refined(1, slice(None, None, 2))
    np.testing.assert_allclose(maps.data, expected[: len(maps.subwords)], atol=1e-6)


def test_a_finer_grid_displaces_a_coarser_one(sd):
    """Upward blocks run from the coarsest to the finest grid."""
    with trace(sd, layers="up_blocks", refine=True) as recording:
        draw(sd, CAT)
    layers = recording.heat_maps(refined=True)[0].provenance["refined"]["self_attention"]
    assert layers
    assert all(path.startswith("up_blocks.2.") for path in layers)


def test_texts_that_are_not_in_the_prompt(sd):
    with trace(sd, also=CAT, refine=True) as recording:
        draw(sd, CAT)
    (also,), (own,) = (recording.heat_maps(of=of, refined=True) for of in (CAT, None))
    np.testing.assert_allclose(also.data, own.data, atol=1e-6)


def test_given_images(sd):
    """Maps of a given image are refined in the same way."""
    reference = SelfReference(sd)
    plain = reference.watch(lambda: trace_image(sd, make_image(), OWL))
    refined = trace_image(sd, make_image(), OWL, refined=True)
    expected = reference.refined(0)[: len(refined.subwords)]
    np.testing.assert_allclose(refined.data, expected, atol=1e-6)
    assert refined.words == plain.words
    assert refined.provenance["refined"]["grid"] == [9, 13]


def test_a_file_keeps_how_maps_were_refined(sd, tmp_path):
    maps = trace_image(sd, make_image(), CAT, refined=True)
    maps.save(tmp_path / "maps.npz")
    loaded = HeatMaps.load(tmp_path / "maps.npz")
    assert loaded.provenance["refined"] == maps.provenance["refined"]
    np.testing.assert_array_equal(loaded.data, maps.data)


@pytest.mark.parametrize("keep", [(), ("step", "layer")])
def test_memory_is_known_before(sd, keep):
    options = {"height": 72, "width": 104, "num_inference_steps": 2, "num_images_per_prompt": 2}
    with trace(sd, keep=keep, refine=True) as recording:
        draw(sd, CAT, num_images_per_prompt=2)
    (call,) = recording._recorder.finished
    predicted = predict_memory(sd, CAT, keep=keep, refine=True, **options)
    assert predicted == recording.predicted_bytes == call.n_bytes
    assert predicted - predict_memory(sd, CAT, keep=keep, **options) == 4 * 2 * 117**2
    with (
        pytest.raises(MemoryLimitError, match=r"with self-attention takes .*: .*do not refine \("),
        trace(sd, keep=keep, refine=True, max_bytes=predicted - 1),
    ):
        draw(sd, CAT, num_images_per_prompt=2)


def test_plain_traces_cannot_be_refined(sd):
    with trace(sd) as recording:
        draw(sd, CAT)
    with pytest.raises(TraceError, match=r"refine=True"):
        recording.heat_maps(refined=True)
