"""Prompts, one by one or from a file."""

from __future__ import annotations

from pathlib import Path

from daam_syntax.errors import FileError, PromptError


def check_prompt(prompt: str) -> str:
    """Return the prompt as it is.

    Raises
    ------
    PromptError
        If it is no string, or holds nothing but white space.
    """
    if not isinstance(prompt, str):
        raise PromptError(f"Expected a prompt as a string, but got {type(prompt).__name__}.")
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


def read_prompts(path: str | Path) -> list[str]:
    """Read prompts from a UTF-8 text file, one a line.

    Blank lines and lines that start with ``#`` are passed over.

    Raises
    ------
    FileError
        If the file cannot be read, or is not UTF-8.
    PromptError
        If it holds no prompt.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise FileError(
            f"Expected UTF-8 text in {path}, but byte {error.start} is not; save it as UTF-8."
        ) from error
    except OSError as error:
        raise FileError(
            f"Expected a file of prompts, but {path} cannot be read: {error.strerror}."
        ) from error
    prompts = [line.strip() for line in lines]
    prompts = [line for line in prompts if line and not line.startswith("#")]
    if not prompts:
        raise PromptError(f"Expected one prompt a line in {path}, but it holds none.")
    return prompts
