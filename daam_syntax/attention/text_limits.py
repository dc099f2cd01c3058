"""Prompts that are longer than a text encoder reads, found before anything is drawn."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from daam_syntax.attention.families import Family, TextEncoder, family_of
from daam_syntax.attention.pipeline_call.token_spans import (
    Reading,
    all_spans,
    find_prompts,
    listening,
    read_prompt,
)
from daam_syntax.errors import TraceError
from daam_syntax.util.library_output import quietly

_PROBE: Final = "Cat " + "cat " * 1200
"""Longer than any encoder of pictures' models reads; capital, to see whether the pipeline lowers it."""

FORMS: Final[Mapping[str, Callable[[str], str]]] = {
    "as it is": lambda prompt: prompt,
    "stripped": lambda prompt: prompt.strip(),
    "lower case": lambda prompt: prompt.strip().lower(),
}
"""What pipelines do to a prompt before they give it to a tokenizer."""

_WORD: Final = re.compile(r"\w+(?:[-'’]\w+)*")


@dataclass(frozen=True)
class TextLimit:
    """How much of a prompt a text encoder reads.

    Attributes
    ----------
    encoder
        Its name, as in heat maps.
    tokenizer
        The pipeline's attribute that holds its tokenizer.
    n_tokens
        Tokens that it reads at most of `before` and the prompt, without those that the tokenizer adds; None where
        there is no limit.
    form
        How the pipeline gives it the prompt, see `FORMS`.
    before, after
        What the pipeline writes around the prompt, for instance of a chat.
    """

    encoder: str
    tokenizer: str
    n_tokens: int | None
    form: str = "as it is"
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Overflow:
    """A prompt that is longer than an encoder reads.

    Attributes
    ----------
    prompt
        The prompt.
    encoder
        The encoder's name.
    n_tokens, limit
        Tokens of the prompt, and how many of them the encoder reads.
    truncated_at
        Offset of the first character that it does not read.
    words
        The words that it does not read, or not to their end.
    """

    prompt: str
    encoder: str
    n_tokens: int
    limit: int
    truncated_at: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.n_tokens} tokens, of which the text encoder {self.encoder} reads {self.limit}; "
            f"it does not read: {' '.join(self.words)}"
        )


def overflow(prompts: str | Iterable[str], pipe: Any, **options: Any) -> tuple[Overflow, ...]:
    """Say which prompts are longer than a pipeline's text encoders read.

    Parameters
    ----------
    prompts
        One prompt, or several, or a `PromptSet`.
    pipe
        A pipeline that can be traced. One text is encoded; nothing is drawn.
    **options
        Arguments of the pipeline's call that will not be its defaults, such as ``max_sequence_length``.

    Returns
    -------
    tuple of Overflow
        One for each prompt and encoder that does not read all of it; usually none.

    Raises
    ------
    TraceError
        If the pipeline cannot be traced, or its tokens cannot be matched with text.
    """
    tokenizers = {limit: getattr(pipe, limit.tokenizer) for limit in text_limits(pipe, **options)}
    return find_overflow([prompts] if isinstance(prompts, str) else prompts, tokenizers)


def find_overflow(
    prompts: Iterable[str], tokenizers: Mapping[TextLimit, Any]
) -> tuple[Overflow, ...]:
    """Say which prompts are longer than the limits of some tokenizers; see `overflow`."""
    return tuple(
        found
        for prompt in prompts
        for limit, tokenizer in tokenizers.items()
        if limit.n_tokens is not None
        for found in _overflow(prompt, limit, _plain(tokenizer))
    )


def _overflow(prompt: str, limit: TextLimit, tokenizer: Any) -> Iterator[Overflow]:
    assert limit.n_tokens is not None
    own = _own_tokens(limit, tokenizer, prompt)
    n_read = sum(place < limit.n_tokens for place in own)
    if n_read == len(own):
        return
    # What the pipeline leaves out at the beginning.
    skipped = 0 if limit.form == "as it is" else len(prompt) - len(prompt.lstrip())
    start = skipped + list(own.values())[n_read]
    words = tuple(word.group() for word in _WORD.finditer(prompt) if word.end() > start)
    yield Overflow(prompt, limit.encoder, len(own), n_read, start, words)


