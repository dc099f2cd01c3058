"""Edits of the text's states change the right vectors: of the right word, image, encoder and layer, and nothing "
"else."""

import json
import signal
from dataclasses import replace

import pytest
import torch

from daam_syntax.attention import Edit, StateEdit, intervene, trace
from daam_syntax.attention.pipeline_call.state_editing import STATE_CHANGERS
from daam_syntax.errors import PromptError, TraceError, WordError
from helpers.family_pipelines import make
from helpers.intervention_reference import ByHand
from helpers.tiny_pipelines import as_pipeline
from helpers.tracing import CAT, OWL, SQUARE, draw

PROMPTS = [OWL, "a red cat and the red owl"]
SEVERAL = {"steps": 1, "num_images_per_prompt": 2}
# OWL is "the strawberry and the owl": a start token, then the text keys of each word.
KEYS = {0: [1], 1: [2, 3], 2: [4], 3: [5], 4: [6]}


def edited(pipe, edits, prompt=OWL, **options):
    with intervene(pipe, edits):
        return draw(pipe, prompt, **options)


def embeds(pipe, *prompts):
    """The embedded prompts of an untouched pipeline: those of the conditional rows, and the rest."""
    with torch.no_grad():
        found = pipe.encode_prompt(
            list(prompts), device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        return [each for each in found if each is not None]


def drawn_from(pipe, embedded, **options):
    """The image of an untouched Stable Diffusion 1 that is given embeddings."""
    return draw(pipe, None, prompt_embeds=embedded, **options)


@pytest.mark.parametrize("options", [{}, {"guidance": 1.0}, {"size": SQUARE, "steps": 1}])
@pytest.mark.parametrize(
    ("edit", "changes"),
    [
        (StateEdit(1, context="the red cat and the strawberry"), {2: 6, 3: 7}),
        (StateEdit("owl", context="the owl"), {6: 2}),
        (StateEdit(3, context="the cat and the owl"), {5: 4}),
        (StateEdit(4, by="blue", context="a blue cat"), {6: 2}),
    ],
)
def test_an_image_is_that_of_embeddings_replaced_by_hand(sd, edit, changes, options):
    """Two subwords, a word, the second of two, and another word of another prompt; with and without guidance."""
    embedded = embeds(sd, OWL)[0]
    other = embeds(sd, edit.context)[0]
    for here, there in changes.items():
        embedded[0, here] = other[0, there]
    result = edited(sd, edit, **options)
    assert torch.equal(result, drawn_from(sd, embedded, **options))
    assert not torch.equal(result, draw(sd, OWL, **options))


def test_words_of_the_prompt_exchange_their_vectors(sd):
    embedded = embeds(sd, OWL)[0]
    embedded[0, [4, 6]] = embedded[0, [6, 4]]
    both = StateEdit(("and", "owl"), by=("owl", "and"))
    apart = [StateEdit("and", by="owl"), StateEdit("owl", by="and")]
    assert torch.equal(edited(sd, both), drawn_from(sd, embedded))
    assert torch.equal(edited(sd, apart), edited(sd, both))


@pytest.mark.parametrize(("word", "places"), [(2, {4: 4}), (1, {2: 2, 3: 3}), (0, {1: 2})])
def test_padding_is_that_of_the_empty_prompt_at_the_place_of_the_word(sd, word, places):
    """The empty prompt has its end token in the first place, so the nearest padding is in the second."""
    embedded, empty = embeds(sd, OWL)[0], embeds(sd, "")[0]
    for here, there in places.items():
        embedded[0, here] = empty[0, there]
    assert torch.equal(edited(sd, StateEdit(word, padding=True)), drawn_from(sd, embedded))


@pytest.fixture(scope="module")
def untouched(sd, sdxl):
    """Two images each of two prompts of different lengths."""
    return {pipe: draw(pipe, PROMPTS, **SEVERAL) for pipe in (sd, sdxl)}


@pytest.mark.parametrize("layer", [None, 0, 1, -1])
def test_words_replaced_by_themselves_change_no_bit(sd, sdxl, untouched, layer):
    """A word of two subwords and a repeated word, by their index and in the context of the same prompt."""
    for pipe, images in untouched.items():
        edits = [
            StateEdit((1, 3), by=(1, 3), layer=layer, pooled=layer is not None and pipe is sdxl),
            StateEdit((1, 3), context=OWL, layer=layer, images=(0, 1)),
        ]
        # The vectors of the last block are not those that SDXL reads.
        assert torch.equal(edited(pipe, edits, PROMPTS, **SEVERAL), images)


def alone(pipe, prompt, word, position):
    with torch.no_grad(), intervene(pipe, StateEdit(word, alone=True)):
        return pipe.encode_prompt(prompt, "cpu", 1, False)[0][0, position]


def test_a_word_alone_has_read_no_other_word_and_keeps_its_place(sd):
    here = alone(sd, OWL, "owl", 6)
    others = "the red blue and the owl"
    assert not torch.equal(embeds(sd, OWL)[0][0, 6], embeds(sd, others)[0][0, 6])
    torch.testing.assert_close(here, alone(sd, "the strawberry red cat owl", "owl", 6)[:])
    assert not torch.allclose(here, alone(sd, "the owl", "owl", 2), atol=1e-3)  # another place
    # In the first place, it is the word that is encoded as a prompt of its own.
    first = alone(sd, "strawberry and the owl", 0, [1, 2])
    torch.testing.assert_close(first, embeds(sd, "strawberry")[0][0, [1, 2]])


def hooked(pipe, n_blocks, change):
    """Change the states after some blocks of CLIP by a hook written by hand."""
    blocks = pipe.text_encoder.encoder.layers
    if n_blocks:
        return blocks[n_blocks - 1].register_forward_hook(lambda m, args, out: change(out))
    return blocks[0].register_forward_pre_hook(lambda m, args: (change(args[0]), *args[1:]))


@pytest.mark.parametrize("layer", [0, 1, 2, -1])
def test_an_edit_after_a_block_is_that_of_a_hook_written_by_hand(sd, layer):
    seen = []
    n_blocks = layer % 3
    handle = hooked(sd, n_blocks, lambda states: seen.append(states.clone()) or states)
    embeds(sd, "the red owl")
    handle.remove()

    def change(states):
        states = states.clone()
        if len(states) == 1 and not done:
            done.append(True)  # the prompt, not the negative prompt
            states[0, 6] = seen[0][0, 3]
        return states

    done = []
    handle = hooked(sd, n_blocks, change)
    by_hand = draw(sd, OWL)
    handle.remove()
    result = edited(sd, StateEdit("owl", context="the red owl", layer=layer))
    assert torch.equal(result, by_hand)
    assert not torch.equal(result, draw(sd, OWL))


def test_an_edit_inside_a_causal_encoder_spreads_to_later_tokens_alone(sd):
    before = embeds(sd, OWL)[0][0]
    changed = {}
    for layer in (None, 1):
        with torch.no_grad(), intervene(sd, StateEdit("and", by=0, layer=layer)):
            after = sd.encode_prompt(OWL, "cpu", 1, False)[0][0]
        changed[layer] = [p for p in range(len(before)) if not torch.equal(before[p], after[p])]
    assert changed == {None: [4], 1: list(range(4, len(before)))}


@pytest.mark.parametrize("encoder", ["text_encoder", "text_encoder_2"])
def test_one_of_two_encoders_whose_vectors_stand_side_by_side(sdxl, encoder):
    features = {"text_encoder": slice(0, 16), "text_encoder_2": slice(16, 32)}[encoder]
    embedded, pooled = embeds(sdxl, OWL)
    embedded[0, 6, features] = embeds(sdxl, CAT)[0][0, 3, features]
    by_hand = draw(sdxl, None, prompt_embeds=embedded, pooled_prompt_embeds=pooled)
    edit = StateEdit("owl", by="cat", context=CAT, encoders=encoder)
    assert torch.equal(edited(sdxl, edit), by_hand)
    assert not torch.equal(by_hand, edited(sdxl, StateEdit("owl", by="cat", context=CAT)))


def test_pooled_vectors_stay_those_of_the_prompt_unless_they_follow_an_edit_inside(sdxl):
    def pooled(edit):
        with torch.no_grad(), intervene(sdxl, edit):
            return embeds(sdxl, OWL)

    _, own = embeds(sdxl, OWL)
    (made, kept) = pooled(StateEdit("owl", by=0, layer=1))
    (same, followed) = pooled(StateEdit("owl", by=0, layer=1, pooled=True))
    assert torch.equal(made, same)
    assert torch.equal(kept, own)
    assert not torch.equal(followed, own)
    # SDXL pools the second encoder alone, from its end token.
    first = StateEdit("owl", by=0, layer=1, pooled=True, encoders="text_encoder")
    with pytest.raises(TraceError, match=r"pooled=True\), but.*Leave pooled=True out, or edit"):
        pooled(first)
    _, same = pooled(replace(first, encoders=("text_encoder_2",)))
    assert torch.equal(same, followed)
    assert torch.equal(pooled(replace(first, pooled=False))[1], own)


def test_flux_pools_an_encoder_whose_tokens_are_no_keys():
    pipe = make("Flux")
    with pytest.raises(TraceError, match=r"only a pooled.*layer=0, pooled=True"):
        intervene(pipe, StateEdit("owl", by=0, encoders="text_encoder"))
    with torch.no_grad():
        plain = pipe.encode_prompt(OWL, None, "cpu", max_sequence_length=24)
    edit = StateEdit("owl", by=0, encoders="text_encoder", layer=0, pooled=True)
    with torch.no_grad(), intervene(pipe, edit):
        made = pipe.encode_prompt(OWL, None, "cpu", max_sequence_length=24)
    same = [torch.equal(*pair) for pair in zip(plain, made, strict=True)]
    assert same == [True, False, True]


def test_only_chosen_images_of_several_prompts_are_changed(sd):
    prompts, options = [OWL, CAT], {"num_images_per_prompt": 2, "steps": 1}
    untouched = draw(sd, prompts, **options)
    edits = [
        StateEdit("strawberry", padding=True, images=(1,)),
        StateEdit("cat", by="owl", context="the owl", images=(2,), layer=1),
    ]
    result = edited(sd, edits, prompts, **options)
    same = [torch.equal(*pair) for pair in zip(result, untouched, strict=True)]
    assert same == [True, False, False, True]
    assert torch.equal(
        result, edited(sd, [e.of_images(*e.images) for e in edits], prompts, **options)
    )


def test_a_trace_says_that_the_text_was_edited_and_its_maps_are_exact(sd):
    """The maps are those of a pipeline that is given the edited embeddings, whichever block is entered first."""
    edit = StateEdit("owl", context="the owl")
    other = embeds(sd, "the owl")[0]

    class Edited(type(sd)):
        def encode_prompt(self, prompt, *args, **options):
            embedded, negative = super().encode_prompt(prompt, *args, **options)
            embedded[0, 6] = other[0, 2]
            return embedded, negative

    with trace(as_pipeline(sd, Edited)) as recording:
        image = draw(recording._pipe, OWL)
    (expected,) = recording.heat_maps()
    assert "intervention" not in expected.provenance
    for first, second in ((trace, intervene), (intervene, trace)):
        opened = {}
        with open_one(first, sd, edit, opened), open_one(second, sd, edit, opened):
            assert torch.equal(draw(sd, OWL), image)
        (maps,) = opened[trace].heat_maps()
        assert (maps.data.values == expected.data.values).all()
        described = maps.provenance["intervention"]["state_edits"]
        assert described[0]["context"] == "the owl"
        json.dumps(dict(maps.provenance))
    with trace(sd) as later:
        draw(sd, OWL)
    assert "intervention" not in later.heat_maps()[0].provenance


class open_one:  # noqa: N801
    """Enter a trace or an intervention, and remember it."""

    def __init__(self, make, pipe, edit, opened):
        opened[make] = self._block = make(pipe, edit) if make is intervene else make(pipe)

    def __enter__(self):
        return self._block.__enter__()

    def __exit__(self, *error):
        return self._block.__exit__(*error)


def test_other_changes_of_the_text_are_still_refused(sd):
    def exchange(pipe, step, timestep, inputs):
        inputs["prompt_embeds"] = inputs["prompt_embeds"].flip(1)
        return inputs

    tensors = ["prompt_embeds"]
    with (
        pytest.raises(TraceError, match="received embeddings"),
        intervene(sd, StateEdit("owl", by=0)),
        trace(sd),
    ):
        draw(sd, OWL, callback_on_step_end=exchange, callback_on_step_end_tensor_inputs=tensors)


def test_the_encoder_relation_is_recorded_before_the_edits(sd):
    with trace(sd, relations="encoder") as plain:
        draw(sd, OWL, steps=1)
    edit = StateEdit("owl", by=0, layer=0)
    with trace(sd, relations="encoder") as recording, intervene(sd, edit):
        draw(sd, OWL, steps=1)
    (own,), (expected,) = (each.word_attention("encoder") for each in (recording, plain))
    assert (own.array.values == expected.array.values).all()


def test_together_with_an_edit_of_attention(sd):
    def change(place, weights, values):
        weights[1, ..., KEYS[1]] = 0
        weights[1] /= weights[1].sum(-1, keepdim=True)
        return weights @ values

    embedded = embeds(sd, OWL)[0]
    embedded[0, 6] = embeds(sd, "the owl")[0][0, 2]
    by_hand = ByHand(sd.unet, r".*\.attn2", change).draw(lambda: drawn_from(sd, embedded))
    both = [StateEdit("owl", context="the owl"), Edit("strawberry")]
    torch.testing.assert_close(edited(sd, both), by_hand, atol=1e-4, rtol=1e-5)
    assert not torch.allclose(edited(sd, both[0]), by_hand, atol=1e-3)


def test_negative_prompts_are_never_changed(sd):
    """Not even one that is the prompt itself."""
    embedded, negative = embeds(sd, OWL)[0], embeds(sd, OWL)[0]
    embedded[0, 6] = embedded[0, 1]
    by_hand = drawn_from(sd, embedded, negative_prompt_embeds=negative, steps=1)
    for layer in (None, 2):
        edit = StateEdit("owl", by=0, layer=layer)
        result = edited(sd, edit, negative_prompt=OWL, steps=1)
        assert torch.allclose(result, by_hand, atol=0 if layer is None else 1e-6)


def state(pipe):
    hooks = [
        (len(m._forward_hooks), len(m._forward_pre_hooks)) for m in pipe.text_encoder.modules()
    ]
    return hooks, type(pipe.tokenizer), len(STATE_CHANGERS), signal.getsignal(signal.SIGINT)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_everything_is_restored_after_an_error_in_the_encoder(sd, error):
    untouched, before = draw(sd, OWL, steps=1), state(sd)
    calls = []

    def fail(module, args):
        calls.append(1)
        if len(calls) == 4:  # the prompt, its negative, the prompt once more, and with the edit
            raise error

    handle = sd.text_encoder.encoder.layers[1].register_forward_pre_hook(fail)
    with pytest.raises(error), intervene(sd, StateEdit("owl", by=0, layer=1)):
        draw(sd, OWL)
    handle.remove()
    assert len(calls) == 4
    assert state(sd) == before
    assert torch.equal(draw(sd, OWL, steps=1), untouched)


def test_several_calls_in_one_block(sd):
    with intervene(sd, StateEdit("owl", by=0)):
        first, second = draw(sd, OWL, steps=1), draw(sd, OWL, steps=1)
    assert torch.equal(first, second)
    assert not torch.equal(first, draw(sd, OWL, steps=1))


REFUSED = [
    (
        StateEdit("owl", by=0, images=()),
        TraceError,
        r"changed none.*Check encoders= and images=, or leave them out",
        StateEdit("owl", by=0),
    ),
    # edit, error, message, and an edit that does what the message says
    (
        StateEdit("strawberry", by="owl"),
        WordError,
        r"'strawberry' has 2 and 'owl' has 1: take .* padding, padding=True",
        StateEdit("strawberry", padding=True),
    ),
    (
        StateEdit("owl", by="strawberry"),
        WordError,
        r"'owl' has 1 and 'strawberry' has 2: take the vector of one with 1, such as by='and'",
        StateEdit("owl", by="and"),
    ),
    (
        StateEdit("owl", context="a red cat"),
        WordError,
        r"'owl' in 'a red cat'.*the words there are a, red, cat: name the word, by=",
        StateEdit("owl", by="cat", context="a red cat"),
    ),
    (
        StateEdit(0, context="the cat"),
        WordError,
        r"'the' as often.*1 and 2 times: name the word by its index, by=0",
        StateEdit(0, by=0, context="the cat"),
    ),
    (StateEdit("the", alone=True), WordError, "use an index", StateEdit(3, alone=True)),
    (
        StateEdit("owl", by=0, layer=3),
        TraceError,
        r"layer of text_encoder from 0.*to 2.*got 3",
        StateEdit("owl", by=0, layer=2),
    ),
    (
        StateEdit("owl", by=0, encoders="text_encoder_9"),
        TraceError,
        r"text_encoder\).*'text_encoder_9'",
        StateEdit("owl", by=0, encoders="text_encoder"),
    ),
    (
        StateEdit("owl", by=0, images=(1,)),
        TraceError,
        "images from 0 to 0.*for 1",
        StateEdit("owl", by=0, images=(0,)),
    ),
]


@pytest.mark.parametrize(("edit", "error", "message", "remedy"), REFUSED)
def test_refused_edits_and_their_remedies(sd, edit, error, message, remedy):
    steps = []
    handle = sd.unet.register_forward_hook(lambda *_: steps.append(1))
    try:
        with pytest.raises(error, match=message):
            edited(sd, edit, steps=1)
        assert not steps  # before the first step has run
        edited(sd, remedy, steps=1)
    finally:
        handle.remove()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": ()}, "at least one word"),
        ({"words": 1}, r"got none: make an edit for each"),
        ({"words": 1, "alone": True, "padding": True}, "alone and padding"),
        ({"words": 1, "by": 2, "alone": True}, "by or context and alone"),
        ({"words": (1, 2), "by": 2}, r"one word of by= for each"),
        ({"words": 1, "by": 2, "pooled": True}, r"layer= with pooled=True.*layer=0"),
        ({"words": 1, "alone": True, "layer": 0}, "layer=1 or a later one"),
    ],
)
def test_impossible_edits(options, message):
    with pytest.raises(ValueError, match=message):
        StateEdit(**options)


def test_a_context_is_a_prompt():
    with pytest.raises(PromptError):
        StateEdit("owl", context=" ")


def test_an_edit_is_a_value():
    edit = StateEdit("owl", by="cat", context=CAT, images=[1], encoders="text_encoder")
    assert (edit.words, edit.by, edit.images) == (("owl",), ("cat",), (1,))
    assert edit == StateEdit(
        ("owl",), by=("cat",), context=CAT, images=(1,), encoders=("text_encoder",)
    )
    assert edit.with_words("cat", by="owl").words == ("cat",)
    assert len({edit, edit.of_images(1)}) == 1
    json.dumps(edit.describe())
