"""The list of families, and finding the family of a pipeline."""

from __future__ import annotations

from os import PathLike
from typing import Any

from torch import nn

from daam_syntax.attention.families.cross_attention import (
    HUNYUAN_DIT,
    LUMINA_NEXT,
    PIXART,
    PRX,
    SANA,
)
from daam_syntax.attention.families.description import (
    Family,
    TextEncoder,
    is_cross_attention,
    uncompiled,
)
from daam_syntax.attention.families.grids import halvings, latents_decoded
from daam_syntax.attention.families.joint_attention import (
    AURA_FLOW,
    CHROMA,
    COGVIEW_4,
    FLUX,
    FLUX_2,
    LUMINA_2,
    QWEN_IMAGE,
    SD3,
    Z_IMAGE,
)
from daam_syntax.attention.families.layouts import cross
from daam_syntax.attention.families.unets import KANDINSKY_3, UNET
from daam_syntax.attention.families.video import generates_frames
from daam_syntax.attention.families.video_models import COG_VIDEO_X, WAN
from daam_syntax.errors import TraceError
from daam_syntax.util.arguments.checks import checked

FAMILIES: list[Family] = [
    UNET,
    KANDINSKY_3,
    PIXART,
    SANA,
    HUNYUAN_DIT,
    PRX,
    LUMINA_NEXT,
    SD3,
    AURA_FLOW,
    FLUX,
    CHROMA,
    FLUX_2,
    QWEN_IMAGE,
    COGVIEW_4,
    LUMINA_2,
    Z_IMAGE,
    WAN,
    COG_VIDEO_X,
]
"""The families that can be traced; `register_family` adds one."""

_DENOISERS = ("unet", "transformer", "prior")


def register_family(family: Family) -> Family:
    """Register a family of models, so `trace` supports its pipelines.

    The family that was registered last takes precedence, including over built-in ones.

    Parameters
    ----------
    family
        The description.

    Returns
    -------
    Family
        `family` itself.

    Examples
    --------
    A transformer in which text precedes pixels, with guidance in a second call:

    >>> from daam_syntax.attention import Family, TextEncoder, families, register_family
    >>> family = register_family(
    ...     Family(
    ...         name="My model",
    ...         denoiser_classes=("MyTransformer2DModel",),
    ...         encoders=(TextEncoder(name="t5"),),
    ...         is_text_attention=lambda path, module: path.endswith(".attn"),
    ...         layout=families.text_first,
    ...         guidance="by-text",
    ...         grid=lambda pipe, inputs, n_pixels: tuple(
    ...             n // 2 for n in inputs["hidden_states"].shape[-2:]
    ...         ),
    ...         image_size=lambda pipe, inputs: tuple(
    ...             8 * n for n in inputs["hidden_states"].shape[-2:]
    ...         ),
    ...     )
    ... )
    >>> families.FAMILIES.remove(family)
    """
    FAMILIES.insert(0, family)
    return family


@checked
def family_of(pipe: Any) -> Family:
    """Return the family of a pipeline.

    Parameters
    ----------
    pipe
        A diffusers pipeline.

    Returns
    -------
    Family
        The first of `FAMILIES` that describes the pipeline. For another denoiser with diffusers' plain cross-attention,
        a generic description.

    Raises
    ------
    TraceError
        If no description fits, and the denoiser has no plain cross-attention, or the pipeline generates the frames of
        a video.
    """
    if isinstance(pipe, str | PathLike):
        raise TraceError(
            f"Expected a diffusers pipeline, but got {str(pipe)!r}; load it first, with "
            f"load_pipeline({str(pipe)!r})."
        )
    for family in FAMILIES:
        if family.describes(pipe):
            return family
    if generates_frames(pipe):
        described = [name for family in FAMILIES if family.frames for name in family.pipelines]
        raise TraceError(
            "Expected a pipeline whose pixels are those of one image, or a described one of videos "
            f"({', '.join(described)}), but {type(pipe).__name__} generates the frames of a video, and how it divides "
            "its queries into frames is not known: use one of docs/models.md, or register a Family that describes the "
            "frames."
        )
    return _unknown_family(pipe)


def _unknown_family(pipe: Any) -> Family:
    """Return a generic description of a denoiser with plain cross-attention, or refuse it."""
    for name in _DENOISERS:
        module = uncompiled(getattr(pipe, name, None))
        if isinstance(module, nn.Module) and any(
            is_cross_attention(path, each) for path, each in module.named_modules()
        ):
            return _plain(name, type(module).__name__)
    denoisers = [
        f"{name}: {type(module).__name__}"
        for name in _DENOISERS
        if (module := getattr(pipe, name, None)) is not None
    ]
    known = ", ".join(name for family in FAMILIES for name in family.denoiser_classes)
    raise TraceError(
        "Expected a text-to-image pipeline with plain cross-attention, or with one of these "
        f"denoisers: {known}; but got {type(pipe).__name__} ({', '.join(denoisers) or 'no denoiser'}). "
        "To trace it, describe its family: pass daam_syntax.attention.register_family a "
        "daam_syntax.attention.Family with its denoiser and tokenizers, the modules that attend to text, "
        "the layout of their keys and pixels, and how guidance is done."
    )


def _plain(denoiser: str, denoiser_class: str) -> Family:
    """Describe an unknown model with plain cross-attention, without assumptions about its guidance."""
    return Family(
        name=denoiser_class,
        denoiser=denoiser,
        denoiser_classes=(denoiser_class,),
        encoders=(TextEncoder(name="text", has_template=True),),
        is_text_attention=is_cross_attention,
        layout=cross,
        guidance="by-text",
        grid=halvings,
        image_size=latents_decoded,
    )
