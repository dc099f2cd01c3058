"""Errors for attention that cannot be observed, with the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NoReturn

import torch
from torch import nn

from daam_syntax.attention.pipeline_call.token_spans import Reading
from daam_syntax.attention.softmax.probabilities import AttentionCall
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
    pipe: Any, prompts: Sequence[str], readings: Sequence[Reading]
) -> NoReturn:
    """Raise a `TraceError` for a pipeline whose text encoder reads another text than the prompts.

    Parameters
    ----------
    pipe
        The pipeline.
    prompts
        The prompts that it was given.
    readings
        The tokenizer's readings.
    """
    read = ", ".join(repr(reading.text) for reading in readings[: len(prompts)])
    raise TraceError(
        f"Expected the pipeline to pass the prompts {', '.join(map(repr, prompts))} to its tokenizer unchanged, "
        f"but {type(pipe).__name__} changes them to {read} (a textual inversion of several vectors, or cleaning): "
        "write the prompts in that form, or pass clean_caption=False if the pipeline accepts it."
    )


def refuse_compiled(denoiser: nn.Module, held: Any) -> None:
    """Raise a `TraceError` if a denoiser would run compiled.

    Parameters
    ----------
    denoiser
        The model itself.
    held
        The pipeline's attribute, which may be the compiled wrapper around the model.
    """
    in_place = any(
        getattr(module, "_compiled_call_impl", None) is not None or hasattr(module, "_orig_mod")
        for module in denoiser.modules()
    )
    if (held is not denoiser or in_place) and _is_compiling():
        raise TraceError(
            f"Expected to observe every attention call, but this {type(denoiser).__name__} was passed to "
            "torch.compile, which bypasses hooks: trace before compiling, "
            'or call the pipeline inside `with torch.compiler.set_stance("force_eager"):`.'
        )


def _is_compiling() -> bool:
    """Return whether compiled functions currently run compiled."""
    # torch has no function that returns the stance, but a compiled function can test whether it was compiled.
    return bool(torch.compile(torch.compiler.is_compiling, backend="eager")())
