"""Edits of the vectors that the denoiser receives: those of the words alone change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from daam_syntax.attention.edits.state_edit import StateEdit
from daam_syntax.attention.edits.state_sources import (
    SourceText,
    WordSource,
    hidden_from,
    places,
    sources_of,
)
from daam_syntax.attention.families import Family, TextEncoder
from daam_syntax.attention.pipeline_call.call import EncodedText, TextBlock
from daam_syntax.attention.pipeline_call.state_editing import EncodeCall
from daam_syntax.attention.text_encoders.components import (
    components_of,
    encoders_of,
    features_of,
)
from daam_syntax.attention.text_encoders.encoder_states import EncoderStates, following
from daam_syntax.attention.texts.sentences import PromptSentences
from daam_syntax.attention.texts.token_spans import TokenizedPrompt

Vectors = tuple[Tensor, TokenizedPrompt, int]
"""Embedded text, *shape* ``(token, feature)``, the tokens of one encoder, and where they start."""


class OutputChanges:
    """Changes of the embedded prompts of one call of `encode_prompt`.

    Parameters
    ----------
    pipe, family
        The pipeline and its family.
    call
        The call.
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
        sentences: PromptSentences,
        followed: list[EncoderStates],
    ) -> None:
        self._pipe = pipe
        self._family = family
        self._call = call
        self._sentences = sentences
        self._followed = followed
        self._encoded: dict[SourceText, EncodedText] = {}

    def make(self, edit: StateEdit, rows: Sequence[int], prompt: int, made: Any) -> bool:
        """Replace the vectors of an edit's words.

        Parameters
        ----------
        edit
            The edit.
        rows
            The rows of one prompt.
        prompt
            Index of the prompt.
        made
            The embedded prompts, which are changed in place: a tensor, *shape* ``(row, token, feature)``, or a list
            with one tensor per row.

        Returns
        -------
        bool
            Whether the call encoded the prompts with an encoder that the edit is of.
        """
        blocks = [block for block in self._call.blocks if self._chosen(edit, block)]
        for block in blocks:
            for source in sources_of(edit, self._call.prompts[prompt], self._sentences):
                for row in rows:
                    self._replace(edit, block, source, made[row], row, prompt)
        return bool(blocks)

    def _replace(
        self,
        edit: StateEdit,
        block: TextBlock,
        source: WordSource,
        made: Tensor,
        row: int,
        prompt: int,
    ) -> None:
        given, tokens, start = self._vectors(source, block, row, prompt)
        at, taken = places(
            source,
            self._call.prompts[prompt],
            block.prompts[prompt],
            tokens,
            self._sentences,
            " and ".join(self._components(block)),
        )
        for features in self._features(edit, block, made.shape[-1]):
            for here, there in zip(at, taken, strict=True):
                made[block.start + here, features] = given[start + there, features]

    def _vectors(self, source: WordSource, block: TextBlock, row: int, prompt: int) -> Vectors:
        """Return the text from which the vectors of a source come."""
        if source.encoded is None:
            return self._call.result[0][row], block.prompts[prompt], block.start
        if source.encoded not in self._encoded:
            self._encoded[source.encoded] = self._encode(source.encoded)
        encoded = self._encoded[source.encoded]
        own = next(each for each in encoded.blocks if each.encoder == block.encoder)
        return encoded.encoded[0], own.prompts[0], own.start

    def _encode(self, text: SourceText) -> EncodedText:
        """Encode a text as the pipeline does, with the other words hidden if one of them is alone."""
        if text.alone is None:
            return self._call.encode(text.text)
        names = [name for block in self._call.blocks for name in self._components(block)]
        followed = [
            EncoderStates(
                parts,
                [text.text],
                hidden=lambda tokens: hidden_from(text, tokens, self._sentences),
            )
            for parts in encoders_of(self._pipe, self._family, names)
        ]
        self._followed += followed
        with following(followed):
            return self._call.encode(text.text)

    def _encoder(self, block: TextBlock) -> TextEncoder:
        return next(each for each in self._family.encoders if each.name == block.encoder)

    def _components(self, block: TextBlock) -> list[str]:
        return components_of(self._pipe, self._encoder(block))

    def _chosen(self, edit: StateEdit, block: TextBlock) -> list[str]:
        """Return the text encoders of a block that an edit is of."""
        names = self._components(block)
        return [name for name in names if edit.encoders is None or name in edit.encoders]

    def _features(self, edit: StateEdit, block: TextBlock, n_features: int) -> list[slice]:
        """Return the features to replace: all, if the edit is of all encoders that make the vectors."""
        chosen = self._chosen(edit, block)
        if chosen == self._components(block):
            return [slice(None)]
        features = features_of(self._pipe, self._encoder(block), n_features)
        return [features[name] for name in chosen]
