"""Reading the prompts of a run from a file; what cannot be read becomes a problem, and the rest goes on."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from daam_syntax.analysis.identity import prompt_id
from daam_syntax.corpus.problems import Problem
from daam_syntax.errors import FileError, PromptError
from daam_syntax.language import check_prompt

_LONGEST: Final = (
    10_000  # characters; no text encoder reads a tenth of them, and parsing takes memory
)


def gather(prompts: str | Path | Iterable[str]) -> tuple[list[str], list[Problem]]:
    """Return the prompts of a file, or of a list, each once, and what is wrong with the others.

    Parameters
    ----------
    prompts
        A ``.csv`` or ``.tsv`` file with a column ``prompt``; any other file is read as text, one prompt a line
        (``#`` starts a comment); or the prompts themselves.

    Raises
    ------
    FileError
        If the file cannot be read, or has no such column.
    PromptError
        If there is no usable prompt.
    """
    if isinstance(prompts, str | Path):
        rows: Iterable[tuple[int, object]] = _rows(Path(prompts))
    else:
        rows = enumerate(prompts, 1)
    kept: dict[str, int] = {}
    problems = []
    for row, prompt in rows:
        try:
            text = check_prompt(prompt)  # type: ignore[arg-type]  # what is no text is refused there
            if len(text) > _LONGEST:
                raise PromptError(
                    f"Expected at most {_LONGEST:,} characters, but got {len(text):,}."
                )
            if text in kept:
                raise PromptError(
                    f"Expected each prompt once, but it stands in line {kept[text]} too; ask for more seeds instead."
                )
            kept[text] = row
        except PromptError as error:
            problems.append(_left_out(row, prompt, str(error)))
    if not kept:
        what = "; ".join(map(str, problems[:3])) or "it is empty"
        raise PromptError(f"Expected at least one usable prompt, but there is none: {what}")
    return list(kept), problems


def _left_out(row: int, prompt: object, message: str) -> Problem:
    text = str("" if prompt is None else prompt).encode("utf-8", "backslashreplace").decode()
    return Problem(
        "prompts",
        "unreadable row",
        message,
        "It was left out.",
        prompt=text[:200],
        prompt_id=prompt_id(text),
        row=row,
    )


def _rows(path: Path) -> Iterator[tuple[int, str | None]]:
    """Yield line numbers and prompts of a file."""
    try:
        # Bytes that are not UTF-8 spoil their own row only; `check_prompt` refuses it.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            if path.suffix.lower() in (".csv", ".tsv"):
                delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
                reader = csv.DictReader(file, delimiter=delimiter)
                if "prompt" not in (reader.fieldnames or ()):
                    raise FileError(
                        f"Expected a column 'prompt' in {path}, but it has {', '.join(reader.fieldnames or ['none'])}."
                    )
                for row in reader:
                    yield reader.line_num, row["prompt"]
            else:
                for number, line in enumerate(file, 1):
                    text = line.strip()
                    if text and not text.startswith("#"):
                        yield number, text
    except csv.Error as error:
        raise FileError(f"Expected a table in {path}, but it cannot be read: {error}.") from error
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(
            f"Expected a file of prompts, but {path} cannot be read: {error.strerror}."
        ) from error
