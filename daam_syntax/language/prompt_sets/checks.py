"""What a prompt and its name may be: they are other people's text."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from daam_syntax.errors import PromptError

LONGEST: Final = 10_000
"""Characters of a field; no text encoder reads a tenth of them, and parsing takes memory."""

_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", re.ASCII)
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.ASCII | re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def check_prompt(prompt: str) -> str:
    """Return the prompt as it is.

    Raises
    ------
    PromptError
        If it is no string, or holds nothing but white space.
    """
    if not isinstance(prompt, str):
        raise PromptError(f"Expected one prompt as a string, but got {type(prompt).__name__}.")
    if not prompt.strip():
        raise PromptError(
            f"Expected a prompt with at least one word, but got {prompt!r}; write what to draw."
        )
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError:
        raise PromptError(
            f"Expected a prompt of valid characters, but got {prompt!r}; write it in UTF-8."
        ) from None
    return prompt


def check_field(name: str, text: str) -> str:
    """Return the text of a field of a file as it is.

    Raises
    ------
    PromptError
        If it holds bytes that were not UTF-8 or control characters, or is too long.
    """
    if len(text) > LONGEST:
        raise PromptError(
            f"Expected at most {LONGEST:,} characters in '{name}', but got {len(text):,}."
        )
    broken = next((character for character in text if "\ud800" <= character <= "\udfff"), None)
    if broken is not None:
        raise PromptError(
            f"Expected UTF-8 in '{name}', but got the byte 0x{ord(broken) & 0xFF:02x}; save the file as UTF-8."
        )
    control = _CONTROL.search(text)
    if control is not None:
        raise PromptError(
            f"Expected no control characters in '{name}', but got {control.group()!r}; delete it."
        )
    return text


def prompt_id(prompt: str) -> str:
    """Return a short name of a prompt that depends on nothing but its text."""
    return hashlib.sha256(prompt.encode("utf-8")).hexdigest()[:10]


def check_id(name: str) -> str:
    """Return a name that is safe in file names of all systems as it is.

    Raises
    ------
    PromptError
        If it is not: a path, too long, or with other characters than letters, digits, ".", "_" and "-".
    """
    if not _ID.fullmatch(name) or name.endswith(".") or _DEVICES.fullmatch(name):
        raise PromptError(
            "Expected an id of at most 64 letters, digits, '.', '_' and '-' that can name a file, but got "
            f"{name[:80]!r}; leave it empty to have one made."
        )
    return name
