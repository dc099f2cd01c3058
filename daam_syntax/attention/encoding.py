"""What a pipeline's text encoders make of its prompts, heard while it encodes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from daam_syntax.attention.accumulate import LayerSums
from daam_syntax.attention.drawings import Drawing, TextBlock
from daam_syntax.attention.families import Family, TextEncoder
from daam_syntax.attention.open_vocabulary import AlsoText, encode_alone
from daam_syntax.attention.refusals import refuse_replaced_text
from daam_syntax.attention.request import Request
from daam_syntax.attention.tokens import Reading, find_prompts, listening, read_prompt
from daam_syntax.errors import TraceError


class PromptEncoding:
    """Makes a `Drawing` of what a pipeline encodes.

    Parameters
    ----------
    pipe
        The pipeline.
    family
        Its family.
    request
        What is to be recorded.
    """

    def __init__(self, pipe: Any, family: Family, request: Request) -> None:
        self._pipe = pipe
        self._family = family
        self._request = request

    def begin(self, call: Callable[[], Any], arguments: Mapping[str, Any]) -> tuple[Any, Drawing]:
        """Let the pipeline encode its prompts, and start a drawing with them.

        Parameters
        ----------
        call
            Its call of `encode_prompt`.
        arguments
            The call's arguments by name.

        Returns
        -------
        object
            What the call returned.
        Drawing
            The drawing that begins.
        """
        if arguments.get("prompt") is None:
            raise TraceError(
                "Expected the prompt as text, but the pipeline was given prompt_embeds without a "
                "prompt, so the words are not known: pass prompt=... instead, and "
                "negative_prompt=... likewise."
            )
        given = _given(arguments)
        with self._listening() as heard:
            result = call()
        encoder = self._family.encoders[0]
        prompts = next(given[name] for name in encoder.prompts if name in given)
        n_images, rest = divmod(len(result[0]), len(prompts))
        if rest:
            raise TraceError(
                f"Expected the embeddings of {len(prompts)} prompts to have a multiple of that "
                f"many rows, but {type(self._pipe).__name__}.encode_prompt gave {len(result[0])}."
            )
        drawing = Drawing(
            prompts=prompts,
            images_per_prompt=n_images,
            asked_guidance=arguments.get("do_classifier_free_guidance"),
            seeds=[None] * len(result[0]),
            embedded=result[0],
            sums=LayerSums(self._request.keep),
        )
        self._add_blocks(drawing, heard, given, arguments, result)
        drawing.also = [self._also(text, arguments) for text in self._request.also]
        second = given.get("prompt_2")
        if second is not None and second != given["prompt"]:
            one = isinstance(arguments["prompt_2"], str)
            drawing.settings["prompt_2"] = second[0] if one else list(second)
        return result, drawing

    def is_more_of(self, drawing: Drawing) -> bool:
        """Whether another call of `encode_prompt` belongs to a drawing."""
        if drawing.timesteps:
            return False
        return self._family.guidance == "by-text" or len(self._readable()) > len(drawing.encoders)

    def add(self, drawing: Drawing, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        """Take in a negative prompt, or the prompts from another encoder; see `begin`."""
        with self._listening() as heard:
            result = call()
        drawing.embedded_otherwise += _embeddings(result)
        if len(self._readable()) > len(drawing.encoders):
            self._add_blocks(drawing, heard, _given(arguments), arguments, result)
        return result

    def _also(self, text: str, arguments: Mapping[str, Any]) -> AlsoText:
        """Encode a text that is not in the prompts."""
        with self._listening() as heard:
            result = encode_alone(self._pipe, arguments, text)
        alone = Drawing((text,), 1, asked_guidance=False, seeds=[None])
        given = dict.fromkeys(self._family.encoders[0].prompts, (text,))
        self._add_blocks(alone, heard, given, arguments, result)
        return AlsoText(text, alone.blocks, result[0], LayerSums(self._request.keep))

    def _readable(self) -> list[TextEncoder]:
        """Return the encoders that the pipeline was loaded with."""
        return [
            encoder
            for encoder in self._family.encoders
            if encoder.tokenizer_of(self._pipe) is not None
        ]

    @contextmanager
    def _listening(self) -> Iterator[dict[str, list[Reading]]]:
        """Listen to the encoders' tokenizers."""
        encoders = self._readable()
        if not encoders:
            names = " or ".join(
                name for encoder in self._family.encoders for name in encoder.tokenizers
            )
            raise TraceError(
                f"Expected {type(self._pipe).__name__} to have a tokenizer ({names}), but it has "
                "none: load the pipeline with its tokenizer."
            )
        with listening([encoder.tokenizer_of(self._pipe) for encoder in encoders]) as heard:
            yield {encoder.name: heard[i] for i, encoder in enumerate(encoders)}

    def _add_blocks(
        self,
        drawing: Drawing,
        heard: Mapping[str, list[Reading]],
        given: Mapping[str, tuple[str, ...]],
        arguments: Mapping[str, Any],
        result: Sequence[Any],
    ) -> None:
        """Find out which tokens of the prompts became text keys in a call of encode_prompt."""
        start = drawing.text_length
        drawing.text_length += max(len(row) for row in result[0])
        drawing.embedded_otherwise += _embeddings(result[1:])
        for encoder in self._readable():
            if encoder.name in drawing.encoders or not heard[encoder.name]:
                continue
            drawing.encoders.append(encoder.name)
            tokenizer = encoder.tokenizer_of(self._pipe)
            own = next(given[name] for name in encoder.prompts if name in given)
            readings = find_prompts(tokenizer, own, heard[encoder.name])
            if readings is None:
                refuse_replaced_text(self._pipe, own, heard[encoder.name])
            prompts = tuple(
                read_prompt(
                    tokenizer,
                    reading,
                    text,
                    encoder.kept(reading.mask, self._pipe, arguments),
                    padding=self._request.padding,
                )
                for reading, text in zip(readings, own, strict=True)
            )
            if own == drawing.prompts:
                drawing.blocks.append(TextBlock(encoder.name, start, prompts))
            else:
                drawing.settings.setdefault("left_out", {})[encoder.name] = (
                    "this text encoder read another text: " + " | ".join(own)
                )
            start += max(prompt.length for prompt in prompts)
        if self._request.padding:
            drawing.settings["padding"] = True
        if not drawing.encoders:
            raise TraceError(
                f"Expected {type(self._pipe).__name__}.encode_prompt to call its tokenizer, but it did "
                "not, so the tokens of the prompt are not known."
            )
        if start > drawing.text_length:
            raise TraceError(
                f"Expected {type(self._pipe).__name__}.encode_prompt to give {start} text keys, as "
                f"the {self._family.name} family describes it, but it gave {drawing.text_length}: it "
                "keeps other tokens, and needs a Family of its own."
            )


def _given(arguments: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the arguments that are texts."""
    return {name: texts for name in arguments if (texts := _texts(arguments[name])) is not None}


def _texts(argument: Any) -> tuple[str, ...] | None:
    """Return an argument as prompts (a copy, since some pipelines change it), if it is such."""
    if isinstance(argument, str):
        return (argument,)
    if isinstance(argument, list | tuple) and argument:
        return tuple(argument) if all(isinstance(each, str) for each in argument) else None
    return None


def _embeddings(result: Any) -> list[Any]:
    """Return what may be embedded text among the results of encode_prompt."""
    return [
        each
        for each in (result if isinstance(result, tuple | list) else [result])
        if isinstance(each, torch.Tensor) and each.ndim == 3
    ]
