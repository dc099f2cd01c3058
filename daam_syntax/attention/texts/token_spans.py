"""The tokens that a text encoder reads from a prompt, and their character offsets in the prompt.

The calls of a pipeline's tokenizers are recorded while it encodes its prompts. The record shows the text that
they received, such as a chat template around the prompt, and the tokens that they made of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from daam_syntax.attention.texts.textual_inversion import CharSpan, spans_in_prompt
from daam_syntax.errors import TraceError
from daam_syntax.maps import Subword


@dataclass(frozen=True)
class Reading:
    """A text as a tokenizer read it.

    Attributes
    ----------
    text
        The text that the tokenizer received.
    ids
        Token ids, including padding and special tokens.
    mask
        1 for each token, 0 for padding.
    special
        True for each token that the tokenizer added and that represents no text.
    spans
        Character offsets of each token in the text; None if the tokenizer does not provide them.
    """

    text: str
    ids: tuple[int, ...]
    mask: tuple[int, ...]
    special: tuple[bool, ...]
    spans: tuple[CharSpan, ...] | None


@dataclass(frozen=True)
class TokenizedPrompt:
    """A prompt as one text encoder passes it to the denoiser.

    Attributes
    ----------
    prompt
        The text.
    subwords
        The tokens in the encoder's order. Padding is included only if it was requested.
    truncated_at
        Offset of the first character that the encoder did not read; None if it read the whole prompt.
    length
        Length of the sequence, including padding.
    """

    prompt: str
    subwords: tuple[Subword, ...]
    truncated_at: int | None
    length: int

    @property
    def positions(self) -> list[int]:
        """Positions of the subwords in the sequence."""
        return [subword.position for subword in self.subwords]


@contextmanager
def record_readings(tokenizers: Sequence[Any]) -> Iterator[list[list[Reading]]]:
    """Record what tokenizers read when the current thread calls them.

    Python looks up ``__call__`` on an object's class. Each tokenizer therefore temporarily gets a subclass of
    its own class; the original class is not changed.

    Yields
    ------
    list of list of Reading
        For each tokenizer, its readings in order. The lists grow while the block runs.
    """
    recorded: list[list[Reading]] = [[] for _ in tokenizers]
    before = [type(tokenizer) for tokenizer in tokenizers]
    try:
        for tokenizer, readings in zip(tokenizers, recorded, strict=True):
            tokenizer.__class__ = _recording_class(type(tokenizer), readings)
        yield recorded
    finally:
        for tokenizer, cls in zip(tokenizers, before, strict=True):
            tokenizer.__class__ = cls


def stop_recording(tokenizers: Sequence[Any]) -> None:
    """Restore the classes of tokenizers whose recording in this thread was interrupted before it could do so."""
    for tokenizer in tokenizers:
        while vars(type(tokenizer)).get("_recording_thread") == threading.get_ident():
            tokenizer.__class__ = type(tokenizer).__base__


def _recording_class(cls: type, readings: list[Reading]) -> type:
    thread = threading.get_ident()

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        output = cls.__call__(self, *args, **kwargs)
        text = args[0] if args else kwargs.get("text")
        if text is not None and threading.get_ident() == thread:
            readings.extend(_readings(self, [text] if isinstance(text, str) else text, output))
        return output

    members = {"__call__": call, "__module__": cls.__module__, "_recording_thread": thread}
    return type(cls.__name__, (cls,), members)


def _readings(tokenizer: Any, texts: Sequence[str], output: Any) -> Iterator[Reading]:
    encodings = getattr(output, "encodings", None)
    if encodings:
        # Encodings of overflowing tokens, if requested, follow those of the texts.
        for text, encoding in zip(texts, encodings, strict=False):
            yield Reading(
                text,
                tuple(encoding.ids),
                tuple(encoding.attention_mask),
                tuple(bool(is_special) for is_special in encoding.special_tokens_mask),
                tuple(encoding.offsets),
            )
        return
    rows = _as_lists(output["input_ids"])
    given_masks = output.get("attention_mask") if hasattr(output, "get") else None
    masks = [[1] * len(row) for row in rows] if given_masks is None else _as_lists(given_masks)
    # Some write tokens around every text that they do not list as special, such as ChatGLM's.
    around = getattr(tokenizer, "build_inputs_with_special_tokens", lambda ids: ids)([])
    added = {*tokenizer.all_special_ids, *around}
    for text, ids, mask in zip(texts, rows, masks, strict=False):
        special = tuple(each in added for each in ids)
        yield Reading(text, tuple(ids), tuple(mask), special, None)


def _as_lists(ids: Any) -> list[list[int]]:
    rows = ids.tolist() if isinstance(ids, torch.Tensor) else list(ids)
    return [rows] if rows and isinstance(rows[0], int) else rows


def find_prompts(
    tokenizer: Any,
    prompts: Sequence[str],
    readings: Sequence[Reading],
    *,
    has_template: bool = False,
) -> list[Reading] | None:
    """Find the readings of the prompts among all readings of a tokenizer.

    Parameters
    ----------
    tokenizer
        A tokenizer of transformers.
    prompts
        The prompts.
    readings
        Its readings.
    has_template
        Whether the pipeline writes other text around the prompts.

    Returns
    -------
    list of Reading or None
        One reading per prompt: the first consecutive readings whose texts are the prompts, or else the first whose
        texts contain them. None if there are no such readings.
    """
    n = len(prompts)
    runs = [list(readings[start : start + n]) for start in range(len(readings) - n + 1)]
    for is_inside in (False, True)[: 1 + has_template]:
        for run in runs:
            pairs = zip(prompts, run, strict=True)
            if all(locate(tokenizer, p, each.text, has_template=is_inside) for p, each in pairs):
                return run
    return None


def locate(
    tokenizer: Any, prompt: str, text: str, *, has_template: bool = False
) -> Callable[[CharSpan], CharSpan | None] | None:
    """Find a prompt in the text that a tokenizer received.

    The pipeline may have converted the prompt to lower case, stripped the whitespace around it, or written out textual
    inversions of several vectors. With a template around it, the prompt may occur several times; then the occurrence
    that ends the text or precedes a special token is used, as in chat templates.

    Returns
    -------
    callable or None
        A function from a span of the text to the span of the prompt, which returns None for spans outside the
        prompt. None if the prompt is not in the text.
    """
    place = _find(tokenizer, prompt, text, has_template)
    if place is None:
        return None
    start, origin = place

    def to_prompt(span: CharSpan) -> CharSpan | None:
        first, last = max(span[0] - start, 0), min(span[1] - start, len(origin)) - 1
        return (origin[first][0], origin[last][1]) if first <= last else None

    return to_prompt


def _find(
    tokenizer: Any, prompt: str, text: str, has_template: bool
) -> tuple[int, list[CharSpan]] | None:
    """Return where a prompt starts in a text, and the span of the prompt that each of its characters comes from."""
    written = spans_in_prompt(tokenizer, prompt, text)
    if written is not None:
        return 0, written
    for variant, origin in _variants(prompt):
        start = _place(tokenizer, variant, text) if has_template or variant == text else None
        if start is not None:
            return start, origin
    return None


def _variants(prompt: str) -> Iterator[tuple[str, list[CharSpan]]]:
    """Yield the forms in which pipelines pass on a prompt, each with its characters' original spans."""
    spans = [(place, place + 1) for place in range(len(prompt))]
    yield prompt, spans
    stripped = prompt.strip()
    skipped = len(prompt) - len(prompt.lstrip())
    own = spans[skipped : skipped + len(stripped)]
    yield stripped, own
    # Some characters become two in lower case, such as "İ".
    lowered = [span for span, each in zip(own, stripped, strict=True) for _ in each.lower()]
    if len(lowered) == len(stripped.lower()):
        yield stripped.lower(), lowered


