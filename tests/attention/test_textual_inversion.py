"""Words whose embedding was learned: the map of a word is that of all its vectors, wherever it stands."""

import re

import numpy as np
import pytest
import torch

from daam_syntax.attention import overflow, trace
from daam_syntax.errors import TraceError
from helpers.attention_reference import CallsWithin, Reference
from helpers.family_cases import CASES
from helpers.family_pipelines import make
from helpers.family_runs import reference
from helpers.tiny_pipelines import make_sd, make_sdxl
from helpers.tracing import GRIDS, draw

VECTORS = 3
PROMPTS = [
    "a cat and the <zebra>",
    "the <zebra> and the cat",
    "<zebra>, a red cat",
    "<zebra>'s cat <zebra>.",
]


def load(pipe, token="<zebra>", n=VECTORS, encoder=""):
    model, tokenizer = (getattr(pipe, name + encoder) for name in ("text_encoder", "tokenizer"))
    width = model.get_input_embeddings().weight.shape[1]
    vectors = torch.randn(n, width, generator=torch.Generator().manual_seed(5))
    known = {"text_encoder": model, "tokenizer": tokenizer}
    pipe.load_textual_inversion({token: vectors}, token=token, **known)
    return pipe


MAKERS = {
    "sd": lambda: load(make_sd(24)),
    "sdxl": lambda: load(load(make_sdxl()), encoder="_2"),
}


@pytest.fixture(scope="module", params=MAKERS)
def pipe(request):
    return MAKERS[request.param]()


def tokens_read(pipe, prompt, tokenizer="tokenizer"):
    own = getattr(pipe, tokenizer)
    ids = own(pipe.maybe_convert_prompt(prompt, own)).input_ids
    return own.convert_ids_to_tokens(ids)


def check_words(maps, tokens, expected):
    """Compare words with the mean of their tokens. *Shape:* ``(token, y, x)``."""
    starts = [key for key, token in enumerate(tokens) if token == "<zebra>"]
    zebras = [maps[index] for index, word in enumerate(maps.sentence) if word.text == "zebra"]
    for word, first in zip(zebras, starts, strict=True):
        by_hand = expected[first : first + VECTORS].mean(axis=0)
        np.testing.assert_allclose(word.values, by_hand, atol=1e-6)
    cat = next(key for key, token in enumerate(tokens) if token.strip("▁</w>") == "cat")
    np.testing.assert_allclose(maps["cat"].values, expected[cat], atol=1e-6)
    assert not [subword for subword in maps.subwords if subword.kind == "template"]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_word_has_the_map_of_all_its_vectors(pipe, prompt):
    watch = Reference(pipe.unet, GRIDS)
    untraced = watch.watch(lambda: draw(pipe, prompt))
    with trace(pipe, padding=True) as recording:
        assert torch.equal(draw(pipe, prompt), untraced)
    (maps,) = recording.heat_maps()
    expected = watch.maps(slice(1, 2))[0]
    np.testing.assert_allclose(maps.data, expected, atol=1e-6)
    check_words(maps, tokens_read(pipe, prompt), expected)


def test_joint_attention():
    case = next(each for each in CASES if each.name == "Flux")
    pipe, prompt = load(make("Flux"), encoder="_2"), PROMPTS[1]
    options = {"size": (64, 96), "max_sequence_length": 24}
    watch = CallsWithin(pipe.transformer, case.modules)
    untraced = watch.during(lambda: draw(pipe, prompt, **options))
    with trace(pipe) as recording:
        assert torch.equal(draw(pipe, prompt, **options), untraced)
    (maps,) = recording.heat_maps()
    shares = reference(case, watch, 1, (4, 6), guided=False)[0].numpy()
    check_words(maps, tokens_read(pipe, prompt, "tokenizer_2"), shares.T.reshape(-1, 4, 6))


def test_a_prompt_that_writes_the_vectors_out(pipe):
    """The pipeline then replaces the name inside the name of the second vector, too."""
    prompt = "a <zebra> <zebra>_1"
    watch = Reference(pipe.unet, GRIDS)
    untraced = watch.watch(lambda: draw(pipe, prompt))
    with trace(pipe, padding=True) as recording:
        assert torch.equal(draw(pipe, prompt), untraced)
    (maps,) = recording.heat_maps()
    np.testing.assert_allclose(maps.data, watch.maps(slice(1, 2))[0], atol=1e-6)
    words = [index for index, word in enumerate(maps.sentence) if "zebra" in word.text]
    assert [maps.words[index].status for index in words] == ["mapped"] * 2


def test_vectors_that_the_encoder_does_not_read():
    pipe = load(make_sd())  # reads 10 tokens
    prompt = "the red cat and the blue owl and <zebra>"
    with trace(pipe) as recording:
        draw(pipe, prompt, steps=1)
    (maps,) = recording.heat_maps()
    (index,) = [index for index, word in enumerate(maps.sentence) if word.text == "zebra"]
    assert maps.words[index].status == "mapped"
    assert "only its first subwords" in maps.words[index].reason
    assert len(maps.words[index].subwords) == 2
    (found,) = overflow(prompt, pipe)
    assert (found.n_tokens, found.limit) == (11, 10)
    assert overflow("the red cat and the blue owl <zebra>", pipe) == ()


def test_texts_outside_the_prompt():
    pipe = MAKERS["sd"]()
    with trace(pipe, also=[PROMPTS[0]]) as recording:
        draw(pipe, PROMPTS[0])
    (own,), (also,) = recording.heat_maps(), recording.heat_maps(of=PROMPTS[0])
    np.testing.assert_allclose(own.data, also.data, atol=1e-6)


def test_names_that_contain_each_other_are_refused_with_a_remedy_that_works():
    """In what order a pipeline replaces them depends on the hashes of their texts."""
    pipe = load(load(make_sd(24)), token="<zebra>s")
    prompt = "a <zebra> and two <zebra>s"
    one, other = "<zebra> <zebra>_1 <zebra>_2", "<zebra>s <zebra>s_1 <zebra>s_2"

    def convert(given, tokenizer):
        return [text.replace("<zebra>s", other).replace("<zebra>", one) for text in given]

    pipe.maybe_convert_prompt = convert
    with (
        pytest.raises(
            TraceError, match=r"part of another's\).*load_textual_inversion.*token="
        ) as caught,
        trace(pipe),
    ):
        draw(pipe, [prompt])
    assert re.search("under another name", str(caught.value))
    pipe = load(load(make_sd(24)), token="<horses>")
    with trace(pipe) as recording:
        draw(pipe, prompt.replace("<zebra>s", "<horses>"))
    (maps,) = recording.heat_maps()
    assert maps["horses"].values.shape == maps["zebra"].values.shape
    assert len(maps.words[maps.sentence.index("horses")].subwords) == VECTORS


def test_cleaned_captions_are_refused_with_remedies_that_work():
    pipe = make("PixArt-sigma")
    options = {
        "max_sequence_length": 24,
        "use_resolution_binning": False,
        "size": (64, 96),
        "steps": 1,
    }
    written = "a cat @someone"
    with (
        pytest.raises(TraceError, match=r"to 'a cat' \(cleaning\).*clean_caption=False"),
        trace(pipe),
    ):
        draw(pipe, written, clean_caption=True, **options)
    with trace(pipe) as recording:
        draw(pipe, "a cat", clean_caption=True, **options)
        draw(pipe, written, clean_caption=False, **options)
    cleaned, plain = recording.heat_maps()
    assert [word.status for word in cleaned.words] == ["mapped"] * 2
    assert [word.status for word in plain.words] == ["mapped"] * len(plain)
