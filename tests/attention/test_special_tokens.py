"""Maps of start tokens, end tokens and padding, and their shares of the attention."""

import numpy as np
import pytest
import torch

from daam_syntax.analysis import attention_shares
from daam_syntax.attention import predict_memory, trace, trace_image
from daam_syntax.errors import WordError
from daam_syntax.maps import HeatMaps, Subword
from helpers.attention_reference import Reference
from helpers.examples import make_maps
from helpers.tiny_pipelines import TEXT_LENGTH
from helpers.tracing import CAT, FULL, GRIDS, LONG, NATIVE, OWL, draw


def traced(pipe, prompts, *, layers=None, keep=(), **options):
    with trace(pipe, padding=True, layers=layers, keep=keep) as recording:
        images = draw(pipe, prompts, **options)
    return images, recording.heat_maps()


@pytest.mark.parametrize("guidance", [5.0, 1.0], ids=["guided", "unguided"])
def test_special_maps_are_those_of_a_plain_softmax(pipe, guidance):
    options = {"guidance": guidance, "num_images_per_prompt": 2}
    reference = Reference(pipe.unet, GRIDS)
    untraced = reference.watch(lambda: draw(pipe, [CAT, OWL], **options))
    images, maps = traced(pipe, [CAT, OWL], **options)
    assert torch.equal(images, untraced)
    expected = reference.maps(slice(4, 8) if guidance > 1 else slice(0, 4))
    for row, (each, n_read) in enumerate(zip(maps, [5, 5, 8, 8], strict=True)):
        assert [s.position for s in each.subwords] == list(range(TEXT_LENGTH))
        assert [s.kind for s in each.subwords[n_read:]] == ["padding"] * (TEXT_LENGTH - n_read)
        np.testing.assert_allclose(each.data, expected[row], atol=1e-6)
        padding = each.special("padding")
        np.testing.assert_allclose(padding.values, expected[row, n_read:].mean(0), atol=1e-6)
        together = each.special("padding", total=True)
        np.testing.assert_allclose(together.values, expected[row, n_read:].sum(0), atol=1e-6)
        assert together.label.startswith(f"padding ({TEXT_LENGTH - n_read} token")
        np.testing.assert_allclose(each.special("start").values, expected[row, 0], atol=1e-6)
        end = each.special("end", total=True)
        np.testing.assert_allclose(end.values, expected[row, n_read - 1], atol=1e-6)


def test_padding_does_not_change_word_maps(pipe):
    (maps,) = traced(pipe, OWL)[1]
    with trace(pipe) as recording:
        draw(pipe, OWL)
    (plain,) = recording.heat_maps()
    assert [word.subwords for word in maps.words] == [word.subwords for word in plain.words]
    np.testing.assert_allclose(maps.stack(), plain.stack(), atol=1e-7)


@pytest.mark.parametrize(("layers", "tolerance"), [(NATIVE, 1e-5), (None, 1e-2)])
def test_shares_sum_to_one(pipe, layers, tolerance):
    _, maps = traced(pipe, [CAT, OWL, FULL], layers=layers)
    shares = attention_shares(maps)
    full = shares[shares["image"] == 2].set_index("kind")
    assert np.isnan(full.loc["padding", "attention"])
    assert full["n_tokens"].to_dict() == {"start": 1, "text": 10, "end": 1, "padding": 0}
    assert full.loc["padding", "reason"] == "the prompt leaves no padding that reaches the denoiser"
    np.testing.assert_allclose(shares.groupby("image")["attention"].sum(), 1, atol=tolerance)


def test_kept_axes_and_files(pipe, tmp_path):
    _, (kept,) = traced(pipe, CAT, keep=("step", "layer"))
    _, (mean,) = traced(pipe, CAT)
    kept.save(tmp_path / "maps.npz")
    loaded = HeatMaps.load(tmp_path / "maps.npz")
    for total in (False, True):
        found = loaded.special("padding", total=total).values
        np.testing.assert_allclose(found, mean.special("padding", total=total).values, atol=1e-6)
    with pytest.raises(WordError, match="leaves no padding"):
        traced(pipe, LONG)[1][0].special("padding")


def test_given_images_and_memory(pipe):
    image = np.random.default_rng(0).random((72, 104, 3), dtype=np.float32)
    maps = trace_image(pipe, image, CAT, timesteps=(300,), padding=True, layers=NATIVE)
    assert attention_shares(maps)["attention"].sum() == pytest.approx(1, abs=1e-5)
    options = {"height": 72, "width": 104, "num_inference_steps": 1, "keep": ()}
    with_padding = predict_memory(pipe, CAT, padding=True, **options)
    assert with_padding * 5 == predict_memory(pipe, CAT, **options) * TEXT_LENGTH


def test_missing_tokens_are_explained():
    maps = make_maps()
    with pytest.raises(WordError, match="trace with padding=True"):
        maps.special("padding")
    with pytest.raises(WordError, match="writes nothing around the prompt"):
        maps.special("template")
    for kind in ("words", "text"):
        with pytest.raises(ValueError, match=f"got '{kind}'"):
            maps.special(kind)
    headless = HeatMaps(
        maps.data[1:7],
        maps.subwords[1:7],
        maps.sentence,
        maps.image_size,
    )
    for kind in ("start", "end"):
        with pytest.raises(WordError, match=f"is given no {kind} token"):
            headless.special(kind)


def test_means_over_tokens_and_sums_over_two_encoders():
    maps = make_maps()
    values = np.stack([np.full((2, 3), v, np.float32) for v in (0.1, 0.2, 0.3, 0.5)])
    tokens = [
        Subword(0, "<pad>", 0, 0, "padding", "clip"),
        *(Subword(n, "<pad>", 0, 0, "padding", "t5") for n in range(3)),
    ]
    both = HeatMaps(
        maps.data[:4].isel(y=slice(2), x=slice(3)).copy(data=values),
        tokens,
        maps.sentence,
        maps.image_size,
        truncated_at={"clip": None, "t5": None},
    )
    mean = (0.1 + (0.2 + 0.3 + 0.5) / 3) / 2
    np.testing.assert_allclose(both.special("padding").values, mean, rtol=1e-6)
    np.testing.assert_allclose(both.special("padding", total=True).values, 1.1, rtol=1e-6)
