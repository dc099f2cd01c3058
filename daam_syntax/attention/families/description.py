"""The type of a description."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from daam_syntax.attention.families.grids import Size
from daam_syntax.attention.families.image_latents import PLAIN, PictureLatents
from daam_syntax.attention.families.layouts import Layout

Guidance = Literal["unconditional-first", "conditional-first", "by-text"]
"""How the rows that are drawn from the prompts are told from unconditional ones.

``unconditional-first`` and ``conditional-first``: guidance doubles the batch, and the order of the
halves is always the same. ``by-text``: the text that the denoiser is given, all of it or one half,
is compared with what `encode_prompt` returned for the prompts; so it is with models that guide by
calling the denoiser twice in a step.
"""


def everything(
    mask: Sequence[int], pipe: Any, arguments: Mapping[str, Any]
) -> Sequence[int | None]:
    """Keep all positions, padding included."""
    return list(range(len(mask)))


@dataclass(frozen=True, kw_only=True)
class TextEncoder:
    """A text encoder whose tokens are keys of the denoiser.

    Attributes
    ----------
    name
        What it is called in heat maps.
    tokenizers
        The pipeline's attributes that may hold its tokenizer; the first that is there counts.
    prompts
        Arguments of `encode_prompt` that may hold its text; the first that is given counts.
    kept
        Which positions of the tokenizer's output become text keys, in order, given its attention
        mask, the pipeline, and the arguments of `encode_prompt`; None for padding that the pipeline
        adds itself.
    """

    name: str
    tokenizers: tuple[str, ...] = ("tokenizer",)
    prompts: tuple[str, ...] = ("prompt",)
    kept: Callable[[Sequence[int], Any, Mapping[str, Any]], Sequence[int | None]] = everything

    def tokenizer_of(self, pipe: Any) -> Any | None:
        """Return the tokenizer, or None if the pipeline was loaded without this encoder."""
        for name in self.tokenizers:
            tokenizer = getattr(pipe, name, None)
            if tokenizer is not None:
                return getattr(tokenizer, "tokenizer", tokenizer)  # a processor holds its own
        return None


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of text-to-image models, as far as its attention is concerned.

    Attributes
    ----------
    name
        What it is called in messages.
    denoiser_classes
        Names of the classes the denoiser may have (or inherit from).
    encoders
        The text encoders whose tokens are text keys, in the order of the keys.
    is_text_attention
        Whether a module of the denoiser, given its path and itself, attends to the text.
    layout
        How text and pixels are laid out in an attention call: `cross`, `text_first`, `image_first`,
        or a function of your own (see `Layout`).
    guidance
        How the rows that are drawn from the prompts are told from unconditional ones.
    grid
        Number of rows and columns (y, x) of the pixel grid, from the pipeline, the denoiser's
        inputs by name and the number of pixel queries; None if no grid fits. Queries run row by
        row.
    image_size
        Height and width in image pixels, from the pipeline and the denoiser's inputs.
    denoiser
        The pipeline's attribute that holds the denoiser.
    timestep
        Name of the denoiser's input that is the timestep.
    text
        Name of the denoiser's input that is the embedded text.
    is_extra_call
        Whether a call of the denoiser, given its inputs, is part of neither the drawing from the
        prompts nor ordinary guidance. Such calls are left out.
    picture
        How a given picture becomes latents, for `trace_image`.
    no_guidance
        The pipeline's `guidance_scale` without guidance.
    text_states
        What the denoiser makes of embedded text before its text attentions project it to keys, from the
        denoiser and the text; None where that is not known, or depends on the picture.
    """

    name: str
    denoiser_classes: tuple[str, ...]
    encoders: tuple[TextEncoder, ...]
    is_text_attention: Callable[[str, nn.Module], bool]
    layout: Layout
    guidance: Guidance
    grid: Callable[[Any, Mapping[str, Any], int], Size | None]
    image_size: Callable[[Any, Mapping[str, Any]], Size]
    denoiser: str = "transformer"
    timestep: str = "timestep"
    text: str = "encoder_hidden_states"
    is_extra_call: Callable[[Mapping[str, Any]], bool] = lambda inputs: False
    picture: PictureLatents = PLAIN
    no_guidance: float = 1.0
    text_states: Callable[[Any, Tensor], Tensor] | None = None

    def denoiser_of(self, pipe: Any) -> nn.Module:
        """Return a pipeline's denoiser, also if it was handed to `torch.compile`."""
        denoiser: nn.Module = getattr(pipe, self.denoiser)
        return getattr(denoiser, "_orig_mod", denoiser)

    def conditional_rows(self, n_rows: int, n_images: int) -> slice | None:
        """Say which rows of the denoiser's batch are drawn from the prompts, by their order.

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
        if self.guidance == "unconditional-first":
            return slice(n_images, n_rows)
        return slice(0, n_images)


def ends_with(*endings: str) -> Callable[[str, nn.Module], bool]:
    """Take a module for a text attention if its path ends with one of these."""
    return lambda path, module: path.endswith(endings) and hasattr(module, "get_processor")


def is_cross_attention(path: str, module: nn.Module) -> bool:
    """Take a module for a text attention if diffusers calls it a cross-attention."""
    return hasattr(module, "get_processor") and bool(getattr(module, "is_cross_attention", False))
