"""Maps of words by gradients, deletion, and votes of heads, against finite differences and a masked denoiser."""

import numpy as np
import pytest
import torch
import xarray as xr

from benchmarks.attribution.cases import Case
from benchmarks.attribution.mapping.deletion import (
    deleted_attention,
    on_grid,
    predictions,
    removed_word,
    text_without,
)
from benchmarks.attribution.mapping.gradients import gradient_maps, layer_gradients
from benchmarks.attribution.mapping.methods import METHODS, all_words, center, plain
from benchmarks.attribution.mapping.reading import Reader
from benchmarks.attribution.mapping.relevance import (
    captions,
    concepts,
    most_relevant,
    relevance,
    votes_for_things,
)
from daam_syntax.attention import Edit, intervene, trace_image
from daam_syntax.attention.given_images.reading import GivenBatch
from daam_syntax.language import parse
from daam_syntax.maps import MapWeights, bicubic
from daam_syntax.util.progress import NoProgress
from helpers.examples import make_sentence
from helpers.tiny_pipelines import make_sd
from helpers.tracing import OWL, make_image

STRAWBERRY, SECOND_THE = 1, 3  # of "the strawberry and the owl": two subwords, and a repeated word
TIMESTEPS = (250, 700)


@pytest.fixture(scope="module")
def case():
    return Case(make_image(), parse(OWL), (STRAWBERRY, SECOND_THE))


def loss(pipe, case, timestep):
    """The mean squared error of the denoiser's prediction, in double precision."""
    batch = GivenBatch.prepare(pipe, [case.image], [case.sentence.text], timesteps=[timestep])
    found = []
    with torch.no_grad():
        batch.read([0], 0, on_prediction=found.append)
    return float((found[0].output.double() - found[0].target.double()).square().mean())


def test_gradients_are_slopes_of_the_loss_when_attention_is_scaled(sd, case):
    """Independent: `intervene` scales the attention of one pixel in one head, and the loss is computed again."""
    timestep, step = 250, 0.25
    maps = layer_gradients(sd, [case], [timestep])
    assert {values.shape for values in maps.values()} == {(2, 9, 13), (2, 5, 7), (2, 3, 4)}
    for path, values in list(maps.items())[::3]:
        word, y, x = np.unravel_index(values.argmax(), values.shape)
        here = np.zeros(values.shape[1:], bool)
        here[y, x] = True

        def slope(head, path=path, word=word, here=here):
            found = []
            for sign in (1, -1):
                edit = Edit(
                    words=(case.words[word],),
                    scale=1 + sign * step,
                    renormalize=False,
                    layers=path,
                    heads=(head,),
                    where=here,
                )
                with intervene(sd, edit, sentences=case.sentence):
                    found.append(loss(sd, case, timestep))
            return (found[0] - found[1]) / (2 * step)

        expected = np.mean([max(0.0, -slope(head)) for head in range(2)])
        assert expected > 0
        np.testing.assert_allclose(values[word, y, x], expected, rtol=0.02)


def test_maps_of_gradients_are_means_over_layers_and_timesteps(sd, case):
    alone = [layer_gradients(sd, [case], [t]) for t in TIMESTEPS[:1]]
    both = layer_gradients(sd, [case], TIMESTEPS)
    for path, values in alone[0].items():
        assert (2 * both[path] - values).min() >= -1e-9  # the other timestep adds what is positive
    maps = gradient_maps(sd, [case], TIMESTEPS)[0]
    layers = [bicubic(values, (9, 13)) for values in both.values()]
    np.testing.assert_allclose(maps[STRAWBERRY], np.mean(layers, axis=0)[0], rtol=1e-6)
    np.testing.assert_allclose(maps[SECOND_THE], np.mean(layers, axis=0)[1], rtol=1e-6)


def test_gradients_leave_the_pipeline_as_it_was(sd, case):
    before = predictions(sd, [case.image], [OWL], [250])[0]
    with torch.enable_grad():
        gradient_maps(sd, [case], [250])
        assert torch.is_grad_enabled()
    after = predictions(sd, [case.image], [OWL], [250])[0]
    assert torch.equal(before, after)
    assert not after.requires_grad
    assert not sd.unet._forward_pre_hooks


def test_deletion_is_masking_the_keys_of_the_word(sd, case):
    """Independent: the UNet itself leaves out keys, given a mask of the text."""
    maps = deleted_attention(sd, [case], [250])[0]
    pixels = torch.tensor(np.asarray(case.image)).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        latents = sd.vae.encode(pixels).latent_dist.mode() * sd.vae.config.scaling_factor
        noise = torch.randn(latents.shape[1:], generator=torch.Generator().manual_seed(0))
        noised = sd.scheduler.add_noise(latents, noise[None], torch.tensor([250]))
        text, _ = sd.encode_prompt(OWL, "cpu", 1, False)

        def predicted(left_out):
            mask = torch.ones(1, text.shape[1])
            mask[0, left_out] = 0
            return sd.unet(noised, 250, text, encoder_attention_mask=mask).sample

        whole = predicted([])
        # Tokens: start, the, straw, berry, and, the, owl.
        for word, keys in ((STRAWBERRY, [2, 3]), (SECOND_THE, [5])):
            expected = (predicted(keys) - whole).norm(dim=1)[0]
            np.testing.assert_allclose(maps[word], expected, rtol=1e-3, atol=1e-5)


