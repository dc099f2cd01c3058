"""Observing every attention call of a pipeline with its text, rows and grid known, and changing nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from torch import Tensor

from daam_syntax.attention.observers.controller import AttentionController, CallSite
from daam_syntax.attention.observers.observer_context import ObserverContext
from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.pipeline_call.word_keys import (
    KINDS,
    columns_of,
    keys_by_kind,
    keys_by_word,
)
from daam_syntax.attention.softmax.edited_weights import attention_weights
from daam_syntax.attention.softmax.probabilities import AttentionCall
from daam_syntax.attention.texts.sentences import PromptSentences, Sentences
from daam_syntax.errors import ArgumentValueError, TraceError
from daam_syntax.language import Sentence
from daam_syntax.maps.selection import Grid
from daam_syntax.util.arguments.checks import checked


@dataclass(frozen=True)
class _TextKeys:
    """The text keys of one pipeline call, found once for each prompt."""

    sentence: Callable[[int], Sentence]
    words: Callable[[int], dict[int, list[int]]]
    kinds: Callable[[int], dict[str, list[int]]]

    @classmethod
    def of(cls, pipeline_call: PipelineCall, sentences: PromptSentences) -> _TextKeys:
        def sentence(prompt: int) -> Sentence:
            return sentences[pipeline_call.prompts[prompt]]

        return cls(
            sentence,
            cache(lambda prompt: keys_by_word(pipeline_call.blocks, prompt, sentence(prompt))),
            cache(lambda prompt: keys_by_kind(pipeline_call.blocks, prompt)),
        )


@dataclass(frozen=True, eq=False)
class ObservedAttention:
    """One attention call, in the rows of the batch that belong to the prompts.

    It refers to the call's queries and keys. To save memory, keep the numbers that you compute from it, not the object.

    Attributes
    ----------
    path
        Path of the attention module in the denoiser.
    grid
        Rows and columns ``(y, x)`` of its pixels; None for attention that is not to text.
    step
        Number of the step, from 0. A step is a denoiser call with the prompts.
    progress
        Fraction of the steps that are over; NaN if the number of steps is unknown.
    timestep
        The timestep.
    prompts
        The prompts of the pipeline call.
    images_per_prompt
        Number of images per prompt.
    rows
        For each image, its row in the batch.
    pixels
        For each image, which queries are pixels, row by row of the grid; empty for attention that is not to text.
    text
        For each image, which keys are text, including padding that the model does not leave out; empty for attention
        that is not to text.
    """

    path: str
    grid: Grid | None
    step: int
    progress: float
    timestep: float
    prompts: tuple[str, ...]
    images_per_prompt: int
    rows: tuple[int, ...]
    pixels: tuple[slice, ...]
    text: tuple[slice, ...]
    _call: AttentionCall = field(repr=False)
    _keys: _TextKeys = field(repr=False)

    @property
    def n_images(self) -> int:
        """Number of images."""
        return len(self.rows)

    @checked
    def prompt_index(self, image: int) -> int:
        """Return the index of the prompt of an image."""
        return self._image(image) // self.images_per_prompt

    def _image(self, image: int) -> int:
        """Return the number of an image that exists; a negative one counts from the end."""
        if not -self.n_images <= image < self.n_images:
            raise ArgumentValueError(
                f"Expected the number of an image from 0 to {self.n_images - 1}, but got {image}."
            )
        return image % self.n_images

    @checked
    def word_keys(self, image: int, word: int | str) -> list[int]:
        """Return the keys of a word: its subwords, of all text encoders.

        Parameters
        ----------
        image
            Number of the image in the pipeline call, from 0.
        word
            Index of the word in the parse of the image's prompt, or its text if unambiguous.

        Returns
        -------
        list of int
            Indices into the last axis of `probabilities`, sorted; empty if the word has no key, for instance because
            the text encoder cut it off.

        Raises
        ------
        WordError
            If the word is not in the sentence.
        TraceError
            If the attention is not to text.
        """
        prompt = self.prompt_index(image)
        index = self._keys.sentence(prompt).index(word)
        return self._in_call(image, self._keys.words(prompt)[index])

    @checked
    def kind_keys(self, image: int, kind: str) -> list[int]:
        """Return the keys of all tokens of a kind, of all text encoders.

        Parameters
        ----------
        image
            Number of the image in the pipeline call, from 0.
        kind
            "start", "text", "end", "template" or "padding", see `daam_syntax.maps.Subword`.

        Returns
        -------
        list of int
            Indices into the last axis of `probabilities`, sorted; empty if there are no such tokens.

        Raises
        ------
        ValueError
            If there is no such kind of token.
        TraceError
            If the attention is not to text.
        """
        if kind not in KINDS:
            raise ValueError(
                f"Expected a kind of token among {', '.join(map(repr, KINDS))}, but got {kind!r}."
            )
        return self._in_call(image, self._keys.kinds(self.prompt_index(image)).get(kind, []))

    @checked
    def probabilities(self, image: int, *, queries: slice = slice(None)) -> Tensor:
        """Compute an image's attention probabilities: the exact softmax over all keys, in float32.

        Parameters
        ----------
        image
            Number of the image in the pipeline call, from 0.
        queries
            Which queries to return; all by default. Pass ``observed.pixels[image]`` for the pixels alone.

        Returns
        -------
        Tensor
            Probabilities in [0, 1], which sum to 1 over the keys. *Shape:* ``(head, query, key)``

        Raises
        ------
        TraceError
            If the probabilities cannot be computed, because the call is causal or its tensors have no head axis.
        """
        return attention_weights(self._call, self.rows[self._image(image)], queries)

    def _in_call(self, image: int, keys: list[int]) -> list[int]:
        """Return text keys as keys of the call."""
        if not self.text:
            raise TraceError(
                f"Expected attention to text, to find its keys, but {self.path} does not attend to the text: check "
                "that `grid` is not None."
            )
        return columns_of(keys, self.text[self._image(image)])


@checked
def observe(
    pipe: Any,
    callback: Callable[[ObservedAttention], object],
    *,
    self_attention: bool = False,
    parser: Any = None,
    sentences: Sentences = (),
) -> Observation:
    """Call a function after every attention call of a pipeline.

    Parameters
    ----------
    pipe
        A diffusers text-to-image pipeline of a known family (see `FAMILIES`).
    callback
        The function. It receives an `ObservedAttention`; its result is ignored. An error that it raises ends the
        pipeline call.
    self_attention
        Whether to observe attention that is not to text, too, such as self-attention.
    parser
        The dependency parser for the prompts: a name, a loaded spaCy pipeline, or None for the default. Prompts are
        parsed when the keys of a word are first needed.
    sentences
        Prompts that are already parsed, as for `Trace.heat_maps`. Sentences that belong to no prompt are ignored.

    Returns
    -------
    Observation
        A context manager. Images are bit-identical to those without it.

    Raises
    ------
    TraceError
        If the pipeline's family is unknown. During a pipeline call: if its attention cannot be observed.

    Examples
    --------
    The attention to the word "cat" (index 2) in each layer and step, a mean over attention heads and pixels:

    >>> def cat(observed):  # doctest: +SKIP
    ...     keys = observed.word_keys(0, 2)
    ...     pixels = observed.probabilities(0, queries=observed.pixels[0])
    ...     print(observed.path, observed.step, pixels[..., keys].sum(-1).mean().item())
    >>> with observe(pipe, cat):  # doctest: +SKIP
    ...     pipe("a red cat")
    """
    return Observation(
        pipe, callback, self_attention=self_attention, parser=parser, sentences=sentences
    )


class Observation(ObserverContext):
    """An observation of a pipeline's attention inside a ``with`` block; the pipeline is restored afterwards.

    Only calls from the thread that entered the block are observed. It can be open together with a `trace`, an
    `intervene` or another observation of the same pipeline; it then sees attention before any edits.

    See Also
    --------
    observe : Its parameters.
    """

    def __init__(
        self,
        pipe: Any,
        callback: Callable[[ObservedAttention], object],
        *,
        self_attention: bool = False,
        parser: Any = None,
        sentences: Sentences = (),
    ) -> None:
        self._callback = callback
        self._sentences = PromptSentences(sentences, parser)
        self._keys: _TextKeys | None = None
        super().__init__(
            AttentionController(
                pipe,
                override=self._observe,
                on_start=self._start,
                on_end=self._end,
                self_attention=self_attention,
            )
        )

    def _start(self, pipeline_call: PipelineCall) -> None:
        self._keys = _TextKeys.of(pipeline_call, self._sentences)

    def _end(self, pipeline_call: PipelineCall) -> None:
        self._keys = None

    def _observe(
        self, site: CallSite, call: AttentionCall, value: Tensor, output: Tensor
    ) -> Tensor:
        assert self._keys is not None, "a pipeline call starts before its attention runs"
        self._callback(
            ObservedAttention(
                path=site.path,
                grid=site.grid,
                step=site.step,
                progress=site.progress,
                timestep=site.timestep,
                prompts=site.pipeline_call.prompts,
                images_per_prompt=site.pipeline_call.images_per_prompt,
                rows=tuple(range(site.rows.start, site.rows.stop)),
                pixels=tuple(layout.pixels for layout in site.layouts),
                text=tuple(layout.text for layout in site.layouts),
                _call=call,
                _keys=self._keys,
            )
        )
        return output
