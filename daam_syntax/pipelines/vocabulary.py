"""Words that a model was not trained on, where its words are known."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final
from weakref import WeakKeyDictionary

from daam_syntax.emoji import model as embedded
from daam_syntax.emoji.caption_words import similar_word, unknown_words
from daam_syntax.util.user_warnings import warn_user
from daam_syntax.util.wording import plural

_AT_ONCE: Final = 1000  # texts
_SHOWN: Final = 20
"""Words that a warning names, each compared with all known words; prompts can have thousands of others."""

_MENTIONED: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
"""Words of which each pipeline's user was warned."""


def untrained_words(pipe: Any, text: str) -> tuple[str, ...] | None:
    """Return the words of a text that a model was not trained on.

    Parameters
    ----------
    pipe
        A diffusers pipeline.
    text
        A prompt.

    Returns
    -------
    tuple of str or None
        The words in lower case, each once; None if the model's training captions are not known. They are known for the
        embedded model alone.
    """
    return unknown_words(text) if embedded.is_emoji(pipe) else None


def warn_of_untrained_words(pipe: Any, texts: Iterable[str]) -> None:
    """Warn of the words that a model was not trained on, once per word and pipeline.

    A warning names the first 20 words, and counts the others.

    Parameters
    ----------
    pipe
        A diffusers pipeline.
    texts
        Prompts.
    """
    mentioned = _MENTIONED.setdefault(pipe, set())
    left = iter(texts)
    found: dict[str, None] = {}
    while some := list(islice(left, _AT_ONCE)):
        found |= dict.fromkeys(untrained_words(pipe, "\n".join(some)) or ())
    new = [word for word in found if word not in mentioned]
    if new:
        mentioned.update(new)
        warn_user(_message(new))


def _message(words: list[str]) -> str:
    shown, n_more = words[:_SHOWN], len(words[_SHOWN:])
    near = {word: similar_word(word) for word in shown}
    instead = "; ".join(f"{other!r} for {word!r}" for word, other in near.items() if other)
    more = f" and {plural(n_more, 'other word')}" if n_more else ""
    return (
        f"The embedded model was not trained on {', '.join(map(repr, shown))}{more}: the image shows something else, "
        "and the maps of these words mean nothing. Use another model, or words that "
        "daam_syntax.emoji.known_words() returns"
        f"{f' ({instead})' if instead else ''}."
    )
