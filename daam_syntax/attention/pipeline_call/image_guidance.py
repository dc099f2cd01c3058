"""Guidance by text and by a given image at once (InstructPix2Pix), whose batches have three rows for each image."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor


def has_image_guidance(pipe: Any) -> bool:
    """Return whether a pipeline is guided by a given image, too.

    Its rows are those of the prompts with the image, then those of the negative prompts with the image, then those of
    the negative prompts without it.
    """
    return "image_guidance_scale" in inspect.signature(type(pipe).__call__).parameters


class JointEncoding:
    """A call of `_encode_prompt`, which returns the embeddings of all rows in one tensor.

    Parameters
    ----------
    call
        The call.
    arguments
        Its arguments by name.

    Attributes
    ----------
    whole
        What it returned; None before.
    """

    def __init__(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> None:
        self.whole: Any = None
        self._call = call
        self._arguments = arguments

    def __call__(self) -> tuple[Tensor, ...]:
        """Make the call, and return the embeddings of the prompts, and then of the negative prompts, as views."""
        self.whole = self._call()
        texts = self._arguments["prompt"]
        if texts is None:
            texts = self._arguments["prompt_embeds"]
        n_texts = 1 if isinstance(texts, str) else len(texts)
        parts: tuple[Tensor, ...] = self.whole.split(
            n_texts * self._arguments["num_images_per_prompt"]
        )
        return parts[:2]