def _own_tokens(limit: TextLimit, tokenizer: Any, prompt: str) -> dict[int, int]:
    """Return where the tokens of a prompt stand among all, and where they begin in the prompt as it is given."""
    text = FORMS[limit.form](prompt)
    first, end = len(limit.before), len(limit.before) + len(text)
    spans = all_spans(tokenizer, f"{limit.before}{text}{limit.after}")
    return {
        # A token may hold the end of what is before the prompt and the beginning of the prompt.
        place: max(0, span[0] - first)
        for place, span in enumerate(spans)
        if span[1] > first and span[0] < end
    }


def text_limits(pipe: Any, **options: Any) -> tuple[TextLimit, ...]:
    """Find out how much a pipeline's text encoders read, by letting it encode a text longer than any.

    Parameters
    ----------
    pipe, **options
        See `overflow`.

    Raises
    ------
    TraceError
        If the pipeline cannot be traced, or its tokens cannot be matched with text.
    """
    family = family_of(pipe)
    encoders = [each for each in family.encoders if each.tokenizer_of(pipe) is not None]
    found: dict[str, TextLimit] = {}
    for arguments in _arguments(pipe, family, options):
        tokenizers = [each.tokenizer_of(pipe) for each in encoders]
        with listening(tokenizers) as heard, torch.no_grad(), quietly():
            pipe.encode_prompt(**arguments)  # they warn that the text is too long, as it should be
        for encoder, readings in zip(encoders, heard, strict=True):
            if readings and encoder.name not in found:
                found[encoder.name] = _limit(pipe, encoder, readings, arguments)
    return tuple(found.values())


def _arguments(pipe: Any, family: Family, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the arguments with which the pipeline itself calls `encode_prompt`, once for each encoder if it asks."""
    own = inspect.signature(pipe.encode_prompt).parameters
    called = inspect.signature(pipe.__call__).parameters
    values: dict[str, Any] = {
        name: called[name].default
        for name in own
        if name in called and called[name].default is not inspect.Parameter.empty
    }
    fixed = {
        "prompt": _PROBE,
        "device": pipe.device,
        "num_images_per_prompt": 1,
        "do_classifier_free_guidance": False,
    }
    values |= {name: value for name, value in {**options, **fixed}.items() if name in own}
    # Defaults of the method are read by name too, see `TextEncoder.kept`.
    plain = inspect.Parameter.POSITIONAL_OR_KEYWORD
    defaults = {n: p.default for n, p in own.items() if p.kind == plain and n not in values}
    values |= {n: None if d is inspect.Parameter.empty else d for n, d in defaults.items()}
    if "text_encoder_index" in own:
        for index in range(len(family.encoders)):
            yield values | {"text_encoder_index": index}
    else:
        yield values


def _limit(
    pipe: Any, encoder: TextEncoder, readings: Sequence[Reading], arguments: Mapping[str, Any]
) -> TextLimit:
    tokenizer = encoder.tokenizer_of(pipe)
    probes = find_prompts(tokenizer, [_PROBE], readings)
    if probes is None:
        raise TraceError(
            f"Expected {type(pipe).__name__}.encode_prompt to give its tokenizer the prompt, but it gave "
            f"{readings[0].text[:80]!r}."
        )
    (reading,) = probes
    read = read_prompt(tokenizer, reading, _PROBE, encoder.kept(reading.mask, pipe, arguments))
    name = next(n for n in encoder.tokenizers if getattr(pipe, n, None) is not None)
    form, text = next(
        (form, text) for form, change in FORMS.items() if (text := change(_PROBE)) in reading.text
    )
    before, _, after = reading.text.partition(text)
    limit = TextLimit(encoder.name, name, None, form, before, after)
    if read.truncated_at is None:
        return limit
    n_read = sum(subword.kind == "text" for subword in read.subwords)
    last = list(_own_tokens(limit, tokenizer, _PROBE))[n_read - 1] if n_read else -1
    return replace(limit, n_tokens=last + 1)


def _plain(tokenizer: Any) -> Any:
    return getattr(tokenizer, "tokenizer", tokenizer)  # a processor holds its own