def _place(tokenizer: Any, prompt: str, text: str) -> int | None:
    if prompt == text or not prompt:
        return 0
    places, start = [], text.find(prompt)
    while start >= 0:
        places.append(start)
        start = text.find(prompt, start + 1)
    if len(places) > 1:
        special = tuple(map(str, getattr(tokenizer, "added_tokens_encoder", {}))) + tuple(
            map(str, tokenizer.all_special_tokens)
        )
        for place in places:
            rest = text[place + len(prompt) :].lstrip()
            if not rest or rest.startswith(special):
                return place
        return None
    return places[0] if places else None


def read_prompt(
    tokenizer: Any,
    reading: Reading,
    prompt: str,
    kept: Sequence[int | None],
    *,
    padding: bool = False,
    has_template: bool = False,
) -> TokenizedPrompt:
    """Return the tokens of a prompt that reach the denoiser, with their offsets in the prompt.

    Parameters
    ----------
    tokenizer
        A tokenizer of transformers.
    reading
        The tokenizer's reading of the prompt.
    prompt
        The text as the user wrote it.
    kept
        Positions of the reading that reach the denoiser, in order; None for padding that the pipeline adds.
    padding
        Whether to include padding.
    has_template
        Whether the pipeline writes other text around the prompt.

    Raises
    ------
    TraceError
        If the offsets of the tokens cannot be determined.
    """
    to_prompt = locate(tokenizer, prompt, reading.text, has_template=has_template)
    if to_prompt is None:
        raise TraceError(
            f"Expected the tokenizer to receive {prompt!r}, but it received {reading.text!r}."
        )
    if reading.spans is None:
        reading = replace(reading, spans=_decoded_spans(tokenizer, reading))
    assert reading.spans is not None
    texts = tokenizer.convert_ids_to_tokens(list(reading.ids))
    starters = {tokenizer.bos_token_id, tokenizer.cls_token_id} - {None}
    spans = [
        None if special else to_prompt(span)
        for span, special in zip(reading.spans, reading.special, strict=True)
    ]
    first = next((source for source, span in enumerate(spans) if span is not None), 0)
    subwords = []
    for position, source in enumerate(kept):
        if source is None or not reading.mask[source]:
            if padding:
                text = str(tokenizer.pad_token or "") if source is None else texts[source]
                subwords.append(Subword(position, text, 0, 0, "padding"))
            continue
        span = spans[source]
        if span is not None:
            subwords.append(Subword(position, texts[source], *span, "text"))
        elif not reading.special[source]:
            subwords.append(Subword(position, texts[source], 0, 0, "template"))
        elif reading.ids[source] in starters or source < first:
            subwords.append(Subword(position, texts[source], 0, 0, "start"))
        else:
            subwords.append(Subword(position, texts[source], 0, 0, "end"))
    return TokenizedPrompt(
        prompt,
        tuple(subwords),
        _truncated_at(tokenizer, reading, to_prompt, subwords),
        len(kept),
    )


