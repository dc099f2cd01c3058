"""The type `Family`, which describes the attention of a family of models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from daam_syntax.attention.families.image_latents import PLAIN, ImageLatents
from daam_syntax.attention.families.layouts import Layout, TextRefiner
from daam_syntax.attention.families.text_streams import TextStream
from daam_syntax.attention.families.video import generates_frames
from daam_syntax.maps.selection import Grid

Guidance = Literal["unconditional-first", "conditional-first", "by-text"]
"""How to identify the conditional rows, those generated from the prompts.

``unconditional-first`` and ``conditional-first``: guidance doubles the batch, and the halves always have this order.
``by-text``: the denoiser's text input, or one half of it, is compared with the output of `encode_prompt` for the
prompts. Models that call the denoiser twice in a step for guidance need this.
"""


def everything(
    mask: Sequence[int], pipe: Any, arguments: Mapping[str, Any]
) -> Sequence[int | None]:
    """Keep all positions, including padding."""
    return list(range(len(mask)))


@dataclass(frozen=True, kw_only=True)
class TextEncoder:
    """A text encoder whose tokens are keys of the denoiser.

    Attributes
    ----------
    name
        Its name in heat maps.
    tokenizers
        Attributes of the pipeline that may hold its tokenizer; the first that exists is used.
    prompts
        Arguments of `encode_prompt` that may hold its text; the first that is given is used.
    kept
        Returns the positions of the tokenizer's output that become text keys, in order, with None for padding that the
        pipeline adds itself. Its arguments are the attention mask, the pipeline, and the arguments of `encode_prompt`.
    has_template
        Whether the pipeline writes other text around the prompt, such as an instruction or a chat template.
    """

    name: str
    tokenizers: tuple[str, ...] = ("tokenizer",)
    prompts: tuple[str, ...] = ("prompt",)
    kept: Callable[[Sequence[int], Any, Mapping[str, Any]], Sequence[int | None]] = everything
    has_template: bool = False

    def tokenizer_of(self, pipe: Any) -> Any | None:
        """Return the tokenizer; None if the pipeline was loaded without this encoder."""
        for name in self.tokenizers:
            tokenizer = getattr(pipe, name, None)
            if tokenizer is not None:
                return plain_tokenizer(tokenizer)
        return None


@dataclass(frozen=True, kw_only=True)
class Family:
    """Description of the attention of a family of text-to-image models.

    Attributes
    ----------
    name
        Its name in messages.
    denoiser_classes
        Names of classes. The denoiser is an instance of one of them, or of a subclass.
    encoders
        The text encoders whose tokens are text keys, in the order of the keys.
    is_text_attention
        Returns whether a module of the denoiser attends to the text, given its path and the module.
    layout
        The layout of text and pixels in an attention call: `cross`, `text_first`, `image_first`, or your own function
        (see `Layout`).
    guidance
        How to identify the conditional rows, see `Guidance`.
    grid
        Returns the number of rows and columns ``(y, x)`` of the pixel grid, given the pipeline, the denoiser's inputs
        by name and the number of pixel queries; None if no grid fits. Queries are ordered row by row.
    image_size
        Returns the height and width of the image in pixels, given the pipeline and the denoiser's inputs.
    denoiser
        Name of the pipeline's attribute that holds the denoiser.
    timestep
        Name of the denoiser's timestep input.
    text
        Name of the denoiser's input for the embedded text.
    second_text
        Name of its input for the embedded text of a second encoder, if that is separate; otherwise "".
    is_extra_call
        Returns whether a call of the denoiser, given its inputs, is neither conditional nor ordinary guidance. Such
        calls are ignored.
    image_latents
        How a given image becomes latents, for `trace_image`.
    no_guidance
        The pipeline's `guidance_scale` without guidance.
    text_states
        Returns the embedded text as the text attentions receive it, given the denoiser and its text input; None if
        that is unknown or depends on the image.
    text_stream
        How the denoiser carries a text through its blocks, if the text changes with the image; None if that is unknown.
    text_refiner
        Blocks of the denoiser in which the text attends to itself alone; None if there are none.
    references
        Returns the grid and the height and width in pixels of each reference image whose pixels stand beside those of
        the image, given the pipeline and the denoiser's inputs.
    frames
        Returns the numbers of the drawn frames that each latent frame becomes, given the pipeline and the denoiser's
        inputs; None for a family that generates images. The pixels of the first latent frame precede those of the
        second, and `grid` and `image_size` are those of one frame.
    pipelines
        Names of the classes of pipelines that the description is limited to, with their subclasses; all if empty.
    """

    name: str
    denoiser_classes: tuple[str, ...]
    encoders: tuple[TextEncoder, ...]
    is_text_attention: Callable[[str, nn.Module], bool]
    layout: Layout
    guidance: Guidance
    grid: Callable[[Any, Mapping[str, Any], int], Grid | None]
    image_size: Callable[[Any, Mapping[str, Any]], Grid]
    denoiser: str = "transformer"
    timestep: str = "timestep"
    text: str = "encoder_hidden_states"
    second_text: str = ""
    is_extra_call: Callable[[Mapping[str, Any]], bool] = lambda inputs: False
    image_latents: ImageLatents = PLAIN
    no_guidance: float = 1.0
    text_states: Callable[[Any, Tensor], Tensor] | None = None
    text_stream: TextStream | None = None
    text_refiner: TextRefiner | None = None
    references: Callable[[Any, Mapping[str, Any]], Sequence[tuple[Grid, Grid]]] = (
        lambda pipe, inputs: ()
    )
    frames: Callable[[Any, Mapping[str, Any]], Sequence[range]] | None = None
    pipelines: tuple[str, ...] = ()

    def denoiser_of(self, pipe: Any) -> nn.Module:
        """Return the denoiser of a pipeline, unwrapped if it was passed to `torch.compile`."""
        return uncompiled(getattr(pipe, self.denoiser))

    def describes(self, pipe: Any) -> bool:
        """Return whether the description covers a pipeline: its denoiser, its class, and what it generates."""
        denoiser = uncompiled(getattr(pipe, self.denoiser, None))
        if class_names(denoiser).isdisjoint(self.denoiser_classes):
            return False
        if self.frames is None and generates_frames(pipe):
            return False
        return not self.pipelines or not class_names(pipe).isdisjoint(self.pipelines)

    def conditional_rows(self, n_rows: int, n_images: int) -> slice | None:
        """Return the conditional rows of the denoiser's batch, by their order.

        Parameters
        ----------
        n_rows
            Rows in the batch.
        n_images
            Images in the pipeline call.

        Returns
        -------
        slice or None
            The rows; None unless `n_rows` is `n_images` or twice that.
        """
        if n_rows == n_images:
            return slice(0, n_images)
        if n_rows != 2 * n_images:
            return None
        if self.guidance == "unconditional-first":
            return slice(n_images, n_rows)
        return slice(0, n_images)


def plain_tokenizer(given: Any) -> Any:
    """Return the tokenizer of a processor, or a tokenizer itself, which may hold another object (ChatGLM's does)."""
    if hasattr(given, "convert_ids_to_tokens"):
        return given
    return getattr(given, "tokenizer", given)


def uncompiled(module: Any) -> Any:
    """Return the module that was passed to `torch.compile`; any other value unchanged."""
    return getattr(module, "_orig_mod", module)


def class_names(value: object) -> set[str]:
    """Return the names of the class of a value and of its superclasses."""
    return {cls.__name__ for cls in type(value).__mro__}


def ends_with(*endings: str) -> Callable[[str, nn.Module], bool]:
    """Return a test of whether an attention module's path has one of these endings."""
    return lambda path, module: path.endswith(endings) and hasattr(module, "get_processor")


def is_cross_attention(path: str, module: nn.Module) -> bool:
    """Return whether diffusers marks a module as cross-attention."""
    return hasattr(module, "get_processor") and bool(getattr(module, "is_cross_attention", False))
