"""The self-attention of text encoders as attention between words, without generating images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any, Final

import torch

from daam_syntax.attention.families import family_of
from daam_syntax.attention.pipeline_call.memory import default_max_bytes
from daam_syntax.attention.text_encoders.calls import encode_arguments
from daam_syntax.attention.text_encoders.components import EncoderParts, encoders_of
from daam_syntax.attention.text_encoders.encoder_recorder import EncoderRecorder
from daam_syntax.attention.text_encoders.results import recorded_attention
from daam_syntax.attention.texts.sentences import PromptSentences, Sentences
from daam_syntax.attention.texts.token_spans import all_spans
from daam_syntax.errors import MemoryLimitError, TraceError
from daam_syntax.language import check_prompt
from daam_syntax.maps.kept_maps import AXES, check_axes
from daam_syntax.maps.selection import LayerSelection, layer_selector
from daam_syntax.maps.word_attention.values import WordAttention
from daam_syntax.pipelines.identity import model_name
from daam_syntax.util.arguments.annotations import shown
from daam_syntax.util.arguments.checks import checked
from daam_syntax.util.progress import show_progress
from daam_syntax.util.wording import human_size

_AT_ONCE: Final = 16
"""Prompts that are encoded together."""
_N_SPECIAL: Final = 5
"""Kinds of groups besides the tokens of the text, at most."""
_SHOWS_PROGRESS: Final = 4 * _AT_ONCE


@checked
def trace_text(
    pipe: Any,
    prompts: str | Iterable[str],
    *,
    encoders: Iterable[str] | str | None = None,
    keep: Iterable[str] | str = (),
    layers: LayerSelection = None,
    parser: Any = None,
    sentences: Sentences = (),
    max_bytes: int | None = None,
    progress: bool | None = None,
    **options: Any,
) -> list[WordAttention]:
    """Return the self-attention of a pipeline's text encoders as attention between words; no image is generated.

    The weights are the softmax over all tokens that the encoder reads, with its masks, its position biases, and its
    causality, computed in float32 from the queries and keys of the encoder's own call; in encoders that compute the
    softmax themselves (eager attention), they are its result. What the encoder returns is bit-identical to a call
    without the trace.

    Parameters
    ----------
    pipe
        A diffusers pipeline of a known family (see `FAMILIES`). It encodes the prompts as for an image without
        guidance, with its template and its padding.
    prompts
        One prompt, or several.
    encoders
        Names of the encoders, such as "text_encoder_2"; None for all that the pipeline has, also those whose tokens
        are no keys of the denoiser (the CLIP of Flux).
    keep
        The axes to keep, any of "layer" and "head"; attention is averaged over the others.
    layers
        Layers to record: a string that module paths contain, several, or a function of a path; None for all.
    parser
        The dependency parser: a name, a loaded spaCy pipeline, or None for the default.
    sentences
        Prompts that are already parsed, as for `Trace.heat_maps`.
    max_bytes
        The largest size of the result in memory; None for half of the available memory. It is predicted after the
        first prompts, from the number of tokens of all.
    progress
        Whether to show progress; None to show it in a terminal, if there are many prompts.
    **options
        Arguments of the pipeline call that differ from its defaults, such as ``max_sequence_length``.

    Returns
    -------
    list of WordAttention
        One for each prompt and encoder: the prompts in order, and for each of them the encoders in order.

    Raises
    ------
    TraceError
        If the pipeline's family is unknown, it has no such encoder, or an encoder's attention cannot be observed.
    MemoryLimitError
        If the result would be larger than `max_bytes`.
    PromptError
        If a prompt has no words.

    Examples
    --------
    >>> (attention,) = trace_text(pipe, "a red cat", encoders="text_encoder")  # doctest: +SKIP
    >>> attention.between("cat", "red")  # doctest: +SKIP
    """
    family = family_of(pipe)
    parts = encoders_of(pipe, family, encoders)
    known = {"pipeline": type(pipe).__name__, "family": family.name, "model": model_name(pipe)}

    def encode(batch: Sequence[str]) -> None:
        for arguments in encode_arguments(pipe, family, list(batch), options):
            try:
                type(pipe).encode_prompt(pipe, **arguments)  # that of the instance may be wrapped
            except ValueError as error:
                if "image" not in arguments:
                    raise
                raise TraceError(
                    f"Expected {type(pipe).__name__} to encode text alone, but it reads images with the prompt: "
                    f"{error} Trace its text encoder while it draws, with trace(pipe, relations='encoder')."
                ) from error

    try:
        return _trace(
            parts,
            prompts,
            encode,
            keep=keep,
            layers=layers,
            read=PromptSentences(sentences, parser),
            max_bytes=max_bytes,
            progress=progress,
            provenance=known,
        )
    finally:
        type(pipe).maybe_free_model_hooks(pipe)


@checked
def trace_encoder(
    model: torch.nn.Module,
    tokenizer: Any,
    prompts: str | Iterable[str],
    *,
    keep: Iterable[str] | str = (),
    layers: LayerSelection = None,
    parser: Any = None,
    sentences: Sentences = (),
    max_bytes: int | None = None,
    progress: bool | None = None,
) -> list[WordAttention]:
    """Return the self-attention of any text encoder of transformers as attention between words.

    Parameters
    ----------
    model
        A model of transformers that takes ``input_ids`` and ``attention_mask``, in evaluation mode.
    tokenizer
        Its tokenizer. The texts are padded to the longest of up to 16 and cut off at its ``model_max_length``.
    prompts, keep, layers, parser, sentences, max_bytes, progress
        As for `trace_text`.

    Returns
    -------
    list of WordAttention
        One for each prompt, in order.

    Raises
    ------
    TraceError, MemoryLimitError, PromptError
        As for `trace_text`.

    Examples
    --------
    >>> trace_encoder(BertModel.from_pretrained(path).eval(), tokenizer, "a red cat")  # doctest: +SKIP
    """
    if not callable(tokenizer):
        raise TypeError(f"Expected the tokenizer of the model, but got {shown(tokenizer)}.")
    device = next(model.parameters()).device

    def encode(batch: Sequence[str]) -> None:
        read = tokenizer(list(batch), padding=True, truncation=True, return_tensors="pt")
        model(
            input_ids=read["input_ids"].to(device),
            attention_mask=read["attention_mask"].to(device),
        )

    return _trace(
        [EncoderParts("encoder", model, tokenizer)],
        prompts,
        encode,
        keep=keep,
        layers=layers,
        read=PromptSentences(sentences, parser),
        max_bytes=max_bytes,
        progress=progress,
        provenance={"model": getattr(model, "name_or_path", "") or None},
    )


def _trace(
    encoders: Sequence[EncoderParts],
    prompts: str | Iterable[str],
    encode: Callable[[Sequence[str]], None],
    *,
    keep: Iterable[str] | str,
    layers: LayerSelection,
    read: PromptSentences,
    max_bytes: int | None,
    progress: bool | None,
    provenance: dict[str, Any],
) -> list[WordAttention]:
    texts = [check_prompt(text) for text in ([prompts] if isinstance(prompts, str) else prompts)]
    axes = check_axes(keep)
    if "step" in axes:
        raise ValueError(
            f"Expected axes among {AXES[1:]}, but got 'step': a text is encoded once, before the first step."
        )
    read.parse_all(texts)
    distinct = list(dict.fromkeys(texts))
    limit = default_max_bytes() if max_bytes is None else max_bytes
    selector = layer_selector(layers)
    made: dict[tuple[str, str], WordAttention] = {}
    shows = len(distinct) > _SHOWS_PROGRESS if progress is None else progress
    with show_progress(shows, len(distinct), label="Encoding", unit="prompts") as bar:
        for first in range(0, len(distinct), _AT_ONCE):
            batch = distinct[first : first + _AT_ONCE]
            recorders = [EncoderRecorder(each, batch, axes, selector) for each in encoders]
            with torch.no_grad(), ExitStack() as stack:
                for recorder in recorders:
                    stack.enter_context(recorder.recording())
                encode(batch)
            for recorder in recorders:
                recorder.check()
                if first == 0:
                    _check_size(recorder, distinct, limit // len(recorders))
                for prompt, text in recorder.recorded.items():
                    made[prompt, recorder.parts.name] = recorded_attention(
                        recorder.parts, text, axes, read[prompt], provenance
                    )
            bar.advance(len(batch))
    return [made[text, each.name] for text in texts for each in encoders]


def _check_size(recorder: EncoderRecorder, prompts: Sequence[str], limit: int) -> None:
    """Refuse a result that is too large, predicted from the recording of the first prompts.

    Each number of the recording takes 4 bytes, and there are as many as layers, heads, and pairs of groups: those of
    the prompt's tokens, and at most five of special tokens.
    """
    recorded = list(recorder.recorded.values())
    per_pair = max(text.values_per_pair for text in recorded)
    tokenizer = recorder.parts.tokenizer
    sizes = [
        min(len(all_spans(tokenizer, prompt)), recorder.length) + _N_SPECIAL for prompt in prompts
    ]
    predicted = sum(4 * per_pair * size**2 for size in sizes)
    if predicted > limit:
        raise MemoryLimitError(
            f"Expected attention of at most {human_size(limit)}, but that of {len(prompts)} prompts in "
            f"{recorder.parts.name} takes {human_size(predicted)}, {per_pair} numbers for each pair of tokens: keep "
            "fewer axes (keep=), choose layers (layers=), trace fewer prompts at once, or allow more memory "
            "(max_bytes=).",
            predicted,
            limit,
        )
