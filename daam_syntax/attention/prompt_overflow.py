"""Finding prompts that are longer than a text encoder reads, before any image is generated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

import torch

from daam_syntax.attention.families import TextEncoder, family_of
from daam_syntax.attention.families.description import plain_tokenizer
from daam_syntax.attention.text_encoders.calls import encode_arguments
from daam_syntax.attention.texts.textual_inversion import CharSpan, written_out
from daam_syntax.attention.texts.token_spans import (
    Reading,
    all_spans,
    find_prompts,
    read_prompt,
    record_readings,
)
from daam_syntax.errors import TraceError
from daam_syntax.util.arguments.checks import checked
from daam_syntax.util.library_output import quietly

_PROBE: Final = "Cat " + "cat " * 1200
"""Longer than any text encoder reads; capitalized, to test whether the pipeline converts it to lower case."""

FORMS: Final[Mapping[str, Callable[[str], str]]] = {
    "as it is": lambda prompt: prompt,
    "stripped": lambda prompt: prompt.strip(),
    "lower case": lambda prompt: prompt.strip().lower(),
}
"""How pipelines change a prompt before they pass it to a tokenizer."""

_AT_ONCE: Final = 1000
"""Prompts that are tokenized together, which is several times as fast as one by one."""

_WORD: Final = re.compile(r"\w+(?:[-'’]\w+)*")


@dataclass(frozen=True)
class TextLimit:
    """The longest prompt that a text encoder reads.

    Attributes
    ----------
    encoder
        Name of the encoder, as in heat maps.
    tokenizer
        Name of the pipeline's attribute that holds its tokenizer.
    n_tokens
        Maximum number of tokens that it reads of `before` and the prompt, without those that the tokenizer adds; None
        if there is no limit.
    form
        How the pipeline changes the prompt, see `FORMS`.
    before, after
        Text that the pipeline writes around the prompt, such as a chat template.
    """

    encoder: str
    tokenizer: str
    n_tokens: int | None
    form: str = "as it is"
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Overflow:
    """A prompt that is longer than a text encoder reads.

    Attributes
    ----------
    prompt
        The prompt.
    encoder
        Name of the encoder.
    n_tokens, limit
        Number of tokens of the prompt, and how many of them the encoder reads.
    truncated_at
        Offset of the first character that it does not read.
    words
        The words that it does not read, or reads only in part.
    """

    prompt: str
    encoder: str
    n_tokens: int
    limit: int
    truncated_at: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.n_tokens} tokens, but the text encoder {self.encoder} reads only {self.limit}; "
            f"not read: {' '.join(self.words)}"
        )


@checked
def overflow(prompts: str | Iterable[str], pipe: Any, **options: Any) -> tuple[Overflow, ...]:
    """Find the prompts that are longer than a pipeline's text encoders read.

    Parameters
    ----------
    prompts
        One prompt, several prompts, or a `PromptSet`.
    pipe
        A pipeline that can be traced. It encodes one text and generates no image.
    **options
        Arguments of the pipeline call that differ from its defaults, such as ``max_sequence_length``.

    Returns
    -------
    tuple of Overflow
        One for each prompt and encoder that does not read the whole prompt; usually none.

    Raises
    ------
    TraceError
        If the pipeline cannot be traced, or its tokens cannot be aligned with text.
    """
    tokenizers = {limit: getattr(pipe, limit.tokenizer) for limit in text_limits(pipe, **options)}
    return find_overflow([prompts] if isinstance(prompts, str) else prompts, tokenizers)


def find_overflow(
    prompts: Iterable[str], tokenizers: Mapping[TextLimit, Any]
) -> tuple[Overflow, ...]:
    """Find the prompts that are longer than the given limits, with the tokenizer of each; see `overflow`."""
    limited = {
        limit: plain_tokenizer(tokenizer)
        for limit, tokenizer in tokenizers.items()
        if limit.n_tokens is not None
    }
    left = iter(prompts)
    found: list[Overflow] = []
    while some := list(islice(left, _AT_ONCE)):
        long = {limit: _long_texts(some, limit, each) for limit, each in limited.items()}
        for prompt in some:
            for limit, tokenizer in limited.items():
                if prompt in long[limit]:
                    found += _overflow(prompt, limit, tokenizer)
    return tuple(found)


def _long_texts(prompts: Sequence[str], limit: TextLimit, tokenizer: Any) -> set[str]:
    """Return the prompts whose texts have more tokens than an encoder reads; the others need no alignment."""
    assert limit.n_tokens is not None
    texts = [_passed_text(limit, tokenizer, prompt)[0] for prompt in prompts]
    tokens = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    return {
        prompt for prompt, own in zip(prompts, tokens, strict=True) if len(own) > limit.n_tokens
    }


def _passed_text(
    limit: TextLimit, tokenizer: Any, prompt: str
) -> tuple[str, str, Sequence[CharSpan]]:
    """Return the text that a tokenizer gets, the prompt in it, and the offsets of its characters in `prompt`."""
    text, origin = written_out(tokenizer, FORMS[limit.form](prompt))
    return f"{limit.before}{text}{limit.after}", text, origin


def _overflow(prompt: str, limit: TextLimit, tokenizer: Any) -> Iterator[Overflow]:
    assert limit.n_tokens is not None
    own = _own_tokens(limit, tokenizer, prompt)
    n_read = sum(place < limit.n_tokens for place in own)
    if n_read == len(own):
        return
    # Whitespace that the pipeline strips from the start.
    skipped = 0 if limit.form == "as it is" else len(prompt) - len(prompt.lstrip())
    start = skipped + list(own.values())[n_read]
    words = tuple(word.group() for word in _WORD.finditer(prompt) if word.end() > start)
    yield Overflow(prompt, limit.encoder, len(own), n_read, start, words)


def _own_tokens(limit: TextLimit, tokenizer: Any, prompt: str) -> dict[int, int]:
    """Return the positions of a prompt's tokens among all tokens, each with its offset in the passed prompt."""
    passed, text, origin = _passed_text(limit, tokenizer, prompt)
    first, end = len(limit.before), len(limit.before) + len(text)
    spans = all_spans(tokenizer, passed)
    return {
        # A token may contain the end of the text before the prompt and the start of the prompt.
        place: origin[max(0, span[0] - first)][0]
        for place, span in enumerate(spans)
        if span[1] > first and span[0] < end
    }


