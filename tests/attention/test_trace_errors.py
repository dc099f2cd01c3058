"""Pipelines that cannot be traced are refused, and the model is restored."""

import threading
from types import SimpleNamespace

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor

from daam_syntax.attention import trace
from daam_syntax.errors import TraceError
from helpers.tiny_pipelines import make_sd, make_sd3

PROMPT = "a red cat"


@pytest.fixture
def pipe():
    return make_sd()


def draw(pipe, prompt=PROMPT, **options):
    settings = {"num_inference_steps": 2, "height": 64, "width": 64, "output_type": "pt"}
    generator = torch.Generator().manual_seed(1)
    return pipe(prompt, generator=generator, **settings | options).images


def state(pipe):
    """Return everything that a trace might leave behind."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_always_called")
    hooks = [len(getattr(m, kind)) for m in pipe.unet.modules() for kind in kinds]
    attributes = {name for name in vars(pipe) if not name.startswith("_")}
    modules = [sorted(vars(module)) for module in pipe.unet.modules()]
    return hooks, attributes, modules, list(pipe.unet.attn_processors.values())


def fail_at(step, error):
    def callback(pipe, index, timestep, tensors):
        if index == step:
            raise error
        return {}

    return callback


@pytest.mark.parametrize("where", ["callback", "attention", "after", "own"])
def test_the_model_is_restored_after_an_exception(pipe, where):
    before, untraced = state(pipe), draw(pipe)

    def fail(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), trace(pipe) as recording:  # noqa: PT012
        assert state(pipe) != before
        if where == "callback":
            draw(pipe, callback_on_step_end=fail_at(0, ZeroDivisionError()))
        elif where == "attention":
            handle = (
                pipe.unet.mid_block.attentions[0]
                .transformer_blocks[0]
                .attn2.to_out[0]
                .register_forward_pre_hook(fail)
            )
            try:
                draw(pipe)
            finally:
                handle.remove()
        elif where == "after":
            draw(pipe)
            fail()
        else:
            fail()
    assert state(pipe) == before
    assert torch.equal(draw(pipe), untraced)
    assert len(recording._recorder.finished) == (where == "after")
    with trace(pipe) as recording:
        assert torch.equal(draw(pipe), untraced)
    assert len(recording.heat_maps()) == 1
    assert state(pipe) == before


def test_the_user_s_own_methods_are_restored(pipe):
    original, calls = pipe.encode_prompt, []

    def own(*args, **kwargs):
        calls.append(kwargs.get("prompt", args[0] if args else None))
        return original(*args, **kwargs)

    pipe.encode_prompt = own
    with trace(pipe):
        assert pipe.encode_prompt is not own
    assert pipe.encode_prompt is own


def test_prompts_are_read_before_a_pipeline_changes_them(pipe):
    """Some pipelines change the list of prompts that they receive."""
    original = pipe.encode_prompt

    def rewriting(prompt, *args, **kwargs):
        result = original(prompt, *args, **kwargs)
        prompt[:] = [f"<template>{text}" for text in prompt]
        return result

    pipe.encode_prompt = rewriting
    with trace(pipe) as recording:
        draw(pipe, [PROMPT, "the owl"])
    assert [each.prompt for each in recording.heat_maps()] == [PROMPT, "the owl"]


@pytest.mark.parametrize("error", [ValueError("stop"), KeyboardInterrupt()])
def test_an_interrupted_pipeline_call_is_left_out(pipe, error):
    with trace(pipe) as recording:
        draw(pipe, "a blue owl")
        with pytest.raises(type(error)):
            draw(pipe, callback_on_step_end=fail_at(1, error))
        draw(pipe, "a red owl")
    maps = recording.heat_maps()
    assert [each.prompt for each in maps] == ["a blue owl", "a red owl"]
    assert recording.n_unfinished == 1
    assert "1 interrupted" in repr(recording)


def test_only_interrupted_pipeline_calls(pipe):
    with trace(pipe) as recording, pytest.raises(ValueError, match="stop"):
        draw(pipe, callback_on_step_end=fail_at(0, ValueError("stop")))
    with pytest.raises(TraceError, match=r"\(1 interrupted: .*maybe_free_model_hooks"):
        recording.heat_maps()


def test_a_pipeline_call_that_the_user_stops_early_counts(pipe):
    def stop(pipe, index, timestep, tensors):
        pipe._interrupt = True
        return {}

    with trace(pipe) as recording:
        draw(pipe, num_inference_steps=5, callback_on_step_end=stop)
    assert recording.heat_maps()[0].provenance["steps"] == 1


def test_no_pipeline_call(pipe):
    with trace(pipe) as recording:
        pass
    draw(pipe)
    with pytest.raises(
        TraceError, match=r"StableDiffusionPipeline finished none.*inside the `with`"
    ):
        recording.heat_maps()


def test_nested_traces(pipe):
    before = state(pipe)
    with trace(pipe) as outer:
        with pytest.raises(TraceError, match="open already"), trace(pipe):
            pass
        with pytest.raises(TraceError, match="open already"), outer:
            pass
        draw(pipe)
    assert len(outer.heat_maps()) == 1
    assert state(pipe) == before
    with outer:
        draw(pipe)
    assert len(outer.heat_maps()) == 2


def test_other_threads_are_not_recorded(pipe):
    drawn = []
    with trace(pipe) as recording:
        thread = threading.Thread(target=lambda: drawn.append(draw(pipe, "a blue owl")))
        thread.start()
        thread.join()
        draw(pipe)
    assert len(drawn) == 1
    assert [each.prompt for each in recording.heat_maps()] == [PROMPT]


def test_attention_slicing(pipe):
    pipe.enable_attention_slicing()
    before = state(pipe)
    match = r"down_blocks\.0\S*attn2.*attention slicing is on \(SlicedAttnProcessor\).*"
    with (
        pytest.raises(TraceError, match=match + r"pipe\.disable_attention_slicing\(\)"),
        trace(pipe),
    ):
        draw(pipe)
    assert state(pipe) == before
    pipe.disable_attention_slicing()
    with trace(pipe) as recording:
        draw(pipe)
    assert recording.heat_maps()


def test_classic_processor(pipe):
    pipe.unet.set_attn_processor(AttnProcessor())
    with (
        pytest.raises(
            TraceError,
            match=r"classic AttnProcessor.*pipe\.unet\.set_attn_processor\(AttnProcessor2_0\(\)\)",
        ),
        trace(pipe),
    ):
        draw(pipe)


def test_the_user_s_own_processor(pipe):
    class HomeMade(AttnProcessor):
        pass

    pipe.unet.set_attn_processor(HomeMade())
    with pytest.raises(TraceError, match=r"processor HomeMade .*does not call"), trace(pipe):
        draw(pipe)


def test_xformers(pipe):
    class XFormersAttnProcessor(AttnProcessor):
        """A stand-in for the real one, which needs a GPU."""

    pipe.unet.set_attn_processor(XFormersAttnProcessor())
    with (
        pytest.raises(TraceError, match="disable_xformers_memory_efficient_attention"),
        trace(pipe),
    ):
        draw(pipe)


def test_compiled(pipe):
    untraced, unet = draw(pipe), pipe.unet
    pipe.unet = torch.compile(unet, backend="eager")
    with (
        pytest.raises(TraceError, match=r"UNet2DConditionModel was passed to torch\.compile"),
        trace(pipe),
    ):
        draw(pipe)
    with torch.compiler.set_stance("force_eager"):
        with trace(pipe) as recording:
            assert torch.equal(draw(pipe), untraced)
        assert len(recording.heat_maps()) == 1
    pipe.unet = unet
    unet.mid_block.compile(backend="eager")
    with pytest.raises(TraceError, match=r"torch\.compiler\.set_stance"), trace(pipe):
        draw(pipe)


def test_a_block_that_is_skipped(pipe):
    block = pipe.unet.mid_block
    block.forward = lambda hidden, *args, **kwargs: hidden
    with (
        pytest.raises(
            TraceError, match=r"observe 7 text attentions.*not called: mid_block\S*attn2\."
        ),
        trace(pipe),
    ):
        draw(pipe)


def test_a_denoiser_that_was_exchanged(pipe):
    with pytest.raises(TraceError, match=r"observe the unet of .* replaced"), trace(pipe):  # noqa: PT012
        pipe.unet = make_sd().unet
        draw(pipe)


def test_embeddings_without_their_prompt(pipe):
    embeddings, negative = pipe.encode_prompt(PROMPT, "cpu", 1, True)
    with (
        pytest.raises(TraceError, match=r"prompt_embeds without a prompt.*pass prompt="),
        trace(pipe),
    ):
        draw(pipe, None, prompt_embeds=embeddings, negative_prompt_embeds=negative)


def test_a_denoiser_called_without_a_prompt(pipe):
    with pytest.raises(TraceError, match=r"prompt is not known.*encode_prompt"), trace(pipe):
        pipe.unet(torch.zeros(1, 4, 8, 8), 1, torch.zeros(1, 12, 16))


def test_batches_of_unknown_rows(pipe):
    for rows, guided in ((3, True), (2, False)):
        match = rf"batch of 1 rows{', or 2 with guidance' if guided else ','}.*unet got {rows}"
        with pytest.raises(TraceError, match=match), trace(pipe):  # noqa: PT012
            embeddings, _ = pipe.encode_prompt(PROMPT, "cpu", 1, guided)
            pipe.unet(torch.zeros(rows, 4, 8, 8), 1, embeddings.expand(rows, -1, -1))


def test_text_of_an_unknown_length(pipe):
    match = r"'a red cat', 12 tokens long .* others, 9 tokens long.*Family"
    with pytest.raises(TraceError, match=match), trace(pipe):  # noqa: PT012
        embeddings, _ = pipe.encode_prompt(PROMPT, "cpu", 1, False)
        pipe.unet(torch.zeros(1, 4, 8, 8), 1, embeddings[:, :9])


def test_pipelines_without_text(pipe):
    unet = pipe.unet
    with pytest.raises(TraceError, match="has no encode_prompt"):
        trace(SimpleNamespace(unet=unet))
    with pytest.raises(TraceError, match="one of these denoisers"):
        trace(SimpleNamespace(unet=pipe.vae))
    with pytest.raises(TraceError, match=r"load it first, with load_pipeline\('emoji'\)"):
        trace("emoji")


@pytest.mark.parametrize("in_place", [False, True])
def test_compiled_joint_attention(in_place):
    pipe = make_sd3()
    untraced = draw(pipe)
    if in_place:
        pipe.transformer.transformer_blocks[0].compile(backend="eager")
    else:
        pipe.transformer = torch.compile(pipe.transformer, backend="eager")
    with (
        pytest.raises(TraceError, match=r"SD3Transformer2DModel was passed to torch\.compile"),
        trace(pipe),
    ):
        draw(pipe)
    with torch.compiler.set_stance("force_eager"), trace(pipe) as recording:
        assert torch.equal(draw(pipe), untraced)
    assert len(recording.heat_maps()) == 1
