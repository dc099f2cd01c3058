"""The tokens and embeddings that a pipeline's text encoders make of its prompts, observed in `encode_prompt`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from daam_syntax.attention.families import Family, TextEncoder
from daam_syntax.attention.pipeline_call.call import EncodedText, PipelineCall, TextBlock
from daam_syntax.attention.pipeline_call.encoded_results import (
    Texts,
    embeddings_in,
    is_mask,
    is_text,
    text_arguments,
)
from daam_syntax.attention.pipeline_call.other_texts import encode_alone
from daam_syntax.attention.pipeline_call.recording_spec import RecordingSpec
from daam_syntax.attention.pipeline_call.refusals import (
    refuse_other_embeddings,
    refuse_replaced_text,
)
from daam_syntax.attention.pipeline_call.state_editing import EncodeCall, changed_states
from daam_syntax.attention.softmax.layer_sums import LayerSums
from daam_syntax.attention.texts.drawn_text import Embedding, largest_angle
from daam_syntax.attention.texts.token_spans import (
    Reading,
    find_prompts,
    read_prompt,
    record_readings,
    stop_recording,
)
from daam_syntax.errors import TraceError

_OTHER_TEXT: Final = 45
"""Degrees from which embeddings are those of another text; a blend of two is nearer to the one with more weight."""

Readings = Mapping[str, list[Reading]]
"""Readings of each text encoder's tokenizer, by the encoder's name."""


class PromptEncoding:
    """Makes a `PipelineCall` from a pipeline's calls of `encode_prompt`.

    Parameters
    ----------
    pipe
        The pipeline.
    family
        Its family.
    spec
        What to record.
    """

    def __init__(self, pipe: Any, family: Family, spec: RecordingSpec) -> None:
        self._pipe = pipe
        self._family = family
        self._spec = spec

    def begin(
        self, encode: Callable[[], Any], arguments: Mapping[str, Any]
    ) -> tuple[Any, PipelineCall]:
        """Let the pipeline encode its prompts, and start a `PipelineCall` with them.

        Parameters
        ----------
        encode
            The pipeline's call of `encode_prompt`.
        arguments
            Arguments of that call by name.

        Returns
        -------
        object
            The result of `encode_prompt`.
        PipelineCall
            The pipeline call that begins.
        """
        given = text_arguments(arguments)
        with self._recorded_readings() as readings:
            if arguments.get("prompt") is None:
                given |= self._read_known_prompts(arguments)
            elif self._spec.prompts not in ((), given["prompt"]):
                raise TraceError(
                    f"Expected the prompts {list(self._spec.prompts)} of trace(prompts=...), but the pipeline got "
                    f"{list(given['prompt'])}: pass prompts to a trace only if the pipeline gets prompt_embeds "
                    "instead of text."
                )
            result = encode()
        encoder = self._family.encoders[0]
        prompts = next(given[name] for name in encoder.prompts if name in given)
        n_images, rest = divmod(len(result[0]), len(prompts))
        if rest:
            raise TraceError(
                f"Expected the embeddings of {len(prompts)} prompts to have a multiple of that many rows, but "
                f"{type(self._pipe).__name__}.encode_prompt returned {len(result[0])}."
            )
        pipeline_call = PipelineCall(
            prompts=prompts,
            images_per_prompt=n_images,
            requested_guidance=arguments.get("do_classifier_free_guidance"),
            seeds=[None] * len(result[0]),
            sums=LayerSums(self._spec.keep),
            output_sums=LayerSums(self._spec.keep, is_signed=True),
        )
        result = self._add_prompts(pipeline_call, readings, given, arguments, result)
        pipeline_call.also = [self._encode_other(text, arguments) for text in self._spec.also]
        pipeline_call.settings |= self._settings(given, arguments)
        return result, pipeline_call

    def _settings(self, given: Mapping[str, Texts], arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the provenance of the prompts."""
        settings: dict[str, Any] = {}
        if self._spec.padding:
            settings["padding"] = True
        if arguments.get("prompt") is None:
            settings["prompt_embeds"] = True
        second = given.get("prompt_2")
        if second is not None and second != given["prompt"]:
            is_one = isinstance(arguments["prompt_2"], str)
            settings["prompt_2"] = second[0] if is_one else list(second)
        return settings

    def _read_known_prompts(self, arguments: Mapping[str, Any]) -> dict[str, Texts]:
        """Let the pipeline encode the prompts that the trace knows, whose embeddings the pipeline got."""
        texts = self._spec.prompts
        if not texts:
            raise TraceError(
                "Expected the prompt as text, but the pipeline got prompt_embeds without a prompt, so the words are "
                "unknown: name them with trace(pipe, prompts=...), or pass prompt=... instead."
            )
        embeddings = arguments.get("prompt_embeds")
        if embeddings is None or len(embeddings) != len(texts):
            n = "no" if embeddings is None else len(embeddings)
            raise TraceError(
                f"Expected prompt_embeds of the {len(texts)} prompts of trace(prompts=...), but the pipeline got {n} "
                "rows: pass one prompt for each row."
            )
        try:
            result = encode_alone(self._pipe, arguments, texts)
        except Exception as error:
            raise TraceError(
                f"Expected {type(self._pipe).__name__} to encode the prompts of trace(prompts=...), as it would "
                f"without prompt_embeds, but it failed: {error}. Load it with its text encoders."
            ) from error
        for text, own, other in zip(texts, result[0], embeddings, strict=True):
            if own.shape != other.shape:
                raise TraceError(
                    f"Expected prompt_embeds of shape {tuple(own.shape)} (token, feature) for {text!r}, as "
                    f"{type(self._pipe).__name__} encodes it, but got {tuple(other.shape)}, so tokens cannot be "
                    "identified: embed the prompt as the pipeline does (padding, maximum sequence length, encoders), "
                    "and pass the same text to the trace."
                )
        self._check_angles(texts, result[0], embeddings, arguments)
        return dict.fromkeys(
            [name for encoder in self._family.encoders for name in encoder.prompts], texts
        )

    def _check_angles(
        self, texts: Texts, own: Any, given: Any, arguments: Mapping[str, Any]
    ) -> None:
        """Refuse embeddings of another text; warn about some that differ by more than weighted tokens do."""
        embedding = Embedding.of(own)
        if not bool(embedding.differs_from(given)):
            return
        empty = encode_alone(self._pipe, arguments, [""])[0][0]
        angles = [largest_angle(one, other, empty) for one, other in zip(given, own, strict=True)]
        angle, text = max(zip(angles, texts, strict=True))
        if angle > _OTHER_TEXT:
            refuse_other_embeddings(self._pipe, text, angle)
        if angle > 0:
            warnings.warn(
                f"Some tokens of prompt_embeds point up to {angle:.0f} degrees away from those that "
                f"{type(self._pipe).__name__} makes of {text!r}, which is more than weighting changes them: the maps "
                "are of the words only if the embeddings are a blend that is mostly this text.",
                stacklevel=2,
            )

    def is_more_of(self, pipeline_call: PipelineCall) -> bool:
        """Return whether another call of `encode_prompt` belongs to a pipeline call that has begun."""
        if pipeline_call.timesteps:
            return False
        return self._family.guidance == "by-text" or self._lacks_encoders(pipeline_call)

    def stop(self) -> None:
        """Restore the tokenizers, if an interrupt kept `begin` or `add` from doing so."""
        stop_recording([encoder.tokenizer_of(self._pipe) for encoder in self._loaded_encoders()])

    def _lacks_encoders(self, pipeline_call: PipelineCall) -> bool:
        return len(self._loaded_encoders()) > len(pipeline_call.encoders)

    def add(
        self, pipeline_call: PipelineCall, encode: Callable[[], Any], arguments: Mapping[str, Any]
    ) -> Any:
        """Add a negative prompt, or the prompts from another encoder; see `begin`."""
        given = text_arguments(arguments)
        is_more_of_prompts = self._lacks_encoders(pipeline_call)
        with self._recorded_readings() as readings:
            if is_more_of_prompts and arguments.get("prompt") is None:
                given |= self._read_known_prompts(arguments)
            result = encode()
        if is_more_of_prompts:
            return self._add_prompts(pipeline_call, readings, given, arguments, result)
        pipeline_call.other_embeddings += [Embedding.of(each) for each in embeddings_in(result)]
        if self._spec.negative and arguments.get("prompt") is not None:
            self._add_negative(pipeline_call, readings, given, arguments, result[0])
        return result

    def beside(
        self, pipeline_call: PipelineCall, encode: Callable[[], Any], arguments: Mapping[str, Any]
    ) -> Any:
        """Let the pipeline encode another text while it generates images, and remember which text that was."""
        result = encode()
        texts = next(iter(text_arguments(arguments).values()), ())
        embedded = result[0] if isinstance(result, tuple) else result
        if texts and is_text(embedded):
            pipeline_call.drawn.beside.append((texts, Embedding.of(embedded)))
        return result

    def _add_prompts(
        self,
        pipeline_call: PipelineCall,
        readings: Readings,
        given: Mapping[str, Texts],
        arguments: Mapping[str, Any],
        result: Sequence[Any],
    ) -> Any:
        """Add the prompts that a call of `encode_prompt` encoded, and the negative prompts beside them.

        Returns
        -------
        object
            The result, with the edits of the prompts' states.
        """
        n_before, start = len(pipeline_call.blocks), pipeline_call.text_length
        read = self._add_blocks(pipeline_call, readings, given, arguments, result[0])
        call = EncodeCall(
            arguments,
            result,
            pipeline_call.prompts,
            tuple(
                replace(block, start=block.start - start)
                for block in pipeline_call.blocks[n_before:]
            ),
            pipeline_call.left_out,
            lambda text: self._encode_other(text, arguments),
        )
        result = changed_states(self._family.denoiser_of(self._pipe), call)
        pipeline_call.embeddings.append(Embedding.of(result[0]))
        pipeline_call.other_embeddings += [Embedding.of(each) for each in embeddings_in(result[1:])]
        negative = {
            name.removeprefix("negative_"): texts
            for name, texts in given.items()
            if name.startswith("negative_")
        }
        embedded = next((each for each in result[1:] if is_text(each)), None)
        if self._spec.negative and negative and embedded is not None:
            # The prompt may contain the negative prompt, so its readings are excluded.
            others = {
                name: [each for each in own if each not in read] or own
                for name, own in readings.items()
            }
            self._add_negative(pipeline_call, others, negative, arguments, embedded)
        return result

    def _add_negative(
        self,
        pipeline_call: PipelineCall,
        readings: Readings,
        given: Mapping[str, Texts],
        arguments: Mapping[str, Any],
        embedded: Any,
    ) -> None:
        """Add the negative prompts that a call of `encode_prompt` encoded."""
        if pipeline_call.negative is None:
            prompts = next(
                given[name] for name in self._family.encoders[0].prompts if name in given
            )
            if not all(prompt.strip() for prompt in prompts):
                raise TraceError(
                    f"Expected negative prompts with words, to trace them, but got {list(prompts)}: pass "
                    "negative_prompt=... if the pipeline accepts it, or trace without negative=True."
                )
            pipeline_call.negative = EncodedText(prompts=prompts, sums=LayerSums(self._spec.keep))
        self._add_blocks(pipeline_call.negative, readings, given, arguments, embedded)
        pipeline_call.negative.embeddings.append(Embedding.of(embedded))

    def _encode_other(self, text: str, arguments: Mapping[str, Any]) -> EncodedText:
        """Encode a text outside the prompts."""
        with self._recorded_readings() as readings:
            result = encode_alone(self._pipe, arguments, [text])
        embedded, *others = result
        masks = (each for each in others if is_mask(each, embedded))
        encoded = EncodedText(
            prompts=(text,),
            encoded=embedded,
            mask=next((mask.bool() for mask in masks), None),
            sums=LayerSums(self._spec.keep),
            output_sums=LayerSums(self._spec.keep, is_signed=True),
        )
        given = dict.fromkeys(self._family.encoders[0].prompts, (text,))
        own = {**arguments, "prompt": [text]}
        self._add_blocks(encoded, readings, given, own, embedded)
        return encoded

    def _loaded_encoders(self) -> list[TextEncoder]:
        """Return the text encoders that the pipeline was loaded with."""
        return [
            encoder
            for encoder in self._family.encoders
            if encoder.tokenizer_of(self._pipe) is not None
        ]

    @contextmanager
    def _recorded_readings(self) -> Iterator[Readings]:
        """Record what the encoders' tokenizers read."""
        encoders = self._loaded_encoders()
        if not encoders:
            names = " or ".join(
                name for encoder in self._family.encoders for name in encoder.tokenizers
            )
            raise TraceError(
                f"Expected {type(self._pipe).__name__} to have a tokenizer ({names}), but it has none: load the "
                "pipeline with its tokenizer."
            )
        tokenizers = [encoder.tokenizer_of(self._pipe) for encoder in encoders]
        with record_readings(tokenizers) as readings:
            yield {encoder.name: own for encoder, own in zip(encoders, readings, strict=True)}

    def _add_blocks(
        self,
        encoded: EncodedText,
        readings: Readings,
        given: Mapping[str, Texts],
        arguments: Mapping[str, Any],
        embedded: Any,
    ) -> list[Reading]:
        """Find which tokens of texts became text keys in a call of `encode_prompt`; return the readings used."""
        used: list[Reading] = []
        start = encoded.text_length
        encoded.text_length += max(len(row) for row in embedded)
        for encoder in self._loaded_encoders():
            if encoder.name in encoded.encoders or not readings[encoder.name]:
                continue
            encoded.encoders.append(encoder.name)
            tokenizer = encoder.tokenizer_of(self._pipe)
            own = next(given[name] for name in encoder.prompts if name in given)
            found = find_prompts(
                tokenizer, own, readings[encoder.name], has_template=encoder.has_template
            )
            if found is None:
                refuse_replaced_text(self._pipe, tokenizer, own, readings[encoder.name])
            used += found
            prompts = tuple(
                read_prompt(
                    tokenizer,
                    reading,
                    text,
                    encoder.kept(reading.mask, self._pipe, arguments),
                    padding=self._spec.padding,
                    has_template=encoder.has_template,
                )
                for reading, text in zip(found, own, strict=True)
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
                f"Expected {type(self._pipe).__name__}.encode_prompt to call its tokenizer, but it did not, so the "
                "tokens of the prompt are unknown: switch off what keeps the embeddings of earlier calls."
            )
        if start > encoded.text_length:
            raise TraceError(
                f"Expected {type(self._pipe).__name__}.encode_prompt to return {start} text keys, as the "
                f"{self._family.name} family describes it, but it returned {encoded.text_length}: it keeps other "
                "tokens; register a Family for this model."
            )
        return used
