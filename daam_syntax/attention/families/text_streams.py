"""How denoisers with joint attention carry a text through their blocks, for a text of its own stream.

A text has a residual stream: what the denoiser makes of it before the first block, and what each block makes of that.
These descriptions say how to begin it for another text than the prompt, and how to run a block with it. A block then
gets the text, and one dummy token in the place of the image, whose position and mask are those of an image token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from daam_syntax.attention.families.layouts import TokenLayout
from daam_syntax.errors import TraceError

_MULTIPLE: Final = 32  # Z-Image pads text to a multiple of this


@dataclass(frozen=True)
class TextStart:
    """A text before the first block.

    Attributes
    ----------
    states
        Its tokens, perhaps among others that the model adds. *Shape:* ``(1, token, feature)``
    first
        Number of the first token that is text.
    n_text
        Number of tokens that are text.
    rotary
        Rotary embeddings of these tokens and of the dummy, in the block's order and form; None if they are taken from
        the block's own (see `TextStream.rotary_of`).
    mask
        Mask as the block receives it; None without a mask. *Shape:* ``(1, token)``, perhaps with the dummy
    """

    states: Tensor
    first: int
    n_text: int
    rotary: Any = None
    mask: Tensor | None = None


RotaryOf = Callable[[Any, TokenLayout, TextStart], Any]
"""Returns the rotary embeddings of a text and the dummy, given the block's own, its layout, and the text."""


def own_rotary(given: Any, layout: TokenLayout, start: TextStart) -> Any:
    """Return the rotary embeddings that were made with the text."""
    return start.rotary


@dataclass(frozen=True, kw_only=True)
class TextStream:
    """How a family of denoisers carries a text through its blocks.

    Attributes
    ----------
    begin
        Returns a text before the first block, given the denoiser, the encoded text as `encode_prompt` returned it, its
        mask, and the denoiser's inputs by name.
    rotary_of
        Returns the rotary embeddings of the text and the dummy.
    tokens, text, rotary, mask
        Names of the block's arguments for pixels (or for pixels and text in one sequence), text, rotary embeddings,
        and mask; "" if it has no such argument.
    per_pixel
        Names of arguments with one entry for each pixel. *Shape:* ``(row, pixel)``
    text_output
        Which of the block's outputs is the text, if it returns pixels and text separately.
    """

    begin: Callable[[Any, Any, Tensor | None, Mapping[str, Any]], TextStart]
    rotary_of: RotaryOf = own_rotary
    tokens: str = "hidden_states"
    text: str = "encoder_hidden_states"
    rotary: str = "image_rotary_emb"
    mask: str = ""
    per_pixel: tuple[str, ...] = ()
    text_output: int = 0


def _embedded(
    denoiser: Any, text: Tensor, mask: Tensor | None, inputs: Mapping[str, Any]
) -> TextStart:
    return TextStart(denoiser.context_embedder(text), 0, text.shape[1])


def _after_registers(
    denoiser: Any, text: Tensor, mask: Tensor | None, inputs: Mapping[str, Any]
) -> TextStart:
    states = denoiser.context_embedder(text)
    registers = denoiser.register_tokens.to(states)
    return TextStart(torch.cat([registers, states], dim=1), registers.shape[1], text.shape[1])


def _masked_with_pixels(
    denoiser: Any, text: Tensor, mask: Tensor | None, inputs: Mapping[str, Any]
) -> TextStart:
    """Embed a text whose block gets a mask of text and pixels, if it gets one."""
    given = inputs.get("attention_mask")
    start = _embedded(denoiser, text, mask, inputs)
    if given is None or mask is None:
        return start
    whole = torch.cat([mask.to(given), given.new_ones(1, 1)], dim=1)
    return TextStart(start.states, 0, start.n_text, mask=whole)


def _of_same_length(
    given: tuple[Tensor, Tensor], layout: TokenLayout, start: TextStart
) -> tuple[Tensor, Tensor]:
    """Take the positions of the prompt, which has the same length, and that of the first pixel."""
    n = layout.text.stop - layout.text.start
    if n != start.n_text:
        raise TraceError(
            f"Expected a text outside the prompt (also=) as long as the prompt's embeddings, {n} tokens, whose "
            f"positions it takes, but it has {start.n_text}: pass the pipeline its prompts as text."
        )
    cosine, sine = (torch.cat([each[layout.text], each[-1:]]) for each in given)
    return cosine, sine


