"""The formats of files of prompts: plain tables, and the sets that others have published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from daam_syntax.errors import FileError
from daam_syntax.language.prompt_sets.files import importers, table_reading
from daam_syntax.language.prompt_sets.files.table_reading import Renames, Rows
from daam_syntax.language.prompt_sets.rows import Prompt


@dataclass(frozen=True)
class Format:
    """A format of files of prompts.

    Attributes
    ----------
    name
        What it is called.
    suffixes
        Of its files, in lower case.
    meaning
        What such a file holds.
    read
        Yields the rows of a file; the second argument names the columns that are read.
    write
        Writes rows to a file; None where files of this format are only read.
    is_published
        Whether it is that of a published set, in which some prompts may stand twice.
    recognises
        Whether a file with such a suffix is of this format and no other; None if that cannot be told.
    """

    name: str
    suffixes: tuple[str, ...]
    meaning: str
    read: Callable[[Path, Renames | None], Rows]
    write: Callable[[Path, Sequence[Prompt]], None] | None = None
    is_published: bool = False
    recognises: Callable[[Path], bool] | None = None


def _published(
    name: str,
    suffix: str,
    meaning: str,
    read: Callable[[Path, Renames | None], Rows],
    recognises: Callable[[Path], bool] | None = None,
) -> Format:
    return Format(name, (suffix,), meaning, read, None, True, recognises)


FORMATS: Final = {
    each.name: each
    for each in (
        Format(
            "csv",
            (".csv",),
            "a table with a header line",
            table_reading.read_csv,
            table_reading.write_csv,
        ),
        Format(
            "tsv",
            (".tsv", ".tab"),
            "the same, separated by tabulators",
            table_reading.read_tsv,
            table_reading.write_tsv,
        ),
        Format(
            "jsonl",
            (".jsonl", ".ndjson"),
            "one JSON object a line; `slots` and `metadata` are objects in it",
            table_reading.read_jsonl,
            table_reading.write_jsonl,
        ),
        Format(
            "parquet",
            (".parquet",),
            "a Parquet table",
            table_reading.read_parquet,
            table_reading.write_parquet,
        ),
        Format(
            "txt",
            (".txt",),
            "one prompt a line; # starts a comment",
            table_reading.read_text,
            table_reading.write_text,
        ),
        _published("coco", ".json", "captions of COCO", importers.read_coco),
        _published(
            "partiprompts", ".tsv", "PartiPrompts", importers.read_parti, importers.is_parti
        ),
        _published(
            "drawbench", ".csv", "DrawBench", importers.read_drawbench, importers.is_drawbench
        ),
        _published("geneval", ".jsonl", "GenEval", importers.read_geneval, importers.is_geneval),
        _published("compbench", ".txt", "T2I-CompBench", importers.read_compbench),
        _published(
            "swaps",
            ".txt",
            "ABC-6K or CC-500: a line, and the next with words swapped",
            importers.read_swaps,
        ),
        _published(
            "dvmp",
            ".csv",
            "prompts of several modifiers, DVMP",
            importers.read_dvmp,
            importers.is_dvmp,
        ),
    )
}
"""Formats by name."""

SUFFIXES: Final = tuple(
    dict.fromkeys(suffix for each in FORMATS.values() for suffix in each.suffixes)
)
"""Suffixes of files of prompts."""


def find_format(path: Path, name: str | None = None) -> Format:
    """Return the format of a name, or else of a file.

    Raises
    ------
    FileError
        If there is none.
    """
    if name is not None:
        if name not in FORMATS:
            raise FileError(f"Expected one of the formats {', '.join(FORMATS)}, but got {name!r}.")
        return FORMATS[name]
    fitting = [each for each in FORMATS.values() if path.suffix.lower() in each.suffixes]
    recognised = [each for each in fitting if each.recognises is not None and each.recognises(path)]
    for each in (*recognised, *fitting):
        return each
    raise FileError(
        f"Expected a file of prompts with one of the suffixes {', '.join(SUFFIXES)}, but got {str(path)!r}; name its "
        "format, or one of the sets that come with the package (`daam-syntax prompts` lists them)."
    )
