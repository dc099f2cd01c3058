"""Why an attention could not be heard, said so that the user can mend it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NoReturn

import torch
from torch import nn

from daam_syntax.attention.pipeline_call.token_spans import Reading
from daam_syntax.attention.softmax.probabilities import AttentionCall
from daam_syntax.errors import TraceError

_CLASSIC: Final = ("AttnProcessor", "AttnAddedKVProcessor", "CustomDiffusionAttnProcessor")


def refuse_silent_attention(
    path: str,
    module: nn.Module,
    calls: Sequence[AttentionCall],
    *,
    keys: str,
    denoiser: str,
) -> NoReturn:
    """Raise a `TraceError` for an attention that made no call with the keys that were expected.

    Parameters
    ----------
    path, module
        The attention.
    calls
        The calls it did make.
    keys
        What it was expected to attend to.
    denoiser
        The pipeline's attribute that holds the denoiser.
    """
    processor = type(module.get_processor()).__name__  # type: ignore[operator]
    fused = "AttnAddedKVProcessor2_0" if "AddedKV" in processor else "AttnProcessor2_0"
    modern = f"pipe.{denoiser}.set_attn_processor({fused}())"
    if calls:
        lengths = ", ".join(str(call.key.shape[-2]) for call in calls)
        cause = f"its {processor} attended to {lengths} keys"
        remedy = "this model needs a Family of its own that says which keys are text"
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
        remedy = f"choose the native attention backend, {native}, or a processor that calls it"
    raise TraceError(f"Expected {path} to attend to {keys}, but {cause}. What to do: {remedy}.")


def refuse_replaced_text(pipe: Any, prompts: Sequence[str], heard: Sequence[Reading]) -> NoReturn:
    """Raise a `TraceError` for a pipeline that has its encoder read something else than the prompts.

    Parameters
    ----------
    pipe
        The pipeline.
    prompts
        What it was given.
    heard
        What the tokenizer read.
    """
    read = ", ".join(repr(reading.text) for reading in heard[: len(prompts)])
    raise TraceError(
        f"Expected the pipeline to read the prompts {', '.join(map(repr, prompts))} as they stand, but "
        f"{type(pipe).__name__} turns them into {read} (a textual inversion of several vectors, or "
        "cleaning): write the prompts in that form, or pass clean_caption=False where it is offered."
    )


def refuse_compiled(denoiser: nn.Module, held: Any) -> None:
    """Raise a `TraceError` if a denoiser would run compiled.

    Parameters
    ----------
    denoiser
        The model itself.
    held
        What the pipeline holds, perhaps the compiled wrapper around the model.
    """
    in_place = any(
        getattr(module, "_compiled_call_impl", None) is not None or hasattr(module, "_orig_mod")
        for module in denoiser.modules()
    )
    if (held is not denoiser or in_place) and _is_compiling():
        raise TraceError(
            f"Expected to hear every attention, but this {type(denoiser).__name__} was handed to "
            "torch.compile, which leaves hooks out. What to do: trace before compiling, or draw "
            'inside `with torch.compiler.set_stance("force_eager"):`.'
        )


def _is_compiling() -> bool:
    """Whether something that was handed to `torch.compile` runs compiled just now."""
    # The stance cannot be read, but a compiled function knows whether it was compiled.
    return bool(torch.compile(torch.compiler.is_compiling, backend="eager")())
