"""The self-attention of text encoders as attention between words."""

import numpy as np
import pytest
import torch

from daam_syntax.attention import trace, trace_encoder, trace_text
from daam_syntax.errors import MemoryLimitError, PromptError, SelectionError, TraceError
from daam_syntax.language import parse
from helpers.encoder_reference import (
    between_by_hand,
    eager_attention,
    members_by_hand,
    projected_attention,
    seen_inputs,
    sharpened,
)
from helpers.family_cases import CASES
from helpers.family_pipelines import make
from helpers.tiny_pipelines import make_sd
from helpers.tracing import CAT, LONG, OWL

PROMPTS = [OWL, "a red cat"]
BOTH = {"keep": ("layer", "head")}
CASE = {case.name: case for case in CASES}
# Each has another encoder, or reaches it in another way: see tests/helpers/family_pipelines.py.
FAMILIES = [case.name for case in CASES]


@pytest.fixture(scope="module")
def sharp_sd():
    pipe = make_sd()
    sharpened(pipe.text_encoder)
    return pipe


def options_of(name):
    return {k: v for k, v in CASE[name].arguments.items() if k == "max_sequence_length"}


def from_groups(attention, weights):
    """Pool reference weights, *shape* ``(..., query, key)``, by the tokens that the attention names."""
    spans, kinds = {}, {}
    for group in attention.groups:
        for position in group.positions:
            spans[position], kinds[position] = (group.start, group.end), group.kind
    members = members_by_hand(attention.sentence, spans, kinds, weights.shape[-1])
    return between_by_hand(weights, members)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_encoder_is_compared_with_its_own_eager_attention_in_64_bits(name):
    pipe = make(name)
    # In 64 bits, eager attention of padding that sees nothing is NaN.
    dtype = torch.float32 if name == "Lumina-Next" else torch.float64
    found = trace_text(pipe, PROMPTS, **BOTH, **options_of(name))
    encoders = [each.encoder for each in found[: len(found) // 2]]
    for number, encoder in enumerate(encoders):
        with seen_inputs(getattr(pipe, encoder)) as calls:
            trace_text(pipe, PROMPTS, encoders=encoder, **options_of(name))
        weights = eager_attention(getattr(pipe, encoder), calls[0], dtype)
        for row in range(2):
            attention = found[row * len(encoders) + number]
            assert attention.prompt == PROMPTS[row]
            assert attention.encoder == encoder
            expected = from_groups(attention, weights[row])
            np.testing.assert_allclose(attention.array.values, expected, rtol=0, atol=1e-6)
            padding = [g.positions for g in attention.groups if g.kind == "padding"]
            read = [p for p in range(weights.shape[-1]) if p not in sum(padding, ())]
            forward = np.triu(weights[row][..., read, :][..., read], 1).any()
            assert attention.causal == (not forward)


def test_clip_is_compared_with_a_softmax_of_its_projections(sharp_sd):
    pipe = sharp_sd
    attention, short = trace_text(pipe, PROMPTS, **BOTH)
    with seen_inputs(pipe.text_encoder) as calls:
        pipe.encode_prompt(PROMPTS, "cpu", 1, False)
    weights = projected_attention(
        pipe.text_encoder,
        calls[0],
        query="q_proj",
        key="k_proj",
        n_heads=2,
        scale=8**-0.5,
        causal=True,
    )
    read = pipe.tokenizer(OWL, return_offsets_mapping=True)
    spans = dict(enumerate(read["offset_mapping"]))
    n = len(spans)
    kinds = {0: "start", n - 1: "end"} | dict.fromkeys(range(1, n - 1), "text")
    members = members_by_hand(parse(OWL), spans, kinds, pipe.tokenizer.model_max_length)
    expected = between_by_hand(weights[0], members)
    assert attention.array.dims == ("layer", "head", "query", "key")
    assert attention.labels == (
        *("the", "strawberry", "and", "the", "owl"),
        *("start", "end", "padding"),
    )
    np.testing.assert_allclose(attention.array.values, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(attention.mean, expected.mean(axis=(0, 1)), rtol=0, atol=1e-6)
    assert attention.causal
    assert short.causal
    assert len(members[1]) == 2  # "strawberry" is two tokens
    assert weights[0].std(axis=-1).max() > 0.2  # the reference is far from uniform


def test_t5_is_compared_with_a_softmax_of_its_projections_and_position_bias():
    pipe = make("PixArt-sigma")
    model = sharpened(pipe.text_encoder)
    (attention,) = trace_text(pipe, OWL, max_sequence_length=24, **BOTH)
    with seen_inputs(model) as calls:
        pipe.encode_prompt(OWL, False, device="cpu", max_sequence_length=24)
    first = model.encoder.block[0].layer[0].SelfAttention
    bias = first.compute_bias(24, 24)[0].detach().double().numpy()
    weights = projected_attention(
        model, calls[0], query="q", key="k", n_heads=2, scale=1.0, bias=bias
    )
    expected = from_groups(attention, weights[0])
    np.testing.assert_allclose(attention.array.values, expected, rtol=0, atol=1e-6)
    assert not attention.causal
    at = attention.labels.index("padding")
    assert not attention.mean[:at, at].any()  # the mask hides padding
    assert "start" not in attention.labels  # T5 has none


def test_what_the_encoder_returns_is_the_same_to_the_bit(sharp_sd, monkeypatch):
    pipe, plain = sharp_sd, []
    with torch.no_grad(), seen_inputs(pipe.text_encoder) as untraced:
        plain = pipe.encode_prompt(PROMPTS, "cpu", 1, False)[0]
    with seen_inputs(pipe.text_encoder) as calls:
        trace_text(pipe, PROMPTS, **BOTH)
    assert torch.equal(calls[0]["output"], untraced[0]["output"])
    assert torch.equal(pipe.encode_prompt(PROMPTS, "cpu", 1, False)[0], plain)


def test_hooks_are_removed_also_after_an_error(sharp_sd, monkeypatch):
    pipe = sharp_sd
    tokenizer_class = type(pipe.tokenizer)
    modules = dict(pipe.text_encoder.named_modules())
    attention = next(m for p, m in modules.items() if p.endswith("self_attn"))

    def fail(*args, **kwargs):
        raise RuntimeError("broken")

    monkeypatch.setattr(attention, "forward", fail)
    with pytest.raises(RuntimeError, match="broken"):
        trace_text(pipe, CAT)
    assert type(pipe.tokenizer) is tokenizer_class
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in modules.values())
    assert not torch.overrides._get_current_function_mode_stack()


def test_rows_sum_to_one_and_the_remainder_is_stated(sharp_sd):
    (attention,) = trace_text(sharp_sd, OWL)
    words = attention.among_words().sum(axis=1)
    for index in attention.mapped:
        rest = attention.remainder(index)
        assert set(rest) == {"start", "end", "padding"}
        assert words[index] + sum(rest.values()) == pytest.approx(1, abs=1e-6)


def test_kept_axes_average_to_the_same_and_layers_can_be_chosen(sharp_sd):
    (plain,) = trace_text(sharp_sd, OWL)
    for keep in ("layer", "head"):
        (kept,) = trace_text(sharp_sd, OWL, keep=keep)
        assert kept.axes == (keep,)
        np.testing.assert_allclose(kept.mean, plain.mean, atol=1e-6)
    (both,) = trace_text(sharp_sd, OWL, **BOTH)
    (second,) = trace_text(sharp_sd, OWL, layers="layers.1")
    chosen = both.select(layers="layers.1")
    np.testing.assert_allclose(second.mean, chosen.mean, atol=1e-6)
    np.testing.assert_allclose(
        both.select(layers="layers.0", heads=1).mean, both.array.values[0, 1], atol=1e-6
    )
    with pytest.raises(SelectionError, match=r"keep=\('head'"):
        second.select(heads=0)
    with pytest.raises(TraceError, match=r"layers are: encoder\.layers\.0"):
        trace_text(sharp_sd, OWL, layers="no such layer")
    with pytest.raises(ValueError, match="encoded once"):
        trace_text(sharp_sd, OWL, keep="step")


def test_truncated_words_have_a_status(sharp_sd):
    (attention,) = trace_text(sharp_sd, LONG)
    last = attention.words[-1]
    assert last.status == "truncated"
    assert np.isnan(attention.mean[last.index]).all()
    assert np.isnan(attention.mean[:, last.index]).all()
    sums = np.nansum(attention.mean, axis=1)[list(attention.mapped)]
    np.testing.assert_allclose(sums, 1, atol=1e-6)


def test_many_prompts_are_encoded_in_batches_and_each_prompt_is_its_own(sharp_sd):
    prompts = [
        f"{first} {second} cat" for first in ("the", "red", "blue", "and") for second in "abcde"
    ]
    found = trace_text(sharp_sd, [*prompts, prompts[0]])
    assert [each.prompt for each in found] == [*prompts, prompts[0]]
    (alone,) = trace_text(sharp_sd, prompts[17])
    np.testing.assert_allclose(found[17].mean, alone.mean, atol=1e-6)
    assert found[-1] is found[0]


def test_the_size_is_predicted_and_limited(sharp_sd):
    (kept,) = trace_text(sharp_sd, OWL, **BOTH)
    with pytest.raises(MemoryLimitError, match="keep fewer axes") as error:
        trace_text(sharp_sd, [OWL, CAT], max_bytes=1000, **BOTH)
    assert kept.nbytes <= error.value.predicted_bytes <= 5 * kept.nbytes
    assert trace_text(sharp_sd, [OWL, CAT], max_bytes=error.value.predicted_bytes, **BOTH)


def test_it_can_be_called_while_a_trace_is_open(sharp_sd):
    (expected,) = trace_text(sharp_sd, OWL)
    with trace(sharp_sd) as recording:
        (found,) = trace_text(sharp_sd, OWL)
    assert recording.n_unfinished == 0
    np.testing.assert_array_equal(found.mean, expected.mean)


def test_what_cannot_be_traced_is_refused(sharp_sd):
    with pytest.raises(TraceError, match=r"\(text_encoder\), but got 'text_encoder_9'"):
        trace_text(sharp_sd, CAT, encoders="text_encoder_9")
    with pytest.raises(PromptError):
        trace_text(sharp_sd, " ")
    pipe = make_sd()
    pipe.text_encoder = None
    with pytest.raises(TraceError, match="load the pipeline with its text encoders"):
        trace_text(pipe, CAT)


def test_an_encoder_without_a_softmax_is_refused(sharp_sd, monkeypatch):
    def without_softmax(module, query, key, value, *args, **kwargs):
        return value.transpose(1, 2).contiguous(), None

    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register("none", without_softmax)
    pipe = make_sd()
    pipe.text_encoder.config._attn_implementation = "none"
    with pytest.raises(TraceError, match='attn_implementation="sdpa" or "eager"'):
        trace_text(pipe, CAT)
    pipe.text_encoder.set_attn_implementation("eager")  # the remedy
    (eager,) = trace_text(pipe, CAT)
    pipe.text_encoder.set_attn_implementation("sdpa")
    np.testing.assert_allclose(eager.mean, trace_text(pipe, CAT)[0].mean, atol=1e-6)


def test_overflown_attention_is_refused():
    pipe = make_sd()
    with torch.no_grad():
        pipe.text_encoder.get_input_embeddings().weight.fill_(torch.nan)
    with pytest.raises(TraceError, match="overflowed its number format"):
        trace_text(pipe, CAT)


def test_any_encoder_of_transformers_can_be_traced():
    pipe = make("HunyuanDiT")
    model = sharpened(pipe.text_encoder)
    found = trace_encoder(model, pipe.tokenizer, PROMPTS, **BOTH)
    read = pipe.tokenizer(PROMPTS, padding=True, return_tensors="pt")
    weights = eager_attention(
        model, {"input_ids": read["input_ids"], "attention_mask": read["attention_mask"]}
    )
    for row, attention in enumerate(found):
        expected = from_groups(attention, weights[row])
        np.testing.assert_allclose(attention.array.values, expected, rtol=0, atol=1e-6)
        assert not attention.causal


def test_half_precision_is_read_from_the_numbers_of_the_model(sharp_sd):
    pipe = make_sd()
    sharpened(pipe.text_encoder)
    pipe.to(torch.bfloat16)
    (attention,) = trace_text(pipe, OWL, **BOTH)
    (exact,) = trace_text(sharp_sd, OWL, **BOTH)
    np.testing.assert_allclose(np.nansum(attention.array.values, axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(attention.mean, exact.mean, atol=0.03)
