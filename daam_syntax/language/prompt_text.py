"""Checks and names of a prompt's text."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Final

from daam_syntax.errors import PromptError
from daam_syntax.util.arguments.checks import checked

LONGEST: Final = 10_000
"""Maximum number of characters of a prompt. No text encoder reads a tenth of them, and parsing needs memory."""


_INVISIBLE: Final = ("Cc", "Cf")
"""Categories of control and format characters, such as a zero-width space."""


def check_prompt(prompt: str) -> str:
    """Return a prompt if it is usable, as a plain string if it is one of a subclass such as `numpy.str_`.

    Raises
    ------
    PromptError
        If it is not a string, is blank or too long, or holds invalid characters.
    """
    if not isinstance(prompt, str):
        raise PromptError(f"Expected one prompt as a string, but got {type(prompt).__name__}.")
    if len(prompt) > LONGEST:
        raise PromptError(
            f"Expected a prompt of at most {LONGEST:,} characters, but got {len(prompt):,}; text encoders read far "
            "fewer."
        )
    if all(c.isspace() or unicodedata.category(c) in _INVISIBLE for c in prompt):
        raise PromptError(
            f"Expected a prompt with at least one word, but got {prompt!r}; write what to draw."
        )
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError:
        raise PromptError(
            f"Expected a prompt of valid characters, but got {prompt!r}; write it in UTF-8."
        ) from None
    return plain(prompt)


def plain(text: str) -> str:
    """Return a string of a subclass, such as `numpy.str_` or a member of an enumeration, as a plain one."""
    return str.__str__(text)


@checked
def prompt_id(prompt: str) -> str:
    """Return a short name of a prompt, ten hexadecimal digits that depend only on its text."""
    return name_of(prompt)


def name_of(prompt: str) -> str:
    """Return the short name of a prompt that is known to be text; see `prompt_id`."""
    return hashlib.sha256(prompt.encode("utf-8")).hexdigest()[:10]
