"""Where edits of the text's states enter a pipeline call: between `encode_prompt` and everything that follows it.

All observers of a model see the text that its images are drawn from, in whatever order they are attached, because the
innermost one lets the edits be made and the others pass the result on.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from torch import nn

from daam_syntax.attention.pipeline_call.call import EncodedText, TextBlock


@dataclass(frozen=True)
class EncodeCall:
    """A call of `encode_prompt` that encoded the prompts.

    Attributes
    ----------
    arguments
        Its arguments by name.
    result
        What it returned.
    prompts
        The prompts, in order.
    blocks
        The tokens of the text encoders that ran in this call; each starts at its place in the result.
    left_out
        Reasons by encoder, for those that read another text.
    encode
        Encodes another text in the same way, without guidance.
    """

    arguments: Mapping[str, Any]
    result: Any
    prompts: tuple[str, ...]
    blocks: tuple[TextBlock, ...]
    left_out: Mapping[str, str]
    encode: Callable[[str], EncodedText]


class StateChanger(Protocol):
    """Changes the embeddings of prompts."""

    def changed(self, call: EncodeCall) -> Any:
        """Return the result of a call with the changes, or the result itself if they are made already."""

    def stop(self) -> None:
        """Restore what an interrupt left behind."""


STATE_CHANGERS: WeakKeyDictionary[nn.Module, weakref.ref[StateChanger]] = WeakKeyDictionary()
"""What changes the states of the text for each denoiser."""


def changed_states(denoiser: nn.Module, call: EncodeCall) -> Any:
    """Return the result of a call with the changes of what is registered for a denoiser."""
    reference = STATE_CHANGERS.get(denoiser)
    changer = None if reference is None else reference()
    return call.result if changer is None else changer.changed(call)
