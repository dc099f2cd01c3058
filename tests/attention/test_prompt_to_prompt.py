"""Reusing the attention of a first image for a second prompt."""

import pytest
import torch

from daam_syntax.attention import Edit, intervene, record_attention, reuse_attention, trace
from daam_syntax.attention.prompt_to_prompt import unchanged_words
from daam_syntax.errors import TraceError
from helpers.examples import make_sentence
from helpers.intervention_reference import ByHand
from helpers.tiny_pipelines import TEXT_LENGTH, make_sd3

RED, STRAWBERRY = "a red cat", "a strawberry cat"  # the changed word has one subword, then two
SAME_KEYS = [(0, 0), (1, 1), (3, 4), (4, 5), *zip(range(5, 11), range(6, 12), strict=True)]
ATTN1, ATTN2 = r".*\.attn1", r".*\.attn2"


def draw(pipe, prompt, *, size=(72, 104), guidance=5.0, steps=3, n=1, **options):
    return pipe(
        prompt,
        height=size[0],
        width=size[1],
        guidance_scale=guidance,
        num_inference_steps=steps,
        num_images_per_prompt=n,
        generator=[torch.Generator().manual_seed(7 + i) for i in range(n)],
        output_type="latent",
        **options,
    ).images


def record(pipe, prompt=RED, steps=None, **options):
    with record_attention(pipe, steps=steps) as recorded:
        images = draw(pipe, prompt, **options)
    return recorded, images


def reuse(pipe, recorded, prompt=STRAWBERRY, *, cross_steps=(), self_steps=(), **options):
    with reuse_attention(pipe, recorded, cross_steps=cross_steps, self_steps=self_steps):
        return draw(pipe, prompt, **options)


def weights_by_hand(pipe, modules, row, **options):
    """Return the weights of a row in all calls of some modules. *Shape:* ``(head, query, key)``."""
    seen = {}

    def keep(place, weights, values):
        seen[place.path, place.call] = weights[row]
        return weights @ values

    ByHand(pipe.unet, modules, keep).draw(lambda: draw(pipe, RED, **options))
    return seen


def assert_is_nearer(result, expected, untouched):
    error = (result - expected).abs().max()
    assert error < 1e-5 * expected.abs().max()
    assert (result - untouched).abs().max() > 20 * error


@pytest.mark.parametrize(("guidance", "row"), [(5.0, 1), (1.0, 0)], ids=["guided", "unguided"])
def test_self_attention(sd, guidance, row):
    first = weights_by_hand(sd, ATTN1, row, guidance=guidance)

    def change(place, weights, values):
        if place.call < 2:
            weights[row] = first[place.path, place.call]
        return weights @ values

    by_hand = ByHand(sd.unet, ATTN1, change).draw(lambda: draw(sd, STRAWBERRY, guidance=guidance))
    recorded, _ = record(sd, guidance=guidance)
    result = reuse(sd, recorded, self_steps=slice(0, 2), guidance=guidance)
    assert_is_nearer(result, by_hand, draw(sd, STRAWBERRY, guidance=guidance))


def test_cross_attention_of_unchanged_words(sd):
    first = weights_by_hand(sd, ATTN2, 1)

    def change(place, weights, values):
        if place.call == 0:
            for old, new in SAME_KEYS:
                weights[1, ..., new] = first[place.path, place.call][..., old]
            weights[1] /= weights[1].sum(-1, keepdim=True)
        return weights @ values

    assert TEXT_LENGTH == 12  # SAME_KEYS ends there
    by_hand = ByHand(sd.unet, ATTN2, change).draw(lambda: draw(sd, STRAWBERRY))
    recorded, _ = record(sd, steps=0)
    result = reuse(sd, recorded, cross_steps=slice(0, 1 / 3))
    assert_is_nearer(result, by_hand, draw(sd, STRAWBERRY))


def test_recording_changes_nothing(sd):
    recorded, images = record(sd)
    assert torch.equal(images, draw(sd, RED))
    n_modules = sum(hasattr(module, "get_processor") for module in sd.unet.modules())
    assert len(recorded.calls) == 3 * n_modules
    assert recorded.n_bytes > 0


def test_the_same_prompt_gives_the_same_image(sd):
    recorded, images = record(sd)
    assert torch.equal(reuse(sd, recorded, RED, self_steps=None), images)
    both = reuse(sd, recorded, RED, self_steps=None, cross_steps=None)
    torch.testing.assert_close(both, images, atol=1e-4, rtol=1e-5)


def test_one_image_is_reused_for_several(sd):
    recorded, _ = record(sd)
    options = {"self_steps": slice(0, 2), "cross_steps": slice(0, 2)}
    several = reuse(sd, recorded, n=2, **options)
    single = reuse(sd, recorded, **options)
    torch.testing.assert_close(several[:1], single, atol=1e-4, rtol=1e-5)


def test_the_model_is_restored(sd):
    untouched = draw(sd, STRAWBERRY)
    recorded, _ = record(sd)
    with pytest.raises(TraceError, match="same size"):
        reuse(sd, recorded, self_steps=0, size=(64, 64))
    assert torch.equal(draw(sd, STRAWBERRY), untouched)
    with trace(sd) as recording, reuse_attention(sd, recorded):
        draw(sd, STRAWBERRY)
    assert recording.heat_maps()[0].provenance["intervention"]["reused"]["prompts"] == [RED]


def test_images_and_steps_that_do_not_match_are_refused(sd):
    with record_attention(sd) as nothing:
        pass
    with pytest.raises(TraceError, match="nothing was recorded"):
        reuse_attention(sd, nothing)
    recorded, _ = record(sd, steps=slice(0, 1), n=2)
    with pytest.raises(TraceError, match=r"in step 1 .*steps \[0\]"):
        reuse(sd, recorded, self_steps=1, n=2)
    with pytest.raises(
        TraceError, match=r"as many images as were recorded \(2\), but .* generates 3"
    ):
        reuse(sd, recorded, self_steps=0, n=3)
    with pytest.raises(TraceError, match="to select a step"):
        reuse(sd, recorded, self_steps=9, n=2)
    with intervene(sd, Edit((1,))), pytest.raises(TraceError, match="one list"):
        reuse_attention(sd, recorded).__enter__()


def test_joint_attention_is_refused():
    with pytest.raises(TraceError, match="cross-attention only"):
        record(make_sd3(), size=(64, 64), max_sequence_length=20)


def test_unchanged_words():
    first = make_sentence("the red car and the red zebra", edges=())
    second = make_sentence("the big blue car and the Red zebra", edges=())
    assert unchanged_words(first, second) == [(0, 0), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7)]