def test_removal_is_reading_another_text(sd, case):
    maps = removed_word(sd, [case], [250, 700])[0]
    texts = {STRAWBERRY: "the and the owl", SECOND_THE: "the strawberry and owl"}
    for word, text in texts.items():
        assert text_without(case.sentence, word) == text
        with_word, without = (
            predictions(sd, [case.image], [each], [250, 700]) for each in (OWL, text)
        )
        changes = [(b - a).norm(dim=1)[0].numpy() for a, b in zip(with_word, without, strict=True)]
        np.testing.assert_allclose(maps[word], np.mean(changes, axis=0), rtol=1e-4)
    assert text_without(parse("cat"), 0) == "."


def test_words_of_several_images_get_their_own_maps(sd, case):
    """Rows of a batch are edited for their own words: each map is that of its image alone."""
    other = Case(make_image(seed=1), parse("a red cat"), (2,))
    for method in (deleted_attention, removed_word, gradient_maps):
        together = method(sd, [case, other], [250])
        for each, maps in zip((case, other), together, strict=True):
            alone = method(sd, [each], [250])[0]
            assert set(maps) == set(each.words)
            for word in each.words:
                np.testing.assert_allclose(maps[word], alone[word], rtol=1e-3, atol=1e-7)


def test_predictions_of_tokens_are_put_in_their_places():
    tokens = torch.zeros(1, 6, 4)
    tokens[0, 4] = torch.tensor([3.0, 0, 4, 0])  # row 1, column 1 of 2 x 3
    assert on_grid(tokens, (96, 64)).tolist() == [[[0, 0, 0], [0, 5, 0]]]
    frames = tokens.reshape(1, 2, 3, 4).permute(0, 3, 1, 2)[:, :, None]
    assert on_grid(frames, (96, 64)).tolist() == [[[0, 0, 0], [0, 5, 0]]]


def test_what_ignores_the_word_is_the_same_for_all(sd, case):
    reader = Reader(sd, relevance=None, timesteps=TIMESTEPS)
    recorded = trace_image(sd, case.image, OWL, timesteps=TIMESTEPS, sentence=case.sentence)
    (mean,) = all_words(reader, [case])
    assert np.array_equal(mean[STRAWBERRY], mean[SECOND_THE])
    expected = np.mean([recorded[word].values for word in range(5)], axis=0)
    np.testing.assert_allclose(mean[STRAWBERRY], expected, rtol=1e-5)
    (own,) = plain(reader, [case])
    np.testing.assert_allclose(own[STRAWBERRY], recorded[STRAWBERRY].values, rtol=1e-5)
    (middle,) = center(reader, [case])
    assert np.array_equal(middle[STRAWBERRY], middle[SECOND_THE])
    assert middle[STRAWBERRY][0, 16] == pytest.approx(np.exp(-0.5 * (4 + 4 / 31**2)))


def test_heads_vote_for_the_concept_with_most_attention():
    """Two steps, one layer, two heads: head 0 attends most to the thing, head 1 does so in one step of two."""
    sentence = make_sentence("red cat on beach", (), {0: "ADJ", 2: "ADP"})
    assert concepts(sentence) == {"colors": [0], "things": [1], "relations": [2], "places": [3]}
    shares = np.zeros((4, 2, 1, 2))
    shares[1] = 0.3
    shares[0, 1, 0, 1] = 0.5
    shares[2] = 0.1

    class Recorded:
        def __init__(self):
            self.sentence = sentence

        def word_array(self, word):
            values = np.broadcast_to(shares[word][..., None, None], (2, 1, 2, 3, 4))
            return xr.DataArray(
                values,
                dims=("step", "layer", "head", "y", "x"),
                coords={"step": [0, 1], "layer": ["attn2"], "head": [0, 1]},
            )

    votes = votes_for_things(Recorded())
    assert votes.dims == ("layer", "head")
    assert votes.values.tolist() == [[2.0, 1.0]]


def test_relevance_needs_no_mask_and_weights_every_head(sd):
    found = captions(3)
    assert len({each.text for each in found}) == 3
    assert all(len(concepts(each)) >= 3 for each in found)
    pipe = make_sd(77)
    weights = relevance(pipe, 3, steps=2, guidance=5.0, bar=NoProgress())
    assert weights.axes == ("layer", "head")
    assert dict(weights.values.sizes) == {"layer": 7, "head": 2}
    assert weights.notes["images"] == 3


def test_the_quarter_with_most_votes_is_chosen():
    votes = np.array(
        [[5.0, 1.0, 0.0], [4.0, 4.0, 2.0]]
    )  # a quarter of 6 heads: 2, and one that ties
    values = xr.DataArray(
        votes, dims=("layer", "head"), coords={"layer": ["a", "b"], "head": [0, 1, 2]}
    )
    chosen = most_relevant(MapWeights(values)).values
    np.testing.assert_allclose(chosen.values, np.array([[1, 0, 0], [1, 1, 0]]) / 3)


def test_only_methods_that_say_so_learned_from_masks():
    assert [each.name for each in METHODS if each.from_masks] == ["learned weights"]
    assert [each.name for each in METHODS if each.ignores_word] == ["all words", "center"]
    reads = {each.name: [each.reads(n) for n in (1, 3)] for each in METHODS}
    assert reads["plain"] == [1, 1]
    assert reads["attention deleted"] == [2, 4]
    assert reads["center"] == [0, 0]
