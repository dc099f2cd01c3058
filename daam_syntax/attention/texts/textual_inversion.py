"""Prompts with textual inversions of several vectors, which pipelines of diffusers write out before they are read.

An embedding "<zebra>" of three vectors is three tokens: "<zebra>", "<zebra>_1" and "<zebra>_2". A pipeline replaces the
first by all of them wherever it stands in the prompt.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

CharSpan = tuple[int, int]  # start and end of a piece of text, in characters


def written_out(tokenizer: Any, prompt: str) -> tuple[str, list[CharSpan]]:
    """Write out the textual inversions of a prompt.

    Parameters
    ----------
    tokenizer
        A tokenizer of transformers.
    prompt
        The prompt.

    Returns
    -------
    str
        The text that a pipeline passes to the tokenizer.
    list of tuple[int, int]
        For each of its characters, the span of the prompt that it comes from.
    """
    names = _names_in(tokenizer, prompt)
    if not names:
        return prompt, [(place, place + 1) for place in range(len(prompt))]
    pattern = re.compile("|".join(map(re.escape, names)))
    text = pattern.sub(lambda match: names[match.group()], prompt)
    spans = spans_in_prompt(tokenizer, prompt, text)
    assert spans is not None, "the text was made from the prompt"
    return text, spans


def spans_in_prompt(tokenizer: Any, prompt: str, text: str) -> list[CharSpan] | None:
    """Find where each character of a text with written-out textual inversions comes from.

    Returns
    -------
    list of tuple[int, int] or None
        For each character of the text, a span of the prompt; None if the text is not the prompt written out.
    """
    names = _names_in(tokenizer, prompt)

    def spans_from(place: int, start: int) -> list[CharSpan] | None:
        spans: list[CharSpan] = []
        while place < len(prompt):
            for name, vectors in names.items():
                if prompt.startswith(name, place) and text.startswith(vectors, start):
                    rest = spans_from(place + len(name), start + len(vectors))
                    if rest is not None:
                        return spans + [(place, place + len(name))] * len(vectors) + rest
            if text[start : start + 1] != prompt[place]:
                return None
            spans.append((place, place + 1))
            place, start = place + 1, start + 1
        return spans if start == len(text) else None

    return spans_from(0, 0)


def textual_inversions(tokenizer: Any, text: str) -> list[str]:
    """Return the names of the textual inversions in a text, which are words that were added to a tokenizer."""
    added = getattr(tokenizer, "added_tokens_encoder", {})
    special = set(map(str, getattr(tokenizer, "all_special_tokens", ())))
    names = (str(name) for name in added)
    return [name for name in names if name.strip() and name in text and name not in special]


def _names_in(tokenizer: Any, prompt: str) -> Mapping[str, str]:
    """Return the textual inversions of several vectors in a prompt, longest first, with all of their tokens."""
    added = getattr(tokenizer, "added_tokens_encoder", {})
    names = [str(name) for name in added if f"{name}_1" in added and str(name) in prompt]
    return {name: " ".join(_vectors(name, added)) for name in sorted(names, key=len, reverse=True)}


def _vectors(name: str, added: Mapping[str, int]) -> list[str]:
    further = (f"{name}_{number}" for number in itertools.count(1))
    return [name, *itertools.takewhile(added.__contains__, further)]
