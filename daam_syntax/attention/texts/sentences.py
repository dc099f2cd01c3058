"""The parses of prompts: given by the user, or made by a parser when they are first needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from daam_syntax.errors import TraceError
from daam_syntax.language import Sentence, parse_many

Sentences = Sentence | Iterable[Sentence] | Mapping[str, Sentence]
"""Prompts that are already parsed: one sentence, several, or a mapping from prompts to sentences."""


class PromptSentences:
    """The sentence of each prompt, by its text.

    Looking up a prompt parses it if its sentence was not given. A given sentence may belong to a later call of the
    pipeline, so only `parse_all`, which knows every prompt, refuses sentences that belong to none.

    Parameters
    ----------
    given
        Prompts that are already parsed.
    parser
        The dependency parser for the other prompts: a name, a loaded spaCy pipeline, or None for the default.
    """

    def __init__(self, given: Sentences, parser: Any) -> None:
        if isinstance(given, Sentence):
            given = [given]
        given = given.values() if isinstance(given, Mapping) else given
        self._sentences = {sentence.text: sentence for sentence in given}
        self._parser = parser

    def __getitem__(self, prompt: str) -> Sentence:
        self._parse([prompt])
        return self._sentences[prompt]

    def parse_all(self, prompts: Iterable[str]) -> None:
        """Parse all prompts at once.

        Parameters
        ----------
        prompts
            All prompts that were used.

        Raises
        ------
        TraceError
            If a given sentence is not the parse of any of the prompts.
        """
        distinct = list(dict.fromkeys(prompts))
        unknown = [text for text in self._sentences if text not in distinct]
        if unknown:
            raise TraceError(
                f"Expected sentences of the prompts {distinct}, but got {unknown}: the text of each sentence must "
                "equal a prompt exactly."
            )
        self._parse(distinct)

    def _parse(self, prompts: Iterable[str]) -> None:
        missing = [prompt for prompt in prompts if prompt not in self._sentences]
        if missing:
            self._sentences |= dict(zip(missing, parse_many(missing, self._parser), strict=True))
