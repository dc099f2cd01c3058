"""The parses of prompts, made when they are first asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from daam_syntax.language import Sentence, parse

Sentences = Sentence | Iterable[Sentence] | Mapping[str, Sentence]
"""Sentences that need not be parsed: one, several, or a mapping from prompts."""


class SentencesOfPrompts:
    """Sentences by the text of their prompt.

    Parameters
    ----------
    given
        Sentences that need not be parsed.
    parser
        The dependency parser for the others: a name, a loaded spaCy pipeline, or None for the default.
    """

    def __init__(self, given: Sentences, parser: Any) -> None:
        if isinstance(given, Sentence):
            given = [given]
        given = given.values() if isinstance(given, Mapping) else given
        self._known = {sentence.text: sentence for sentence in given}
        self._parser = parser

    def __getitem__(self, prompt: str) -> Sentence:
        if prompt not in self._known:
            self._known[prompt] = parse(prompt, self._parser)
        return self._known[prompt]
