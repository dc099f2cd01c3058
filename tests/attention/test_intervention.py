"""Interventions on attention change the right weights: of the right word, image, step, layer and attention head."""

import json

import numpy as np
import pytest
import torch
from torch.overrides import _get_current_function_mode_stack

from daam_syntax.attention import Edit, intervene, trace
from daam_syntax.attention.softmax.edited_weights import scaled_columns
from daam_syntax.errors import TraceError, WordError
from helpers.family_pipelines import make_flux
from helpers.intervention_reference import ByHand
from helpers.tiny_pipelines import TEXT_LENGTH, make_sd3
from helpers.tracing import CAT, OBLONG, OWL, SQUARE

STRAWBERRY, SECOND_THE = [2, 3], [5]  # text keys of words 1 and 3 of OWL


def draw(pipe, prompt=OWL, *, size=OBLONG, guidance=5.0, steps=2, n=1, **options):
    return pipe(
        prompt,
        height=size[0],
        width=size[1],
        guidance_scale=guidance,
        num_inference_steps=steps,
        num_images_per_prompt=n,
        generator=[
            torch.Generator().manual_seed(7 + i)
            for i in range(n * (1 if isinstance(prompt, str) else len(prompt)))
        ],
        output_type="latent",
        **options,
    ).images


def edited(pipe, edits, *args, **options):
    with intervene(pipe, edits):
        return draw(pipe, *args, **options)


def assert_is_nearer(result, expected, untouched):
    """Check that the result is as expected up to rounding errors, which are small beside the edit's effect."""
    error = (result - expected).abs().max()
    assert error < 1e-5 * expected.abs().max()
    assert (result - untouched).abs().max() > 20 * error


def scaling(columns, scale, *, renormalize, rows, where=lambda place: True, heads=slice(None)):
    """Scale columns of some rows by hand."""

    def change(place, weights, values):
        if where(place):
            for row in rows:
                for column in columns:
                    weights[row, heads, :, column] *= scale
                if renormalize:
                    weights[row] /= weights[row].sum(-1, keepdim=True)
        return weights @ values

    return change


EDITS = {
    "two subwords": (Edit((1,)), scaling(STRAWBERRY, 0, renormalize=True, rows=[1])),
    "a repeated word": (
        Edit((3,), scale=0, renormalize=False),
        scaling(SECOND_THE, 0, renormalize=False, rows=[1]),
    ),
    "by text, strengthened": (
        Edit(("strawberry",), scale=3.0),
        scaling(STRAWBERRY, 3, renormalize=True, rows=[1]),
    ),
    "a head": (
        Edit((1,), renormalize=False, heads=(1,)),
        scaling(STRAWBERRY, 0, renormalize=False, rows=[1], heads=slice(1, 2)),
    ),
    "layers": (
        Edit((1, 3), scale=0.5, layers="up_blocks"),
        scaling(
            [*STRAWBERRY, *SECOND_THE],
            0.5,
            renormalize=True,
            rows=[1],
            where=lambda place: place.path.startswith("up_blocks"),
        ),
    ),
    "the first step": (
        Edit((1,), steps=0),
        scaling(STRAWBERRY, 0, renormalize=True, rows=[1], where=lambda place: place.call == 0),
    ),
    "the first half": (
        Edit((1,), steps=slice(0, 0.5)),
        scaling(STRAWBERRY, 0, renormalize=True, rows=[1], where=lambda place: place.call == 0),
    ),
}


@pytest.mark.parametrize(
    ("make", "edit", "size"),
    [
        *(("sd", edit, OBLONG) for edit in EDITS),
        ("sd", "two subwords", SQUARE),
        ("sdxl", "two subwords", OBLONG),
        ("sdxl", "the first half", SQUARE),
    ],
)
def test_an_image_is_that_of_an_explicit_softmax(request, make, edit, size):
    pipe = request.getfixturevalue(make)
    edit, change = EDITS[edit]
    by_hand = ByHand(pipe.unet, r".*\.attn2", change).draw(lambda: draw(pipe, size=size))
    result = edited(pipe, edit, size=size)
    assert_is_nearer(result, by_hand, draw(pipe, size=size))