def _truncated_at(
    tokenizer: Any,
    reading: Reading,
    to_prompt: Callable[[CharSpan], CharSpan | None],
    subwords: Sequence[Subword],
) -> int | None:
    """Return the offset of the first token of the prompt that was cut off; None if none was."""
    read = [(subword.start, subword.end) for subword in subwords if subword.kind == "text"]
    whole = all_spans(tokenizer, reading.text)
    spans = [span for each in whole if (span := to_prompt(each)) is not None]
    if len(spans) <= len(read):
        return None
    end = max((end for _, end in read), default=0)
    left_out = [span for span in spans if span[0] >= end]
    if left_out:
        return left_out[0][0]
    # Several tokens may have the same span: those of an emoji, or of a textual inversion.
    return spans[-1][0] if spans.count(spans[-1]) > read.count(spans[-1]) else None


def all_spans(tokenizer: Any, text: str) -> list[CharSpan]:
    """Return the offsets of all tokens of a text, including those that an encoder would cut off.

    Raises
    ------
    TraceError
        If the offsets cannot be determined.
    """
    if getattr(tokenizer, "is_fast", False):
        # verbose=False: a prompt that is too long for the encoder is no reason to warn here.
        found = tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        return [(start, end) for start, end in found["offset_mapping"]]
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    n = len(ids)
    return list(_decoded_spans(tokenizer, Reading(text, tuple(ids), (1,) * n, (False,) * n, None)))


def _decoded_spans(tokenizer: Any, reading: Reading) -> tuple[CharSpan, ...]:
    """Find the offsets of tokens by decoding one more token at a time.

    The offsets are exact: a text is refused unless its tokens decode to it, or to its beginning if it was
    truncated.
    """
    spans = [(0, 0)] * len(reading.ids)
    places = [
        place
        for place, (is_read, special) in enumerate(zip(reading.mask, reading.special, strict=True))
        if is_read and not special
    ]
    ids = [reading.ids[place] for place in places]
    options = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
    decoded = [tokenizer.decode(ids[:n], **options) for n in range(len(ids) + 1)]
    skipped = len(reading.text) - len(reading.text.lstrip())
    # A decoder may drop leading whitespace.
    lead = 0 if reading.text.startswith(decoded[-1]) else skipped
    if not reading.text[lead:].startswith(decoded[-1]):
        raise TraceError(
            "Expected a tokenizer that provides character offsets, or whose tokens decode to the text, but "
            f"{type(tokenizer).__name__} decodes the tokens of {reading.text!r} to {decoded[-1]!r}, so they "
            "cannot be aligned with words: load the pipeline with the fast version of the tokenizer, if there is one."
        )
    start = 0
    for n, place in enumerate(places, start=1):
        # Several tokens may encode one character: each gets the span of the whole character.
        whole = next(
            m
            for m in range(n, len(decoded))
            if m == len(ids) or (len(decoded[m]) > start and decoded[-1].startswith(decoded[m]))
        )
        spans[place] = (lead + start, lead + len(decoded[whole]))
        if whole == n:
            start = len(decoded[n])
    return tuple(spans)
