"""Errors for attention that cannot be observed, with the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NoReturn

import torch
from torch import nn

from daam_syntax.attention.softmax.probabilities import AttentionCall
from daam_syntax.attention.texts.drawn_text import OtherText
from daam_syntax.attention.texts.textual_inversion import written_out
from daam_syntax.attention.texts.token_spans import Reading
from daam_syntax.errors import TraceError

_CLASSIC: Final = ("AttnProcessor", "AttnAddedKVProcessor", "CustomDiffusionAttnProcessor")


def refuse_unobserved_attention(
    path: str,
    module: nn.Module,
    calls: Sequence[AttentionCall],
    *,
    keys: str,
    denoiser: str,
) -> NoReturn:
    """Raise a `TraceError` for an attention module that made no call with the expected keys.

    Parameters
    ----------
    path, module
        The attention module.
    calls
        The calls that it made.
    keys
        Description of the expected keys.
    denoiser
        Name of the pipeline's attribute that holds the denoiser.
    """
    processor = type(module.get_processor()).__name__  # type: ignore[operator]
    fused = "AttnAddedKVProcessor2_0" if "AddedKV" in processor else "AttnProcessor2_0"
    modern = f"pipe.{denoiser}.set_attn_processor({fused}())"
    if calls:
        lengths = ", ".join(str(call.key.shape[-2]) for call in calls)
        cause = f"its {processor} attended to {lengths} keys"
        remedy = "register a Family for this model that describes which keys are text"
    elif processor.startswith("Sliced"):
        cause = (
            f"attention slicing is on ({processor}), which does not call "
            "scaled_dot_product_attention"
        )
        remedy = f"call pipe.disable_attention_slicing() or {modern}"
    elif "XFormers" in processor:
        cause = f"xformers computes the attention ({processor})"
        remedy = "call pipe.disable_xformers_memory_efficient_attention()"
    elif processor in _CLASSIC:
        cause = (
            f"its processor is the classic {processor}, which does not call "
            "scaled_dot_product_attention"
        )
        remedy = f"call {modern}"
    else:
        cause = (
            f"its processor {processor} (or the attention backend) does not call "
            "scaled_dot_product_attention"
        )
        native = f'pipe.{denoiser}.set_attention_backend("native")'
        remedy = f"choose the native attention backend, {native}, or a processor that calls this function"
    raise TraceError(f"Expected {path} to attend to {keys}, but {cause}: {remedy}.")


def refuse_replaced_text(
    pipe: Any, tokenizer: Any, prompts: Sequence[str], readings: Sequence[Reading]
) -> NoReturn:
    """Raise a `TraceError` for a pipeline whose text encoder reads another text than the prompts.

    Parameters
    ----------
    pipe
        The pipeline.
    tokenizer
        The encoder's tokenizer.
    prompts
        The prompts that it was given.
    readings
        The tokenizer's readings.
    """
    read = ", ".join(repr(reading.text) for reading in readings[: len(prompts)])
    if any(written_out(tokenizer, prompt)[0] != prompt for prompt in prompts):
        cause = "textual inversions of several vectors, one of whose names is part of another's"
        remedy = "load one of them under another name, with load_textual_inversion(..., token=...)"
    else:
        cause = "cleaning"
        remedy = (
            "write the prompts in that form, or pass clean_caption=False if the pipeline accepts it"
        )
    raise TraceError(
        f"Expected the pipeline to pass the prompts {', '.join(map(repr, prompts))} to its tokenizer unchanged, "
        f"but {type(pipe).__name__} changes them to {read} ({cause}): {remedy}."
    )


def refuse_other_embeddings(pipe: Any, text: str, angle: float) -> NoReturn:
    """Raise a `TraceError` for ``prompt_embeds`` that are not those of the text that the trace was given.

    Parameters
    ----------
    pipe
        The pipeline.
    text
        The text.
    angle
        The largest angle between an embedding of a token and the pipeline's own, in degrees.
    """
    raise TraceError(
        f"Expected prompt_embeds of {text!r}, as trace(prompts=...) says, perhaps with weighted tokens, but some "
        f"tokens point {angle:.0f} degrees away from those that {type(pipe).__name__} makes of this text: pass the "
        "trace the text that was embedded, and the pipeline the options that it was embedded with (such as clip_skip)."
    )


def refuse_other_text(
    denoiser: str,
    drawn: OtherText,
    prompts: Sequence[str],
    *,
    selects_steps: bool,
) -> NoReturn:
    """Raise a `TraceError` for a step that was drawn from another text than reported.

    Parameters
    ----------
    denoiser
        Name of the pipeline's attribute that holds the denoiser.
    drawn
        The step.
    prompts
        The reported text.
    selects_steps
        Whether the steps to record can be chosen.
    """
    timestep = float(torch.as_tensor(drawn.timestep).flatten()[0])
    what = "negative prompts" if drawn.is_negative else "prompts"
    if drawn.texts is None:
        text = "neither of these nor of these with weighted tokens"
    else:
        text = f"of {', '.join(map(repr, drawn.texts))}"
    remedy = "do not replace the text embeddings in a callback (tokens may be scaled)"
    if selects_steps and drawn.step:
        remedy = (
            f"record only the steps before, trace(..., steps=slice(0, {drawn.step})), or {remedy}"
        )
    raise TraceError(
        f"Expected step {drawn.step} (timestep {timestep:g}) to be drawn from the {what} "
        f"{', '.join(map(repr, prompts))}, but the {denoiser} received embeddings that are {text}: {remedy}."
    )


def refuse_compiled(
    model: nn.Module,
    held: Any,
    *,
    purpose: str = "to observe every attention call",
    remedy: str = "trace before compiling",
) -> None:
    """Raise a `TraceError` if a model would run compiled.

    Parameters
    ----------
    model
        The model itself.
    held
        The pipeline's attribute, which may be the compiled wrapper around the model.
    purpose, remedy
        What the hooks on it are for, and what to do instead.
    """
    in_place = any(
        getattr(module, "_compiled_call_impl", None) is not None or hasattr(module, "_orig_mod")
        for module in model.modules()
    )
    if (held is not model or in_place) and _is_compiling():
        raise TraceError(
            f"Expected {purpose}, but this {type(model).__name__} was passed to torch.compile, which bypasses hooks: "
            f"{remedy}, "
            'or call the pipeline inside `with torch.compiler.set_stance("force_eager"):`.'
        )


def _is_compiling() -> bool:
    """Return whether compiled functions currently run compiled."""
    # torch has no function that returns the stance, but a compiled function can test whether it was compiled.
    return bool(torch.compile(torch.compiler.is_compiling, backend="eager")())