@pytest.mark.parametrize("steps", [1, slice(1, None), slice(0.5, 1.0)])
def test_without_guidance_in_the_second_step(sd, steps):
    change = scaling(STRAWBERRY, 0, renormalize=True, rows=[0], where=lambda place: place.call == 1)
    by_hand = ByHand(sd.unet, r".*\.attn2", change).draw(lambda: draw(sd, guidance=1.0))
    result = edited(sd, Edit((1,), steps=steps), guidance=1.0)
    assert_is_nearer(result, by_hand, draw(sd, guidance=1.0))


def test_edits_are_made_in_order(sd):
    def change(place, weights, values):
        weights[1, ..., STRAWBERRY] = 0
        weights[1, ..., SECOND_THE] *= 2
        weights[1] /= weights[1].sum(-1, keepdim=True)
        return weights @ values

    by_hand = ByHand(sd.unet, r".*\.attn2", change).draw(lambda: draw(sd))
    both = [Edit((1,), renormalize=False), Edit((3,), scale=2.0)]
    torch.testing.assert_close(edited(sd, both), by_hand, atol=1e-4, rtol=1e-5)


def test_equal_mass(sd):
    """The mass that deleting the word would take is taken from "owl" and "and", as far as they have it."""
    payers = [4, 6]

    def change(place, weights, values):
        mass = weights[1, ..., STRAWBERRY].sum(-1)
        having = weights[1, ..., payers].sum(-1)
        for column in payers:
            weights[1, ..., column] *= ((having - mass) / having).clamp(min=0)
        return weights @ values

    by_hand = ByHand(sd.unet, r".*\.attn2", change).draw(lambda: draw(sd))
    edit = Edit((1,), renormalize=False).with_equal_mass((4, 2))
    torch.testing.assert_close(edited(sd, edit), by_hand, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("make", [make_sd3, make_flux], ids=["pixels first", "text first"])
def test_joint_attention(make):
    """Only the queries of pixels are changed; those of the text still attend to all words."""
    pipe = make()
    options = {"size": (64, 96), "max_sequence_length": 20, "guidance": 3.0}
    is_sd3 = make is make_sd3
    n_pixels = 24

    def change(place, weights, values):
        n_queries = weights.shape[2]
        if n_queries == n_pixels:  # attention of the pixels alone
            return weights @ values
        first_pixel, first_text = (0, n_pixels) if is_sd3 else (n_queries - n_pixels, 0)
        pixels = slice(first_pixel, first_pixel + n_pixels)
        row = 1 if is_sd3 else 0
        for key in keys:
            weights[row, :, pixels, first_text + key] = 0
        weights[row] /= weights[row].sum(-1, keepdim=True)
        return weights @ values

    with trace(pipe) as recording:
        untouched = draw(pipe, **options)
    (maps,) = recording.heat_maps()
    keys = [maps.subwords[row].position for row in maps.words[1].subwords]
    by_hand = ByHand(pipe.transformer, r".*\.attn", change).draw(lambda: draw(pipe, **options))
    result = edited(pipe, Edit((1,)), **options)
    assert_is_nearer(result, by_hand, untouched)


@pytest.mark.parametrize("guidance", [5.0, 1.0], ids=["guided", "unguided"])
def test_kinds_of_tokens(sd, guidance):
    """OWL has a start token, 6 subwords, an end token, and padding up to the encoder's length."""
    columns = {"start": [0], "text": range(1, 7), "end": [7], "padding": range(8, TEXT_LENGTH)}
    row = 1 if guidance > 1 else 0
    untouched = draw(sd, guidance=guidance)
    for kinds in (("start",), ("text",), ("end", "padding")):
        edit = Edit(tokens=kinds, scale=0.25)
        keys = [key for kind in kinds for key in columns[kind]]
        change = scaling(keys, 0.25, renormalize=True, rows=[row])
        by_hand = ByHand(sd.unet, r".*\.attn2", change).draw(lambda: draw(sd, guidance=guidance))
        assert_is_nearer(edited(sd, edit, guidance=guidance), by_hand, untouched)


def test_tokens_have_no_other_words_and_are_described():
    edit = Edit(tokens="start", scale=2.0)
    assert edit.tokens == ("start",)
    assert edit == Edit(tokens=("start",), scale=2.0)
    described = edit.describe()
    assert (described["tokens"], "words" in described) == (["start"], False)
    assert "tokens" not in Edit((1,)).describe()
    with pytest.raises(ValueError, match="an edit of words"):
        edit.with_random_words(range(4), seed=0)


def test_a_scale_of_one_changes_nothing(sd):
    assert torch.equal(edited(sd, Edit((1,), scale=1.0)), draw(sd))


def test_other_images_and_unconditional_rows_stay_the_same_to_the_bit(sd):
    seen = []
    handle = sd.unet.register_forward_hook(lambda module, args, output: seen.append(output[0]))
    prompts = [OWL, CAT]
    untouched = draw(sd, prompts, n=2)
    result = edited(sd, Edit((1,), images=(1, 2)), prompts, n=2)
    handle.remove()
    assert [torch.equal(*pair) for pair in zip(result, untouched, strict=True)] == [
        True,
        False,
        False,
        True,
    ]
    first, first_edited = seen[0], seen[2]  # of two steps each: the latents are still the same
    same = [torch.equal(*pair) for pair in zip(first_edited, first, strict=True)]
    assert same == [True] * 4 + [True, False, False, True]


def test_a_region(sd):
    """Edit the left third of the image: 4 columns and a third of a grid of 9 x 13."""
    where = np.zeros((72, 104), dtype=bool)
    where[:, :35] = True
    chosen = {
        117: (9, 13, 4),
        35: (5, 7, 2),
        12: (3, 4, 1),
    }  # grid, and columns to edit, by number of pixels

    def change(place, weights, values):
        height, width, n = chosen[weights.shape[2]]
        left = torch.arange(height * width) % width < n
        weights[1][:, left, 2:4] = 0
        return weights @ values

    by_hand = ByHand(sd.unet, r".*\.attn2", change).draw(lambda: draw(sd))
    result = edited(sd, Edit((1,), renormalize=False, where=where))
    assert_is_nearer(result, by_hand, draw(sd))


def test_each_prompt_has_its_own_keys(sd):
    """Word 1 is "strawberry" in one prompt and "red" in the other."""

    def change(place, weights, values):
        weights[2, ..., STRAWBERRY] = 0
        weights[3, ..., 2] = 0
        weights[2:] /= weights[2:].sum(-1, keepdim=True)
        return weights @ values

    prompts = [OWL, CAT]
    by_hand = ByHand(sd.unet, r".*\.attn2", change).draw(lambda: draw(sd, prompts))
    torch.testing.assert_close(edited(sd, Edit((1,)), prompts), by_hand, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("trace_first", [True, False])
def test_a_trace_records_attention_before_the_edits(sd, trace_first):
    edit = Edit((1,), scale=0.0)
    alone = edited(sd, edit, steps=1)
    first = ["down_blocks.0.attentions.0"]  # nothing before it was edited

    def traced():
        with trace(sd, layers=first) as recording:
            images = draw(sd, steps=1)
        return images, recording.heat_maps()[0]

    _, untouched = traced()
    if trace_first:
        with trace(sd, layers=first) as recording, intervene(sd, edit):
            images = draw(sd, steps=1)
        (maps,) = recording.heat_maps()
    else:
        with intervene(sd, edit):
            images, maps = traced()
    assert torch.equal(images, alone)
    assert (maps.data.values == untouched.data.values).all()
    assert maps.provenance["intervention"]["edits"][0]["words"] == [1]
    assert "intervention" not in untouched.provenance
    json.dumps(dict(maps.provenance))


def test_the_model_is_restored_after_an_exception(sd):
    before = {path: len(m._forward_hooks) for path, m in sd.unet.named_modules()}
    attributes = set(vars(sd))
    untouched = draw(sd)

    def fail(pipe, step, timestep, inputs):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), intervene(sd, Edit((1,))):
        draw(sd, callback_on_step_end=fail)
    assert {path: len(m._forward_hooks) for path, m in sd.unet.named_modules()} == before
    assert set(vars(sd)) == attributes
    assert _get_current_function_mode_stack() == []
    assert torch.equal(draw(sd), untouched)
    with trace(sd) as recording:
        draw(sd)
    assert "intervention" not in recording.heat_maps()[0].provenance


def test_several_calls_in_one_block(sd):
    with intervene(sd, Edit((1,), steps=0)):
        first, second = draw(sd), draw(sd)
    assert torch.equal(first, second)
    assert torch.equal(first, edited(sd, Edit((1,), steps=0)))


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (Edit((9,)), WordError, "9"),
        (Edit(("the",)), WordError, "the"),
        (Edit(tokens=("template",)), WordError, "start, text, end, padding.*but got 'template'"),
        (Edit((1,), layers="nowhere"), TraceError, "changed nothing.*nowhere"),
        (Edit((1,), steps=7), TraceError, "changed nothing"),
        (Edit((1,), heads=(99,)), TraceError, "changed nothing"),
        (Edit((1,), images=(1,)), TraceError, "images from 0 to 0.*for 1"),
    ],
)
def test_edits_that_match_nothing_are_refused(sd, edit, error, message):
    with pytest.raises(error, match=message):
        edited(sd, edit)


