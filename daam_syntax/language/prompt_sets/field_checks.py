"""Checks of the fields of a row, which come from files that other people wrote."""

from __future__ import annotations

import re
from typing import Final

from daam_syntax.errors import PromptError
from daam_syntax.language.prompt_text import LONGEST

_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", re.ASCII)
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.ASCII | re.IGNORECASE)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def check_field(name: str, text: str) -> str:
    """Return the text of a field unchanged if it is usable.

    Raises
    ------
    PromptError
        If it is too long, or holds control characters or bytes that were not UTF-8.
    """
    if len(text) > LONGEST:
        raise PromptError(
            f"Expected at most {LONGEST:,} characters in '{name}', but got {len(text):,}."
        )
    broken = _SURROGATE.search(text)
    if broken is not None:
        raise PromptError(
            f"Expected UTF-8 in '{name}', but got the byte 0x{ord(broken.group()) & 0xFF:02x}; save the file as UTF-8."
        )
    control = _CONTROL.search(text)
    if control is not None:
        raise PromptError(
            f"Expected no control characters in '{name}', but got {control.group()!r}; delete it."
        )
    return text


def is_id(name: str) -> bool:
    """Whether a name is safe in file names on every operating system."""
    is_usable = _ID.fullmatch(name) and not name.endswith(".") and not _DEVICES.fullmatch(name)
    return bool(is_usable)


def check_id(name: str) -> str:
    """Return an id unchanged if it is safe in file names on every operating system.

    Raises
    ------
    PromptError
        If it is too long, has characters other than letters, digits, ".", "_" and "-", or names a device.
    """
    if not is_id(name):
        raise PromptError(
            "Expected an id of at most 64 letters, digits, '.', '_' and '-' that can name a file, but got "
            f"{name[:80]!r}; leave it empty to have one made."
        )
    return name
