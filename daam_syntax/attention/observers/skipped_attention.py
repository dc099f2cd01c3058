"""Errors for attention that does not run in every step, and for pipelines that use the denoiser in other ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn

from torch import Tensor, nn

from daam_syntax.errors import TraceError

_SKIPPING: Final[Mapping[str, str]] = {
    "faster_cache": "FasterCache reuses attention of earlier steps",
    "first_block_cache": "FirstBlockCache skips blocks if the first one changes little",
    "layer_skip": "layer skipping leaves out blocks or their attention",
    "mag_cache": "MagCache skips blocks in some steps",
    "pyramid_attention_broadcast": "Pyramid Attention Broadcast reuses attention of earlier steps",
    "sea_cache": "SeaCache skips blocks in some steps",
    "smoothed_energy_guidance_utils": "smoothed energy guidance blurs queries",
    "taylorseer_cache": "TaylorSeer predicts the attention of some steps",
}
"""What each module of diffusers.hooks does to attention that would be recorded."""

_PIPELINES: Final[Mapping[str, tuple[str, str]]] = {
    "StableDiffusionSAGPipeline": (
        "calls the UNet once more in each step, with degraded latents",
        "StableDiffusionPipeline",
    ),
    "StableDiffusionPanoramaPipeline": (
        "calls the UNet on overlapping tiles of the image",
        "StableDiffusionPipeline",
    ),
}
"""Pipelines of diffusers with the calls that they make, and a pipeline with the same components."""


def refuse_pipeline(pipe: Any) -> None:
    """Raise a `TraceError` for a pipeline whose denoiser calls are not one per step."""
    for cls in type(pipe).__mro__:
        if cls.__name__ in _PIPELINES:
            calls, other = _PIPELINES[cls.__name__]
            raise TraceError(
                f"Expected a pipeline that denoises the whole image once in each step, but {cls.__name__} {calls}, so "
                f"its steps cannot be averaged: trace {other}.from_pipe(pipe), which has the same components."
            )


def refuse_skipping(denoiser: nn.Module, name: str) -> None:
    """Raise a `TraceError` if hooks of diffusers skip or reuse attention of a denoiser.

    Parameters
    ----------
    denoiser
        The denoiser.
    name
        Name of the pipeline's attribute that holds it.
    """
    hooks = {hook: module for hook, module in _hooks(denoiser) if module in _SKIPPING}
    if not hooks:
        return
    if getattr(denoiser, "is_cache_enabled", False):
        remedy = f"call pipe.{name}.disable_cache()"
    else:
        registry = f"diffusers.hooks.HookRegistry.check_if_exists_or_initialize(pipe.{name})"
        remedy = "remove its hooks: " + "; ".join(
            f"{registry}.remove_hook({hook!r}, recurse=True)" for hook in hooks
        )
    causes = " and ".join(dict.fromkeys(_SKIPPING[module] for module in hooks.values()))
    raise TraceError(
        f"Expected the attention of every layer in every step, but {causes}, so layers would be averaged over "
        f"different steps: {remedy}."
    )


def _hooks(denoiser: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield the name of each hook of diffusers on a model or its modules, with the name of the hook's own module."""
    for module in denoiser.modules():
        registry = getattr(module, "_diffusers_hook", None)
        for name, hook in getattr(registry, "hooks", {}).items():
            yield name, type(hook).__module__.rpartition(".")[2]


def refuse_missing(
    missing: Sequence[str], n_expected: int, kind: str, *, step: int, selects_steps: bool
) -> NoReturn:
    """Raise a `TraceError` for attentions that did not run in a step.

    Parameters
    ----------
    missing
        Their paths.
    n_expected
        Number of attentions that should have run.
    kind
        What they are.
    step
        Number of the step.
    selects_steps
        Whether the steps to record can be chosen.
    """
    remedy = (
        'start before torch.compile, or inside torch.compiler.set_stance("force_eager"), and switch off caches that '
        "skip blocks"
    )
    if selects_steps and step > 0:
        remedy += f", or record only the steps before, trace(..., steps=slice(0, {step}))"
    raise TraceError(
        f"Expected to observe {n_expected} {kind} in step {step}, but these were not called: {', '.join(missing)}. "
        f"Blocks that are compiled, replaced or skipped cannot be observed: {remedy}."
    )


def refuse_tiles(pipe: Any, prepared: tuple[int, ...] | None, inputs: Mapping[str, Any]) -> None:
    """Raise a `TraceError` if a denoiser receives a part of the latents that its pipeline prepared.

    Parameters
    ----------
    pipe
        The pipeline.
    prepared
        Height and width of the latents ``(row, channel, y, x)`` that it prepared; None if they have other axes.
    inputs
        The denoiser's inputs by name.
    """
    latents = inputs.get("sample", inputs.get("hidden_states"))
    if prepared is None or not isinstance(latents, Tensor) or latents.ndim != 4:
        return
    size = tuple(latents.shape[-2:])
    if size != prepared:
        raise TraceError(
            f"Expected latents of {prepared[0]}x{prepared[1]} (height x width), as {type(pipe).__name__} prepared "
            f"them, but its denoiser got {size[0]}x{size[1]}: this pipeline divides the image, so its maps would be "
            "those of a part: use a pipeline that denoises the whole image at once."
        )