def test_a_word_is_not_an_edit(sd):
    with pytest.raises(TypeError, match=r"such as `Edit\('cat'\)`.* but got 'red' \(str\)"):
        intervene(sd, "red")


def test_a_truncated_word_is_refused(sd):
    long = "the red cat and the blue owl and the red cat and the strawberry"
    with pytest.raises(WordError, match=r"'strawberry' \(index 13\).*truncated"):
        edited(sd, Edit((13,)), long)


def test_nested_interventions_are_refused(sd):
    with intervene(sd, Edit((1,))), pytest.raises(TraceError, match="one list"):
        intervene(sd, Edit((3,))).__enter__()
    assert torch.equal(edited(sd, []), draw(sd))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": ()}, "at least one word"),
        ({"words": (1,), "scale": -1.0}, "scale of 0 or more.*-1"),
        ({"words": (1,), "scale": float("nan")}, "scale"),
        ({"words": (1,), "steps": slice(0.5, 1.5)}, "fractions"),
        ({"words": (1,), "steps": (-1,)}, "numbers from 0"),
        ({"words": (1,), "where": np.ones(4, dtype=bool)}, r"mask of bool.*\(4,\)"),
        ({"words": (1,), "tokens": ("start",)}, "words or tokens, but got both"),
        ({"tokens": ("begin",)}, r"'start', 'end', 'template', 'padding', but got \['begin'\]"),
    ],
)
def test_impossible_edits(options, message):
    with pytest.raises(ValueError, match=message):
        Edit(**options)


