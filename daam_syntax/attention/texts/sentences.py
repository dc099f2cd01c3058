"""The parses of prompts: given by the user, or made by a parser when they are first needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from daam_syntax.errors import TraceError
from daam_syntax.language import Sentence, parse_many
from daam_syntax.language.parser import Parse
from daam_syntax.language.parses import each_given, parses_in
from daam_syntax.util.arguments.annotations import shown

Sentences = Parse | str | Path | Iterable[Parse | str | Path] | Mapping[str, Parse]
"""Prompts that are already parsed: sentences, spaCy Docs, or CoNLL-U (a file, or its text); one, several, or a mapping
from prompts to them."""


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
        given = given.values() if isinstance(given, Mapping) else each_given(given)
        self._sentences = {parse.text: parse for each in given for parse in _parses(each)}
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


def _parses(given: Any) -> list[Sentence]:
    parses = parses_in(given)
    if parses is None:
        raise TraceError(
            f"Expected sentences that are parsed, spaCy Docs, or CoNLL-U, but got {shown(given)}: parse a text with "
            "`daam_syntax.parse`."
        )
    return parses
