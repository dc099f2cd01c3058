"""Reading and changing the states of a text encoder while it reads prompts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from daam_syntax.attention.hooks.interrupts import restore_completely
from daam_syntax.attention.hooks.state_hooks import StateHooks
from daam_syntax.attention.text_encoders.components import EncoderParts
from daam_syntax.attention.text_encoders.prompt_rows import PromptRow, find_rows
from daam_syntax.attention.texts.token_spans import (
    Reading,
    TokenizedPrompt,
    read_prompt,
    record_readings,
    stop_recording,
)
from daam_syntax.errors import TraceError

Hidden = Callable[[TokenizedPrompt], Collection[int]]
"""A function from the tokens of a prompt to the positions that no token may attend to."""


@dataclass(frozen=True)
class Replacement:
    """States that replace others.

    Attributes
    ----------
    prompt
        Index of the prompt.
    layer
        Number of blocks after which they are replaced.
    positions
        Their positions in the encoder's sequence.
    states
        The new states. *Shape:* ``(position, feature)``
    """

    prompt: int
    layer: int
    positions: tuple[int, ...]
    states: Tensor


@dataclass
class EncoderStates:
    """The states of one text encoder while it reads some prompts, in the first of its calls that reads all of them.

    Attributes
    ----------
    parts
        The encoder and its tokenizer.
    prompts
        The prompts, in the order in which the pipeline encodes them.
    layers
        Numbers of blocks after which states are kept: 0 for the input of the first block.
    hidden
        Which tokens no token may attend to; None to change nothing.
    replacements
        States to replace.
    tokens
        The tokens of each prompt, as the encoder reads them; empty before it has.
    states
        The states that were kept, before they were replaced, by layer; *shape of each:* ``(prompt, token, feature)``.
    """

    parts: EncoderParts
    prompts: Sequence[str]
    layers: Sequence[int] = ()
    hidden: Hidden | None = None
    replacements: Sequence[Replacement] = ()
    tokens: list[TokenizedPrompt] = field(default_factory=list)
    states: dict[int, Tensor] = field(default_factory=dict)
    _readings: Sequence[Reading] = ()
    _rows: list[int] = field(default_factory=list)  # of the prompts, in the current call
    _shape: tuple[int, int] = (0, 0)
    _hooks: StateHooks | None = None

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Follow the encoder inside the block; its hooks are removed afterwards, also after an error."""
        self._hooks = StateHooks(self.parts.model, self._called, self._passed)
        try:
            with record_readings([self.parts.tokenizer]) as (readings,):
                self._readings = readings
                self._hooks.attach()
                yield
        finally:
            self.detach()

    def detach(self) -> None:
        """Remove everything, also if an interrupt kept `attached` from doing so."""
        if self._hooks is not None:
            restore_completely(self._hooks.detach)
        self._readings = ()

    def check(self) -> None:
        """Raise a `TraceError` if the encoder was not seen reading the prompts."""
        if not self.tokens:
            name, model = self.parts.name, type(self.parts.model).__name__
            raise TraceError(
                f"Expected {name} ({model}) to be given the tokens of {', '.join(map(repr, self.prompts))} that its "
                "tokenizer made, but no call of it has them all: what it reads is unknown, or it is compiled. Change "
                "the states before torch.compile, or of another encoder, encoders=(...)."
            )

    def _called(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Find the rows of the prompts, and return the attention mask that hides tokens from the others."""
        self._rows = []
        ids = inputs.get("input_ids")
        if self.tokens or ids is None or ids.ndim != 2:
            return {}
        found = find_rows(self.parts, self.prompts, self._readings, ids.tolist())
        if found is None:
            return {}
        self._shape = tuple(ids.shape)
        self._rows = [place.row for place in found]
        self.tokens = [self._read(*each) for each in zip(self.prompts, found, strict=True)]
        if self.hidden is None:
            return {}
        given = inputs.get("attention_mask")
        mask = torch.ones_like(ids) if given is None else given.clone()
        if mask.shape != ids.shape:
            raise TraceError(
                f"Expected {self.parts.name} to be masked by token, to hide other words from a word (alone=True), but "
                f"it got a mask of shape {tuple(mask.shape)}: replace the word by padding or by another word."
            )
        for row, tokens in zip(self._rows, self.tokens, strict=True):
            mask[row, sorted(self.hidden(tokens))] = 0
        return {"attention_mask": mask}

    def _read(self, prompt: str, place: PromptRow) -> TokenizedPrompt:
        return read_prompt(
            self.parts.tokenizer,
            place.reading,
            prompt,
            place.kept,
            padding=True,
            has_template=self.parts.has_template,
        )

    def _passed(self, layer: int, states: Tensor) -> Tensor:
        """Keep the states of a layer, and replace some."""
        if not self._rows:
            return states
        own = [each for each in self.replacements if each.layer == layer]
        if tuple(states.shape[:2]) != self._shape:
            if own or layer in self.layers:
                raise TraceError(
                    f"Expected states of {self.parts.name} of shape {self._shape} (row, token) and features, but its "
                    f"blocks pass on {tuple(states.shape)}: edit the vectors that the encoder returns, without layer=."
                )
            return states
        if layer in self.layers:
            self.states[layer] = states[self._rows].detach().clone()
        if not own:
            return states
        changed = states.clone()
        for each in own:
            changed[self._rows[each.prompt], list(each.positions)] = each.states.to(changed)
        return changed


def restore_encoders(attached: Sequence[EncoderStates]) -> None:
    """Restore encoders and their tokenizers, if an interrupt came while they were followed."""
    for each in attached:
        each.detach()
    stop_recording([each.parts.tokenizer for each in attached])


@contextmanager
def following(encoders: Sequence[EncoderStates]) -> Iterator[None]:
    """Follow several encoders inside the block, and check afterwards that each has read its prompts."""
    with ExitStack() as stack:
        for each in encoders:
            stack.enter_context(each.attached())
        yield
    for each in encoders:
        each.check()
