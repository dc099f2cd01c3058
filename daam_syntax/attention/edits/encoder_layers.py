"""Edits inside a text encoder: the prompts are encoded again, with other states after some of its blocks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from daam_syntax.attention.edits.state_edit import StateEdit
from daam_syntax.attention.edits.state_sources import SourceText, hidden_from, places, sources_of
from daam_syntax.attention.families import Family
from daam_syntax.attention.hooks.state_hooks import blocks_of
from daam_syntax.attention.pipeline_call.other_texts import encode_alone
from daam_syntax.attention.pipeline_call.state_editing import EncodeCall
from daam_syntax.attention.text_encoders.components import (
    components_of,
    encoders_of,
)
from daam_syntax.attention.text_encoders.encoder_states import (
    EncoderStates,
    Replacement,
    following,
)
from daam_syntax.attention.texts.drawn_text import Embedding
from daam_syntax.attention.texts.sentences import PromptSentences
from daam_syntax.errors import TraceError

States = Mapping[str, EncoderStates]
"""Encoders and their states, by name."""


class LayerChanges:
    """Changes inside the text encoders, for one call of `encode_prompt`.

    The prompts are encoded once more as they are and once for each set of edits, and only numbers that differ between
    the two are changed in the result of the pipeline's own call. An edit without an effect therefore leaves every bit
    as it was, whatever batch the pipeline encodes its prompts in.

    Parameters
    ----------
    pipe, family
        The pipeline and its family.
    call
        The call.
    edits
        All edits, by number.
    sentences
        Parses of prompts.
    followed
        Receives the encoders that are followed, so that they can be restored after an interrupt.
    """

    def __init__(
        self,
        pipe: Any,
        family: Family,
        call: EncodeCall,
        edits: Sequence[StateEdit],
        sentences: PromptSentences,
        followed: list[EncoderStates],
    ) -> None:
        self._pipe = pipe
        self._family = family
        self._call = call
        self._edits = edits
        self._sentences = sentences
        self._followed = followed
        self._keys = {
            name
            for encoder in family.encoders
            if any(block.encoder == encoder.name for block in call.blocks)
            for name in components_of(pipe, encoder)
        }
        known = encoders_of(pipe, family)
        described = {n for each in family.encoders for n in components_of(pipe, each)}
        self._pooled_only = {parts.name for parts in known} - described
        self._parts = {parts.name: parts for parts in known}
        self._sources: dict[SourceText, States] = {}

    def made(self, own: Sequence[Sequence[int]], used: set[int]) -> tuple[Any, ...]:
        """Return the result of the call with the edits inside encoders.

        Parameters
        ----------
        own
            The numbers of the edits of each row of the result.
        used
            Receives the numbers of the edits that are made here.

        Raises
        ------
        TraceError
            If the pipeline encodes the prompts in another way alone, or edits change nothing.
        """
        result = list(self._call.result)
        numbers = {n for each in own for n in each if self._edits[n].layer is not None}
        self._chosen = {n: self._encoders(self._edits[n]) for n in numbers}
        numbers = {n for n in numbers if self._chosen[n]}
        used |= numbers
        if not numbers:
            return tuple(result)
        self._layers = {
            name: sorted({self._layer(n, name) for n in numbers if name in self._chosen[n]})
            for name in self._parts
        }
        plain, states = self._encode(self._call.prompts)
        self._check_same(plain)
        per_prompt = len(own) // len(self._call.prompts)
        sets = [tuple(n for n in each if n in numbers) for each in own]
        for several in dict.fromkeys(sets):
            if several:
                rows = [row for row, each in enumerate(sets) if each == several]
                self._make(result, several, rows, per_prompt, plain, states)
        return tuple(result)

    def _make(
        self,
        result: list[Any],
        several: Sequence[int],
        rows: Sequence[int],
        per_prompt: int,
        plain: Sequence[Any],
        states: States,
    ) -> None:
        """Make a set of edits in the rows that have it."""
        prompts = sorted({row // per_prompt for row in rows})
        has_changed = self._make_in(result, [0], several, rows, prompts, plain, states)
        pooled = [n for n in several if self._edits[n].pooled]
        if pooled:
            rest = range(1, len(result))
            follows = self._make_in(result, rest, pooled, rows, prompts, plain, states)
            if follows is False:
                raise TraceError(
                    f"Expected {type(self._pipe).__name__} to pass a pooled vector to its denoiser that reads the "
                    f"edited states (pooled=True), but these changed none: {self._described(pooled)}. Leave "
                    "pooled=True out, or edit the encoder whose output is pooled, encoders=(...)."
                )
            has_changed = has_changed or follows
        if has_changed is False:
            raise TraceError(
                f"Expected an edit inside an encoder to change what {type(self._pipe).__name__} passes to its "
                f"denoiser, but these changed nothing: {self._described(several)}. The pipeline reads the states after "
                "an earlier block: choose an earlier layer=, or leave it out to change the vectors that the denoiser "
                "receives."
            )

    def _make_in(
        self,
        result: list[Any],
        places_in_result: Sequence[int],
        numbers: Sequence[int],
        rows: Sequence[int],
        prompts: Sequence[int],
        plain: Sequence[Any],
        states: States,
    ) -> bool | None:
        """Make some edits in some of the results; return whether they change them, None if they cannot."""
        replacements = {
            name: self._replacements(name, numbers, prompts, states[name])
            for name in {name for n in numbers for name in self._chosen[n]}
        }
        differs = any(
            not torch.equal(r.states, states[name].states[r.layer][r.prompt][list(r.positions)])
            for name, each in replacements.items()
            for r in each
        )
        changed, _ = self._encode(self._call.prompts, replacements)
        merged = [self._merge(result, place, rows, plain, changed) for place in places_in_result]
        return any(merged) if differs else None

    def _described(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        return [self._edits[number].describe() for number in numbers]

    def _merge(
        self,
        result: list[Any],
        place: int,
        rows: Sequence[int],
        plain: Sequence[Any],
        changed: Sequence[Any],
    ) -> bool:
        """Change the numbers of some rows that an edit changes; return whether there are any."""
        before, after, own = plain[place], changed[place], result[place]
        if not isinstance(own, Tensor | list) or not isinstance(after, Tensor | list):
            return False
        n_prompts = len(self._call.prompts)
        per_prompt = len(self._call.result[0]) // n_prompts
        if len(after) != n_prompts or len(own) != n_prompts * per_prompt:
            return False
        differing = [not torch.equal(*pair) for pair in zip(before, after, strict=True)]
        if not any(differing):
            return False
        made = own.clone() if isinstance(own, Tensor) else list(own)
        for row in rows:
            one, other = before[row // per_prompt], after[row // per_prompt]
            if one.shape != own[row].shape:
                self._refuse_other(f"of shape {tuple(one.shape)}, not {tuple(own[row].shape)}")
            made[row] = torch.where(other == one, own[row], other)
        result[place] = made
        return True

    def _replacements(
        self, name: str, numbers: Sequence[int], prompts: Sequence[int], states: EncoderStates
    ) -> list[Replacement]:
        """Return the states that some edits replace in one encoder."""
        made = []
        for number in numbers:
            if name not in self._chosen[number]:
                continue
            layer = self._layer(number, name)
            for prompt in prompts:
                text, tokens = self._call.prompts[prompt], states.tokens[prompt]
                for source in sources_of(self._edits[number], text, self._sentences):
                    given, index = states, prompt
                    if source.encoded is not None:
                        given, index = self._source(source.encoded)[name], 0
                    at, taken = places(
                        source, text, tokens, given.tokens[index], self._sentences, name
                    )
                    new = given.states[layer][index][taken]
                    made.append(Replacement(prompt, layer, tuple(at), new))
        return made

    def _source(self, text: SourceText) -> States:
        """Return the states of another text, with the other words hidden if one of them is alone."""
        if text not in self._sources:
            _, self._sources[text] = self._encode([text.text], alone=text)
        return self._sources[text]

    def _encode(
        self,
        prompts: Sequence[str],
        replacements: Mapping[str, Sequence[Replacement]] | None = None,
        alone: SourceText | None = None,
    ) -> tuple[Sequence[Any], States]:
        """Encode prompts as the pipeline does; return the result, and the states of the encoders that are edited."""
        names = {name for chosen in self._chosen.values() for name in chosen}
        hidden = None
        if alone is not None and alone.alone is not None:
            hidden = lambda tokens: hidden_from(alone, tokens, self._sentences)  # noqa: E731
        states = {
            name: EncoderStates(
                self._parts[name],
                prompts,
                layers=() if replacements else self._layers[name],
                hidden=hidden,
                replacements=(replacements or {}).get(name, ()),
            )
            for name in sorted(names)
        }
        self._followed += states.values()
        with following(list(states.values())):
            result = encode_alone(self._pipe, self._call.arguments, prompts)
        return result, states

    def _encoders(self, edit: StateEdit) -> Collection[str]:
        """Return the names of the encoders of this call whose states an edit changes."""
        reached = self._keys | (self._pooled_only if edit.pooled else set())
        return [name for name in sorted(reached) if edit.encoders is None or name in edit.encoders]

    def _layer(self, number: int, name: str) -> int:
        """Return how many blocks of an encoder run before an edit, counted from 0."""
        layer = self._edits[number].layer
        assert layer is not None, "the edit is inside an encoder"
        n = len(blocks_of(self._parts[name].model))
        if not -n - 1 <= layer <= n:
            raise TraceError(
                f"Expected a layer of {name} from 0, the input of its first block, to {n}, the output of its last "
                f"(or -1 for that), but got {layer}: choose one "
                "of these, or an encoder with more blocks, encoders=(...)."
            )
        return layer % (n + 1)

    def _check_same(self, plain: Sequence[Any]) -> None:
        if bool(Embedding.of(plain[0]).differs_from(self._call.result[0])):
            self._refuse_other("others")

    def _refuse_other(self, what: str) -> None:
        raise TraceError(
            f"Expected {type(self._pipe).__name__} to encode its prompts in the same way once more, to edit states "
            f"inside its encoders, but it made vectors that are {what}: leave layer= out, to change the vectors "
            "that the denoiser receives."
        )
