"""Maps of text that is not in the prompt: its keys see the recorded queries, and change nothing.

The text is encoded by the same pipeline (and projected by the denoiser, as PixArt and Sana do), its keys
are projected by the same attention modules, and the pixels' queries are those of the drawing
(open-vocabulary attention maps: Marcos-Manchón et al. 2024).

The softmax is the text's own: it runs over all positions of its encoding, padding included where the model
does not mask it, as the prompt's softmax runs over the prompt's, and never over both together. A word's
probability thus depends on the words beside it: compare words within the same frame ("a photo of an animal",
"a photo of a dog"), or with the prompt itself passed in the same manner, which gives its ordinary maps.
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
def foreign_probabilities(
    text: EncodedText, module: Any, call: AttentionCall, rows: slice, *, by_head: bool
) -> Tensor:
    """Return the share of its attention that each pixel would give to each token of another text.

    Parameters
    ----------
    text
        The text.
    module
        The cross-attention.
    call
        Its call, in which the prompt's keys are.
    rows
        The rows of the batch that are drawn from the prompts.
    by_head
        Whether the heads are kept apart.

    Returns
    -------
    Tensor
        For each of the text's `positions`. *Shape:* (row, pixel, position), or (row, head, pixel, position)
    """
    mask = None
    if call.mask is not None:
        if text.mask is None:
            raise TraceError(
                "Expected attention without a mask on the text, to map text that is not in the prompt "
                "(also=), but this pipeline masks it and does not tell which tokens of another text it "
                "would: pass no mask, or trace without also=."
            )
        mask = text.mask[:, None, None]
    query = call.query[rows]
    states = text.embedded
    if module.norm_cross:
        states = module.norm_encoder_hidden_states(states)
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


def refuse_family(family: Family, denoiser: nn.Module) -> None:
    """Raise a `TraceError` for a model whose keys are not made of the text as it was encoded."""
    known = [each.name for each in FAMILIES if each.text_states is not None]
    if family.text_states is not None and not _projects_text(denoiser):
        return
    raise TraceError(
        f"Expected a model of the families {', '.join(known)}, to map text that is not "
        f"in the prompt (also=), but got {type(denoiser).__name__} of the {family.name} family: in joint "
        "attention the text changes with the picture, so that another text has no keys that would see the "
        "picture undisturbed, and what other models make of the text is not described. Draw the text as a "
        "prompt of its own, or read the picture with trace_image."
    )


def _projects_text(denoiser: Any) -> bool:
    """Whether a UNet changes the text before its attentions project it; an IP-Adapter changes pictures only."""
    if getattr(denoiser, "encoder_hid_proj", None) is None:
        return False
    has_own = getattr(denoiser, "text_encoder_hid_proj", None) is not None  # Kolors
    return denoiser.config.encoder_hid_dim_type != "ip_image_proj" or has_own


def encode_alone(pipe: Any, arguments: Mapping[str, Any], texts: Sequence[str]) -> Any:
    """Encode texts as a pipeline encoded its prompts, without guidance.

    Parameters
    ----------
    pipe
        The pipeline.
    arguments
        Those of its own call of `encode_prompt`.
    texts
        The texts.
    """
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
    # The class's method: that of the instance is being listened to.
    return type(pipe).encode_prompt(pipe, **own)
