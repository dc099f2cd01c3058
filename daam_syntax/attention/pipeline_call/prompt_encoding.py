"""What a pipeline's text encoders make of its prompts, heard while it encodes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from daam_syntax.attention.families import Family, TextEncoder
from daam_syntax.attention.pipeline_call.call import EncodedText, PipelineCall, TextBlock
from daam_syntax.attention.pipeline_call.other_texts import encode_alone
from daam_syntax.attention.pipeline_call.recording_spec import RecordingSpec
from daam_syntax.attention.pipeline_call.refusals import refuse_replaced_text
from daam_syntax.attention.pipeline_call.token_spans import (
    Reading,
    find_prompts,
    listening,
    read_prompt,
)
from daam_syntax.attention.softmax.layer_sums import LayerSums
from daam_syntax.errors import TraceError


class PromptEncoding:
    """Makes a `PipelineCall` of what a pipeline encodes.

    Parameters
    ----------
    pipe
        The pipeline.
    family
        Its family.
    request
        What is to be recorded.
    """

    def __init__(self, pipe: Any, family: Family, request: RecordingSpec) -> None:
        self._pipe = pipe
        self._family = family
        self._request = request

    def begin(
        self, call: Callable[[], Any], arguments: Mapping[str, Any]
    ) -> tuple[Any, PipelineCall]:
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
        PipelineCall
            The drawing that begins.
        """
        given = _given(arguments)
        with self._listening() as heard:
            if arguments.get("prompt") is None:
                given |= self._read_told(arguments)
            elif self._request.prompts not in ((), given["prompt"]):
                raise TraceError(
                    f"Expected the prompts {list(self._request.prompts)}, which the trace was told, but the "
                    f"pipeline was given {list(given['prompt'])}: tell a trace the prompts only where the "
                    "pipeline is given prompt_embeds instead of text."
                )
            result = call()
        encoder = self._family.encoders[0]
        prompts = next(given[name] for name in encoder.prompts if name in given)
        n_images, rest = divmod(len(result[0]), len(prompts))
        if rest:
            raise TraceError(
                f"Expected the embeddings of {len(prompts)} prompts to have a multiple of that "
                f"many rows, but {type(self._pipe).__name__}.encode_prompt gave {len(result[0])}."
            )
        drawing = PipelineCall(
            prompts=prompts,
            images_per_prompt=n_images,
            asked_guidance=arguments.get("do_classifier_free_guidance"),
            seeds=[None] * len(result[0]),
            embedded=result[0],
            sums=LayerSums(self._request.keep),
        )
        self._take_in(drawing, heard, given, arguments, result)
        drawing.also = [self._also(text, arguments) for text in self._request.also]
        if self._request.padding:
            drawing.settings["padding"] = True
        if arguments.get("prompt") is None:
            drawing.settings["prompt_embeds"] = True
        second = given.get("prompt_2")
        if second is not None and second != given["prompt"]:
            one = isinstance(arguments["prompt_2"], str)
            drawing.settings["prompt_2"] = second[0] if one else list(second)
        return result, drawing

    def _read_told(self, arguments: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """Have the pipeline read the prompts that the trace was told, whose embeddings it was given."""
        texts = self._request.prompts
        if not texts:
            raise TraceError(
                "Expected the prompt as text, but the pipeline was given prompt_embeds without a "
                "prompt, so the words are not known: tell them with trace(pipe, prompts=...), or pass "
                "prompt=... instead."
            )
        embeddings = arguments.get("prompt_embeds")
        if embeddings is None or len(embeddings) != len(texts):
            n = "no" if embeddings is None else len(embeddings)
            raise TraceError(
                f"Expected prompt_embeds of the {len(texts)} prompts that the trace was told, but the "
                f"pipeline was given {n} rows: tell one prompt for each row."
            )
        try:
            result = encode_alone(self._pipe, arguments, texts)
        except Exception as error:
            raise TraceError(
                f"Expected {type(self._pipe).__name__} to read the prompts that the trace was told, as it "
                f"would without prompt_embeds, but it cannot: {error}. Load it with its text encoders."
            ) from error
        for text, own, other in zip(texts, result[0], embeddings, strict=True):
            if own.shape != other.shape:
                raise TraceError(
                    f"Expected prompt_embeds of shape {tuple(own.shape)} (token, feature) for {text!r}, which is "
                    f"what {type(self._pipe).__name__} makes of it, but got {tuple(other.shape)}: tokens "
                    "cannot be told apart. Embed the prompt as the pipeline does (padding, longest sequence, "
                    "encoders), and tell the trace the same text."
                )
        return dict.fromkeys(
            [name for encoder in self._family.encoders for name in encoder.prompts], texts
        )

    def is_more_of(self, drawing: PipelineCall) -> bool:
        """Whether another call of `encode_prompt` belongs to a drawing."""
        if drawing.timesteps:
            return False
        return self._family.guidance == "by-text" or len(self._readable()) > len(drawing.encoders)

    def add(
        self, drawing: PipelineCall, call: Callable[[], Any], arguments: Mapping[str, Any]
    ) -> Any:
        """Take in a negative prompt, or the prompts from another encoder; see `begin`."""
        given = _given(arguments)
        is_more_of_prompts = len(self._readable()) > len(drawing.encoders)
        with self._listening() as heard:
            if is_more_of_prompts and arguments.get("prompt") is None:
                given |= self._read_told(arguments)
            result = call()
        if is_more_of_prompts:
            self._take_in(drawing, heard, given, arguments, result)
            return result
        drawing.embedded_otherwise += _embeddings(result)
        if self._request.negative and arguments.get("prompt") is not None:
            self._take_in_negative(drawing, heard, given, arguments, result[0])
        return result

    def _take_in(
        self,
        drawing: PipelineCall,
        heard: Mapping[str, list[Reading]],
        given: Mapping[str, tuple[str, ...]],
        arguments: Mapping[str, Any],
        result: Sequence[Any],
    ) -> None:
        """Add what a call of encode_prompt made of the prompts, and of negative prompts beside them."""
        read = self._add_blocks(drawing, heard, given, arguments, result[0])
        drawing.embedded_otherwise += _embeddings(result[1:])
        negative = {
            name.removeprefix("negative_"): texts
            for name, texts in given.items()
            if name.startswith("negative_")
        }
        embedded = next((each for each in result[1:] if _is_text(each)), None)
        if self._request.negative and negative and embedded is not None:
            # A negative prompt may stand within the prompt, but not the other way round.
            others = {
                name: [each for each in readings if each not in read] or readings
                for name, readings in heard.items()
            }
            self._take_in_negative(drawing, others, negative, arguments, embedded)

    def _take_in_negative(
        self,
        drawing: PipelineCall,
        heard: Mapping[str, list[Reading]],
        given: Mapping[str, tuple[str, ...]],
        arguments: Mapping[str, Any],
        embedded: Any,
    ) -> None:
        """Add what a call of encode_prompt made of the negative prompts."""
        if drawing.negative is None:
            prompts = next(
                given[name] for name in self._family.encoders[0].prompts if name in given
            )
            if not all(prompt.strip() for prompt in prompts):
                raise TraceError(
                    f"Expected negative prompts with words, to trace them, but got {list(prompts)}: pass "
                    "negative_prompt=..., where the pipeline takes it, or trace without negative=True."
                )
            drawing.negative = EncodedText(prompts=prompts, sums=LayerSums(self._request.keep))
        self._add_blocks(drawing.negative, heard, given, arguments, embedded)

    def _also(self, text: str, arguments: Mapping[str, Any]) -> EncodedText:
        """Encode a text that is not in the prompts."""
        with self._listening() as heard:
            result = encode_alone(self._pipe, arguments, [text])
        embedded, *others = result
        assert self._family.text_states is not None, "other families are refused beforehand"
        with torch.no_grad():
            states = self._family.text_states(self._family.denoiser_of(self._pipe), embedded)
        masks = (each for each in others if _is_mask(each, embedded))
        alone = EncodedText(
            prompts=(text,),
            embedded=states,
            mask=next((mask.bool() for mask in masks), None),
            sums=LayerSums(self._request.keep),
        )
        given = dict.fromkeys(self._family.encoders[0].prompts, (text,))
        self._add_blocks(alone, heard, given, arguments, embedded)
        return alone

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
        encoded: EncodedText,
        heard: Mapping[str, list[Reading]],
        given: Mapping[str, tuple[str, ...]],
        arguments: Mapping[str, Any],
        embedded: Any,
    ) -> list[Reading]:
        """Find out which tokens of texts became text keys in a call of encode_prompt; return what was read."""
        read: list[Reading] = []
        start = encoded.text_length
        encoded.text_length += max(len(row) for row in embedded)
        for encoder in self._readable():
            if encoder.name in encoded.encoders or not heard[encoder.name]:
                continue
            encoded.encoders.append(encoder.name)
            tokenizer = encoder.tokenizer_of(self._pipe)
            own = next(given[name] for name in encoder.prompts if name in given)
            readings = find_prompts(tokenizer, own, heard[encoder.name])
            if readings is None:
                refuse_replaced_text(self._pipe, own, heard[encoder.name])
            read += readings
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
            if own == encoded.prompts:
                encoded.blocks.append(TextBlock(encoder.name, start, prompts))
            else:
                encoded.left_out[encoder.name] = (
                    "this text encoder read another text: " + " | ".join(own)
                )
            start += max(prompt.length for prompt in prompts)
        if not encoded.encoders:
            raise TraceError(
                f"Expected {type(self._pipe).__name__}.encode_prompt to call its tokenizer, but it did "
                "not, so the tokens of the prompt are not known."
            )
        if start > encoded.text_length:
            raise TraceError(
                f"Expected {type(self._pipe).__name__}.encode_prompt to give {start} text keys, as "
                f"the {self._family.name} family describes it, but it gave {encoded.text_length}: it "
                "keeps other tokens, and needs a Family of its own."
            )
        return read


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


def _is_text(result: Any) -> bool:
    """Whether a result of encode_prompt is embedded text: one tensor, or one for each prompt."""
    if isinstance(result, list):
        return bool(result)
    return isinstance(result, torch.Tensor) and result.ndim == 3 and result.is_floating_point()


def _is_mask(result: Any, embedded: Tensor) -> bool:
    """Whether a result of encode_prompt says which positions of embedded text are tokens."""
    return isinstance(result, Tensor) and result.shape == embedded.shape[:2]
