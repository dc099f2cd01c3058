"""What a trace must know about a family of models, written down as a description.

A new family is a new `Family` in `FAMILIES`; no other code knows one family from another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from torch import nn

from daam_syntax.errors import TraceError

Layout = Literal["cross", "text-first", "image-first"]
"""How the keys of an attention call are laid out.

``cross``: the queries are the pixels, the keys are the text. In joint attention, queries and keys
are both text and pixels: ``text-first`` or ``image-first``.
"""

GuidanceRows = Literal["unconditional-first", "conditional-first"]
"""Which half of a guided batch is which."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of text-to-image models, as far as its attention is concerned.

    Attributes
    ----------
    name
        What it is called in messages.
    denoiser
        The pipeline's attribute that holds the denoiser.
    denoiser_classes
        Names of the classes the denoiser may have (or inherit from).
    tokenizers
        The pipeline's attributes that may hold the tokenizer whose tokens the text keys are; the
        first that is there counts.
    is_text_attention
        Whether a module of the denoiser, given its path and itself, attends to the text.
    layout
        How text and pixels are laid out in an attention call.
    guidance_rows
        The order of the rows in a guided batch.
    grid
        Number of rows and columns (y, x) of the pixel grid, from the denoiser's inputs by name and
        the number of pixel queries; None if no grid fits. Queries run row by row.
    image_size
        Height and width in image pixels, from the pipeline and the denoiser's inputs.
    timestep
        Name of the denoiser's input that is the timestep.
    """

    name: str
    denoiser: str
    denoiser_classes: tuple[str, ...]
    tokenizers: tuple[str, ...]
    is_text_attention: Callable[[str, nn.Module], bool]
    layout: Layout
    guidance_rows: GuidanceRows
    grid: Callable[[Mapping[str, Any], int], tuple[int, int] | None]
    image_size: Callable[[Any, Mapping[str, Any]], tuple[int, int]]
    timestep: str = "timestep"

    def denoiser_of(self, pipe: Any) -> nn.Module:
        """Return a pipeline's denoiser, also if it was handed to `torch.compile`."""
        denoiser: nn.Module = getattr(pipe, self.denoiser)
        return getattr(denoiser, "_orig_mod", denoiser)

    def tokenizer_of(self, pipe: Any) -> Any:
        """Return the tokenizer whose tokens the text keys are."""
        for name in self.tokenizers:
            tokenizer = getattr(pipe, name, None)
            if tokenizer is not None:
                return tokenizer
        raise TraceError(
            f"Expected {type(pipe).__name__} to have a tokenizer ({' or '.join(self.tokenizers)}), "
            "but it has none: load the pipeline with its tokenizer."
        )

    def split(self, n_queries: int, n_keys: int, n_text: int) -> tuple[slice, slice] | None:
        """Say which queries are pixels and which keys are text.

        Parameters
        ----------
        n_queries, n_keys
            Sizes of an attention call.
        n_text
            Length of the text as the pipeline embedded it.

        Returns
        -------
        tuple[slice, slice] or None
            The pixel queries and the text keys; None if the call is not between pixels and this
            text.
        """
        if self.layout == "cross":
            return (slice(0, n_queries), slice(0, n_keys)) if n_keys == n_text else None
        if n_queries != n_keys or n_keys <= n_text:
            return None
        n_pixels = n_keys - n_text
        if self.layout == "text-first":
            return slice(n_text, n_keys), slice(0, n_text)
        return slice(0, n_pixels), slice(n_pixels, n_keys)

    def conditional_rows(self, n_rows: int, n_images: int) -> slice | None:
        """Say which rows of the denoiser's batch are drawn from the prompts.

        Parameters
        ----------
        n_rows
            Rows in the batch.
        n_images
            Images that are being drawn.

        Returns
        -------
        slice or None
            The rows; None unless there are as many rows as images, or twice as many.
        """
        if n_rows == n_images:
            return slice(0, n_images)
        if n_rows != 2 * n_images:
            return None
        if self.guidance_rows == "unconditional-first":
            return slice(n_images, n_rows)
        return slice(0, n_images)


def _is_cross_attention(path: str, module: nn.Module) -> bool:
    return hasattr(module, "get_processor") and bool(getattr(module, "is_cross_attention", False))


def halved_grid(size: tuple[int, int], n_queries: int) -> tuple[int, int] | None:
    """Halve a grid, rounding up, until it has as many cells as there are queries.

    This is what the strided convolutions between a UNet's levels do to the latents.

    Parameters
    ----------
    size
        Height and width of the latents.
    n_queries
        The number of cells that is wanted.

    Returns
    -------
    tuple[int, int] or None
        Height and width of the grid; None if no number of halvings gives that many cells.
    """
    height, width = size
    while height * width > n_queries:
        height, width = -(-height // 2), -(-width // 2)
    return (height, width) if height * width == n_queries else None


def _latent_size(inputs: Mapping[str, Any]) -> tuple[int, int]:
    height, width = inputs["sample"].shape[-2:]
    return int(height), int(width)


def _unet_grid(inputs: Mapping[str, Any], n_queries: int) -> tuple[int, int] | None:
    return halved_grid(_latent_size(inputs), n_queries)


def _unet_image_size(pipe: Any, inputs: Mapping[str, Any]) -> tuple[int, int]:
    height, width = _latent_size(inputs)
    return height * pipe.vae_scale_factor, width * pipe.vae_scale_factor


UNET: Final = Family(
    name="UNet",
    denoiser="unet",
    denoiser_classes=("UNet2DConditionModel",),
    # SDXL's second encoder is joined on the features, so both have the same positions.
    tokenizers=("tokenizer", "tokenizer_2"),
    is_text_attention=_is_cross_attention,
    layout="cross",
    guidance_rows="unconditional-first",
    grid=_unet_grid,
    image_size=_unet_image_size,
)
"""Stable Diffusion 1 and 2, SDXL, LCM and Turbo models, and their variants on the same UNet."""

FAMILIES: list[Family] = [UNET]
"""The families that can be traced. Append a description to add one."""


def family_of(pipe: Any) -> Family:
    """Find the family of a pipeline.

    Parameters
    ----------
    pipe
        A diffusers pipeline.

    Returns
    -------
    Family
        The first of `FAMILIES` whose denoiser the pipeline has.

    Raises
    ------
    TraceError
        If no description fits.
    """
    for family in FAMILIES:
        if getattr(pipe, family.denoiser, None) is None:
            continue
        classes = {cls.__name__ for cls in type(family.denoiser_of(pipe)).__mro__}
        if classes.intersection(family.denoiser_classes):
            return family
    denoisers = [
        f"{name}: {type(module).__name__}"
        for name in ("unet", "transformer", "prior")
        if (module := getattr(pipe, name, None)) is not None
    ]
    known = ", ".join(name for family in FAMILIES for name in family.denoiser_classes)
    raise TraceError(
        f"Expected a text-to-image pipeline with one of these denoisers: {known}; but got "
        f"{type(pipe).__name__} ({', '.join(denoisers) or 'no denoiser'}). To trace it, describe "
        "its family: append a daam_syntax.attention.Family to daam_syntax.attention.FAMILIES that "
        "says where its denoiser and tokenizer are, which modules attend to text, and how their "
        "keys and pixels are laid out."
    )
