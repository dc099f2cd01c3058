"""Making edits of the text's states when a pipeline has encoded its prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from daam_syntax.attention.edits.encoder_layers import LayerChanges
from daam_syntax.attention.edits.output_vectors import OutputChanges
from daam_syntax.attention.edits.state_edit import StateEdit
from daam_syntax.attention.families import FAMILIES, Family
from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.pipeline_call.refusals import refuse_compiled
from daam_syntax.attention.pipeline_call.state_editing import EncodeCall
from daam_syntax.attention.text_encoders.components import components_of, encoders_of
from daam_syntax.attention.text_encoders.encoder_states import EncoderStates, restore_encoders
from daam_syntax.attention.texts.sentences import PromptSentences
from daam_syntax.attention.texts.textual_inversion import textual_inversions
from daam_syntax.errors import TraceError

_OTHER_TEXTS: Final = ("prompt_2", "prompt_3", "prompt_4")


class StateEditor:
    """Makes edits of the text's states in the results of `encode_prompt`.

    Parameters
    ----------
    pipe, family
        The pipeline and its family.
    edits
        The edits. Where two of them change the same vector, the later one counts; edits at the encoder's output are
        made after those inside it.
    sentences
        Parses of prompts.

    Raises
    ------
    TraceError
        If the pipeline's text encoders are not described, it has none of a name, or it does not encode its prompts
        alone.
    """

    def __init__(
        self, pipe: Any, family: Family, edits: Sequence[StateEdit], sentences: PromptSentences
    ) -> None:
        self._pipe = pipe
        self._family = family
        self._edits = tuple(edits)
        self._sentences = sentences
        self._made: Any = None  # the embeddings of the current pipeline call, with the edits
        self._used: set[int] = set()  # numbers of edits
        self._n_rows: int | None = None
        self._followed: list[EncoderStates] = []
        self._check_pipeline()

    def changed(self, call: EncodeCall) -> Any:
        """Return the result of a call of `encode_prompt` with the edits; itself if they are made already.

        Raises
        ------
        TraceError
            If the edits cannot be made.
        WordError
            If a word is not in a prompt, or is not read by an encoder.
        """
        if call.result[0] is self._made:
            return call.result
        self._check_call(call)
        n_rows = self._n_rows = len(call.result[0])
        self._check_images(n_rows)
        own = [
            [number for number, edit in enumerate(self._edits) if _is_for(edit, row)]
            for row in range(n_rows)
        ]
        shared = (self._pipe, self._family, call)
        try:
            with torch.no_grad():
                layers = LayerChanges(*shared, self._edits, self._sentences, self._followed)
                result = layers.made(own, self._used)
                made = _copied(result[0])
                outputs = OutputChanges(*shared, self._sentences, self._followed)
                self._change_outputs(outputs, made, own, n_rows // len(call.prompts))
        finally:
            restore_encoders(self._followed)
            self._followed.clear()
        self._made = made
        return (made, *result[1:])

    def start(self, pipeline_call: PipelineCall) -> None:
        """Check that all edits were made, when the first step begins.

        Raises
        ------
        TraceError
            If an edit was not made, or was made for other images than it names.
        """
        unused = [
            edit.describe() for number, edit in enumerate(self._edits) if number not in self._used
        ]
        if unused:
            raise TraceError(
                "Expected every edit to change the states of some text encoder whose tokens are keys of the denoiser, "
                f"but these changed none: {unused}. Check encoders= and images=, or leave them out."
            )
        chosen = any(edit.images is not None for edit in self._edits)
        if chosen and self._n_rows != pipeline_call.n_images:
            raise TraceError(
                f"Expected encode_prompt to return a row for each of the {pipeline_call.n_images} images, to edit "
                f"some of them (images=), but {type(self._pipe).__name__} returned {self._n_rows} and repeats them "
                "later: draw the images in separate calls, and leave images= out."
            )
        self._made, self._n_rows = None, None
        self._used.clear()

    def stop(self) -> None:
        """Restore the text encoders, if an interrupt kept `changed` from doing so, and forget the pipeline call."""
        restore_encoders(self._followed)
        self._followed.clear()
        self._made, self._n_rows = None, None
        self._used.clear()

    def _change_outputs(
        self, outputs: OutputChanges, made: Any, own: Sequence[Sequence[int]], per_prompt: int
    ) -> None:
        """Make the edits at the output, in their order."""
        for number, edit in enumerate(self._edits):
            if edit.layer is not None:
                continue
            for first in range(0, len(own), per_prompt):
                rows = [row for row in range(first, first + per_prompt) if number in own[row]]
                if rows and outputs.make(edit, rows, first // per_prompt, made):
                    self._used.add(number)

    def _check_pipeline(self) -> None:
        name = type(self._pipe).__name__
        if not hasattr(self._pipe, "encode_prompt"):
            raise TraceError(
                f"Expected a pipeline that encodes its prompts alone, to edit their states, but {name} encodes "
                "them with its negative prompts at once: use edits of the attention, Edit(...)."
            )
        if not any(family is self._family for family in FAMILIES):
            raise TraceError(
                f"Expected a pipeline whose text encoders are described, to edit their states, but {name} is known "
                "only to have plain cross-attention: register a Family that names its encoders, or use edits of the "
                "attention, Edit(...)."
            )
        for edit in self._edits:
            known = encoders_of(self._pipe, self._family)  # refuses pipelines without encoders
            pooled_only = {each.name for each in known} - {
                component
                for encoder in self._family.encoders
                for component in components_of(self._pipe, encoder)
            }
            for each in edit.encoders or ():
                encoders_of(self._pipe, self._family, each)
                if each in pooled_only and not edit.pooled:
                    raise TraceError(
                        f"Expected a text encoder whose tokens reach the denoiser of {name}, but of {each} only a "
                        "pooled vector does: edit a layer of it and let the pooled vector follow, layer=0, pooled=True."
                    )

    def _check_call(self, call: EncodeCall) -> None:
        name = type(self._pipe).__name__
        others = [
            argument
            for argument in _OTHER_TEXTS
            if call.arguments.get(argument) not in (None, call.arguments["prompt"])
            and call.arguments[argument] != list(call.prompts)
        ]
        if others or call.left_out:
            raise TraceError(
                f"Expected one prompt for all text encoders, to edit the states of its words, but {name} got another "
                f"text, {' and '.join(others) or ', '.join(call.left_out.values())}: leave it out."
            )
        if any(edit.alone or edit.layer is not None for edit in self._edits):
            for parts in encoders_of(self._pipe, self._family):
                refuse_compiled(
                    parts.model,
                    getattr(self._pipe, parts.name),
                    purpose="to change the states of every text encoder",
                    remedy="edit before compiling, or replace the vectors that the encoder returns (by=, context=)",
                )
        texts = [*call.prompts, *(e.context for e in self._edits if e.context is not None)]
        for encoder in self._family.encoders:
            tokenizer = encoder.tokenizer_of(self._pipe)
            for text in texts:
                found = textual_inversions(tokenizer, text) if tokenizer is not None else []
                if found:
                    raise TraceError(
                        f"Expected words, to edit their states, but {found[0]!r} in {text!r} is a textual inversion, "
                        "whose vectors were trained as inputs of the encoder and mean nothing apart from it: write a "
                        "word instead, or use edits of the attention, Edit(...)."
                    )

    def _check_images(self, n_rows: int) -> None:
        for edit in self._edits:
            wrong = [image for image in edit.images or () if not 0 <= image < n_rows]
            if wrong:
                raise TraceError(
                    f"Expected images from 0 to {n_rows - 1}, a row of encode_prompt for each, but an edit is for "
                    f"{wrong[0]}. If {type(self._pipe).__name__} repeats the rows later, for several images of a "
                    "prompt, draw them in separate calls."
                )


def _is_for(edit: StateEdit, row: int) -> bool:
    return edit.images is None or row in edit.images


def _copied(embedded: Any) -> Any:
    if isinstance(embedded, Tensor):
        return embedded.clone()
    return [each.clone() for each in embedded]