@checked
def text_limits(pipe: Any, **options: Any) -> tuple[TextLimit, ...]:
    """Measure how much a pipeline's text encoders read, by encoding a very long text.

    Parameters
    ----------
    pipe, **options
        As for `overflow`.

    Returns
    -------
    tuple of TextLimit
        One for each text encoder.

    Raises
    ------
    TraceError
        If the pipeline cannot be traced, or its tokens cannot be aligned with text.
    """
    family = family_of(pipe)
    encoders = [each for each in family.encoders if each.tokenizer_of(pipe) is not None]
    found: dict[str, TextLimit] = {}
    for arguments in encode_arguments(pipe, family, _PROBE, options):
        tokenizers = [each.tokenizer_of(pipe) for each in encoders]
        with record_readings(tokenizers) as recorded, torch.no_grad(), quietly():
            pipe.encode_prompt(
                **arguments
            )  # warns that the text is too long, which is intended here
        for encoder, readings in zip(encoders, recorded, strict=True):
            if readings and encoder.name not in found:
                found[encoder.name] = _limit(pipe, encoder, readings, arguments)
    return tuple(found.values())


def _limit(
    pipe: Any, encoder: TextEncoder, readings: Sequence[Reading], arguments: Mapping[str, Any]
) -> TextLimit:
    tokenizer = encoder.tokenizer_of(pipe)
    probes = find_prompts(tokenizer, [_PROBE], readings, has_template=encoder.has_template)
    if probes is None:
        raise TraceError(
            f"Expected {type(pipe).__name__}.encode_prompt to pass the prompt to its tokenizer, but it passed "
            f"{readings[0].text[:80]!r}."
        )
    (reading,) = probes
    kept = encoder.kept(reading.mask, pipe, arguments)
    read = read_prompt(tokenizer, reading, _PROBE, kept, has_template=encoder.has_template)
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