def _first_pixel(given: Any, layout: TokenLayout, start: TextStart) -> Any:
    """Take the position of the first pixel for the dummy, where text has no position."""
    return tuple(each[:1] for each in given)


def _projected(
    denoiser: Any, text: Tensor, mask: Tensor | None, inputs: Mapping[str, Any]
) -> TextStart:
    return TextStart(denoiser.patch_embed.text_proj(text), 0, text.shape[1])


def _projected_at_positions(
    denoiser: Any, text: Tensor, mask: Tensor | None, inputs: Mapping[str, Any]
) -> TextStart:
    """Embed a text whose positions are learned, where they are; fixed ones are 0 for text."""
    embed = denoiser.patch_embed
    states, n = embed.text_proj(text), text.shape[1]
    if embed.use_learned_positional_embeddings:
        states = states + embed.pos_embedding[:, :n].to(states)
    return TextStart(states, 0, n)


def _after_image_size(
    denoiser: Any, text: Tensor, mask: Tensor | None, inputs: Mapping[str, Any]
) -> TextStart:
    """Embed a text whose positions begin after those of the image."""
    n = text.shape[1]
    pixels, own = denoiser.pos_embed(inputs["img_shapes"], max_txt_seq_len=n, device=text.device)
    states = denoiser.txt_in(denoiser.txt_norm(text))
    return TextStart(states, 0, n, (pixels[:1], own), mask)


def _refined(
    denoiser: Any, text: Tensor, mask: Tensor | None, inputs: Mapping[str, Any]
) -> TextStart:
    """Embed and refine a text without its padding."""
    assert mask is not None, "the pipeline returns a mask with each text"
    side = denoiser.config.patch_size
    patch = inputs["hidden_states"][:1, :, :side, :side]
    _, own, _, with_pixel, *_ = denoiser.rope_embedder(patch, mask)
    states = denoiser.time_caption_embed.caption_embedder(text)
    for layer in denoiser.context_refiner:
        states = layer(states, mask, own)
    n = int(mask.sum())
    return TextStart(states[:, :n], 0, n, with_pixel)


def _padded_and_refined(
    denoiser: Any, text: Any, mask: Tensor | None, inputs: Mapping[str, Any]
) -> TextStart:
    """Embed and refine a text that is filled up to a multiple with a token of its own."""
    (features,) = text
    n = len(features)
    n_padded = n + -n % _MULTIPLE
    states = denoiser.cap_embedder(torch.cat([features, features[-1:].expand(n_padded - n, -1)]))
    states = torch.cat([states[:n], denoiser.cap_pad_token.to(states).expand(n_padded - n, -1)])[
        None
    ]
    # The dummy's position is first, then those of the text, from 1.
    positions = torch.zeros(n_padded + 1, 3, dtype=torch.int32, device=states.device)
    positions[:, 0] = torch.arange(n_padded + 1)
    positions[0, 0] = n_padded + 1
    rotary = denoiser.rope_embedder(positions)[None]
    for layer in denoiser.context_refiner:
        states = layer(states, None, rotary[:, 1:])
    return TextStart(states, 0, n, rotary)


SD3_STREAM: Final = TextStream(begin=_embedded, rotary="")
AURA_FLOW_STREAM: Final = TextStream(begin=_after_registers, rotary="")
FLUX_STREAM: Final = TextStream(begin=_embedded, rotary_of=_of_same_length)
CHROMA_STREAM: Final = TextStream(
    begin=_masked_with_pixels, rotary_of=_of_same_length, mask="attention_mask"
)
QWEN_IMAGE_STREAM: Final = TextStream(
    begin=_after_image_size, mask="encoder_hidden_states_mask", per_pixel=("modulate_index",)
)
COGVIEW_4_STREAM: Final = TextStream(
    begin=_projected, rotary_of=_first_pixel, mask="attention_mask", text_output=1
)
COG_VIDEO_X_STREAM: Final = TextStream(
    begin=_projected_at_positions, rotary_of=_first_pixel, text_output=1
)
LUMINA_2_STREAM: Final = TextStream(begin=_refined, mask="attention_mask")
Z_IMAGE_STREAM: Final = TextStream(
    begin=_padded_and_refined, tokens="x", rotary="freqs_cis", mask="attn_mask"
)
