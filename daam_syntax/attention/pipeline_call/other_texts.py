"""Maps of text outside the prompt, whose keys see the queries of the images and change nothing.

This module is about cross-attention; texts in joint attention have streams of their own, see
`daam_syntax.attention.recording.concept_streams`. The same pipeline encodes the text, and the same attention modules
project it to keys, after the denoiser's own projection in PixArt and Sana. The queries are those of the generated
images (open-vocabulary attention maps: Marcos-Manchón et al. 2024).

Each text has a softmax of its own. It runs over all positions of the text's encoding, including padding that the model
does not mask, as the prompt's softmax does over the prompt's positions. The two are never combined. A word's
probability therefore depends on the words beside it: compare words within the same frame ("a photo of an animal", "a
photo of a dog"), or with the prompt passed as another text, which gives its ordinary maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from daam_syntax.attention.families import FAMILIES, Family
from daam_syntax.attention.pipeline_call.call import EncodedText
from daam_syntax.attention.softmax.probabilities import AttentionCall, text_probabilities
from daam_syntax.errors import TraceError


@torch.no_grad()
def embed_for_attention(text: EncodedText, family: Family, denoiser: nn.Module) -> None:
    """Project an encoded text as the denoiser does before its text attentions.

    It has to be called while the denoiser runs: offloaded weights are on the device only then.
    """
    if text.embedded is None:
        assert family.text_states is not None, "other families are refused beforehand"
        text.embedded = family.text_states(denoiser, text.encoded)


@torch.no_grad()
def other_text_probabilities(
    text: EncodedText, module: Any, call: AttentionCall, rows: slice, *, by_head: bool
) -> Tensor:
    """Return the probability with which each pixel would attend to each token of another text.

    Parameters
    ----------
    text
        The text.
    module
        The cross-attention module.
    call
        The module's attention call with the prompt.
    rows
        The conditional rows of the batch.
    by_head
        Whether to return each attention head instead of their mean.

    Returns
    -------
    Tensor
        Probabilities for each of the text's `positions`. *Shape:* ``(row, pixel, position)``, or ``(row, head,
        pixel, position)``

    Raises
    ------
    TraceError
        If the call is masked, but the mask of the text is unknown.
    """
    mask, query = None, call.query[rows]
    if call.mask is not None:
        if text.mask is None:
            raise TraceError(
                "Expected text attention without a mask, to map text outside the prompt (also=), but this pipeline "
                "masks the text and does not return a mask for another one: pass no mask, or trace without also=."
            )
        mask = text.mask[:, None, None].to(query.device)
    states = _states(text, module, query.device)
    key = module.to_k(states)
    norm = module.norm_k
    is_across_heads = norm is not None and norm.weight.shape[-1] == key.shape[-1]
    if is_across_heads:
        key = norm(key)
    key = key.unflatten(-1, (query.shape[1], -1)).transpose(1, 2)
    if norm is not None and not is_across_heads:
        key = norm(key)
    key = key.expand(query.shape[0], -1, -1, -1)
    own = AttentionCall(query, key, mask=mask, scale=call.scale)
    return text_probabilities(own, tokens=text.positions, by_head=by_head)


def other_text_values(text: EncodedText, module: Any, call: AttentionCall, rows: slice) -> Tensor:
    """Return the values of another text's recorded tokens, *shape* ``(row, head, position, feature)``."""
    query = call.query[rows]
    value = module.to_v(_states(text, module, query.device))
    value = value.unflatten(-1, (query.shape[1], -1)).transpose(1, 2)
    return value[:, :, text.positions].expand(query.shape[0], -1, -1, -1)


def _states(text: EncodedText, module: Any, device: torch.device) -> Tensor:
    """Return a text as a cross-attention projects it."""
    states: Tensor = text.embedded.to(device)  # a model may be spread over several devices
    has_norm = getattr(module, "norm_cross", None)
    return module.norm_encoder_hidden_states(states) if has_norm else states


def refuse_family(family: Family, denoiser: nn.Module) -> None:
    """Raise a `TraceError` for a model whose text keys are not a projection of the encoded text."""
    if family.text_stream is not None:
        return
    if family.text_states is not None and not _projects_text(denoiser):
        return
    known = [each.name for each in FAMILIES if each.text_states or each.text_stream]
    raise TraceError(
        f"Expected a model of the families {', '.join(known)}, to map text outside the prompt (also=), but got "
        f"{type(denoiser).__name__} of the {family.name} family: it transforms the text before its attentions in a way "
        "that daam-syntax does not know. Use the text as a prompt of its own, or read the image with trace_image."
    )


def _projects_text(denoiser: Any) -> bool:
    """Return whether a UNet projects the text before its attentions do; an IP-Adapter projects images only."""
    if getattr(denoiser, "encoder_hid_proj", None) is None:
        return False
    has_own = getattr(denoiser, "text_encoder_hid_proj", None) is not None  # Kolors
    return denoiser.config.encoder_hid_dim_type != "ip_image_proj" or has_own


def encode_alone(pipe: Any, arguments: Mapping[str, Any], texts: Sequence[str]) -> Any:
    """Encode texts in the same way as a pipeline encoded its prompts, without guidance.

    Parameters
    ----------
    pipe
        The pipeline.
    arguments
        Arguments of the pipeline's own call of `encode_prompt`.
    texts
        The texts.

    Raises
    ------
    TraceError
        If the pipeline cannot encode a text alone.
    """
    encode = getattr(type(pipe), "encode_prompt", None)
    if encode is None:
        raise TraceError(
            f"Expected a pipeline with encode_prompt, to encode a text beside the prompts, but {type(pipe).__name__} "
            "encodes them with its negative prompts at once: pass it its prompts as text, and trace without also=..."
        )
    own = {
        name: None if name.startswith(("prompt", "negative", "pooled")) else value
        for name, value in arguments.items()
    }
    plain = {
        "prompt": list(texts),
        "num_images_per_prompt": 1,
        "do_classifier_free_guidance": False,
    }
    own |= {name: value for name, value in plain.items() if name in own}
    # The method of the class, because that of the instance is wrapped.
    return encode(pipe, **own)