def test_random_words():
    edit = Edit((1,), scale=0.5, heads=(0,))
    chosen = {edit.with_random_words(range(4), seed=seed).words for seed in range(20)}
    assert chosen == {(0,), (2,), (3,)}
    control = edit.with_random_words(range(4), seed=3)
    assert control == edit.with_random_words([3, 2, 1, 0], seed=3)
    assert (control.scale, control.heads) == (0.5, (0,))
    with pytest.raises(ValueError, match="at least 1 other"):
        edit.with_random_words([1], seed=0)
    with pytest.raises(ValueError, match=r"indices.*'red'"):
        Edit(("red",)).with_random_words(range(4), seed=0)


WEIGHTS = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.0, 0.0, 1.0, 0.0]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("columns", "scale", "options", "expected"),
    [
        ([0, 1], 0.0, {}, [[0, 0, 3 / 7, 4 / 7], [0, 0, 1, 0]]),
        ([2], 0.0, {}, [[1 / 7, 2 / 7, 0, 4 / 7], [0, 0, 0, 0]]),
        ([2], 0.5, {"renormalize": False}, [[0.1, 0.2, 0.15, 0.4], [0, 0, 0.5, 0]]),
        # Mass 0.2 of column 1 is taken from 0 and 3, which have 0.5.
        (
            [1],
            0.0,
            {"renormalize": False, "paid_by": [0, 3]},
            [[0.06, 0.2, 0.3, 0.24], [0, 0, 1, 0]],
        ),
        # Column 0 has less than the requested mass; in the second query it has none.
        (
            [2],
            0.0,
            {"renormalize": False, "paid_by": [0]},
            [[0, 0.2, 0.3, 0.4], [0, 0, 1, 0]],
        ),
        # Column 0 would gain 0.1, so the others gain it instead.
        (
            [0],
            2.0,
            {"renormalize": False, "paid_by": [1, 2]},
            [[0.1, 0.24, 0.36, 0.4], [0, 0, 1, 0]],
        ),
    ],
)
def test_scaled_columns(columns, scale, options, expected):
    before = WEIGHTS.clone()
    result = scaled_columns(WEIGHTS, columns, scale, **options)
    torch.testing.assert_close(result, torch.tensor(expected, dtype=torch.float64))
    assert torch.equal(WEIGHTS, before)
