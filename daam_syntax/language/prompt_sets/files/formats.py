"""Formats of prompt files: plain tables, and published benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from daam_syntax.errors import FileError
from daam_syntax.language.prompt_sets.files import importers, tabular
from daam_syntax.language.prompt_sets.files.records import Renames, Rows
from daam_syntax.language.prompt_sets.rows import Prompt


@dataclass(frozen=True)
class Format:
    """A format of prompt files.

    Attributes
    ----------
    name
        Name of the format.
    suffixes
        Suffixes of its files, in lower case.
    meaning
        Contents of such a file.
    read
        Yields the rows of a file; the second argument maps columns to read to their names in the set.
    write
        Writes rows to a file; None for a format that is only read.
    is_published
        Whether it is the format of a published set, in which prompts may be repeated.
    recognizes
        Returns whether a file with one of the suffixes has this format; None if the contents do not show it.
    """

    name: str
    suffixes: tuple[str, ...]
    meaning: str
    read: Callable[[Path, Renames | None], Rows]
    write: Callable[[Path, Sequence[Prompt]], None] | None = None
    is_published: bool = False
    recognizes: Callable[[Path], bool] | None = None


def _published(
    name: str,
    suffix: str,
    meaning: str,
    read: Callable[[Path, Renames | None], Rows],
    recognizes: Callable[[Path], bool] | None = None,
) -> Format:
    return Format(name, (suffix,), meaning, read, None, True, recognizes)


FORMATS: Final = {
    each.name: each
    for each in (
        Format(
            "csv",
            (".csv",),
            "a table with a header line",
            tabular.read_csv,
            tabular.write_csv,
        ),
        Format(
            "tsv",
            (".tsv", ".tab"),
            "the same, separated by tabs",
            tabular.read_tsv,
            tabular.write_tsv,
        ),
        Format(
            "jsonl",
            (".jsonl", ".ndjson"),
            "one JSON object per line; `slots` and `metadata` are objects in it",
            tabular.read_jsonl,
            tabular.write_jsonl,
        ),
        Format(
            "parquet",
            (".parquet",),
            "a Parquet table",
            tabular.read_parquet,
            tabular.write_parquet,
        ),
        Format(
            "txt",
            (".txt",),
            "one prompt per line; # starts a comment",
            tabular.read_text,
            tabular.write_text,
        ),
        _published("coco", ".json", "COCO captions", importers.read_coco),
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
            "ABC-6K or CC-500: each line may be followed by one with words swapped",
            importers.read_swaps,
        ),
        _published(
            "dvmp",
            ".csv",
            "DVMP: prompts with several modifiers",
            importers.read_dvmp,
            importers.is_dvmp,
        ),
    )
}
"""Formats by name."""

SUFFIXES: Final = tuple(
    dict.fromkeys(suffix for each in FORMATS.values() for suffix in each.suffixes)
)
"""Suffixes of prompt files."""


def find_format(path: Path, name: str | None = None) -> Format:
    """Return the format with a name, or if None the format of a file.

    Raises
    ------
    FileError
        If there is no such format.
    """
    if name is not None:
        if name not in FORMATS:
            raise FileError(f"Expected one of the formats {', '.join(FORMATS)}, but got {name!r}.")
        return FORMATS[name]
    fitting = [each for each in FORMATS.values() if path.suffix.lower() in each.suffixes]
    recognized = [each for each in fitting if each.recognizes is not None and each.recognizes(path)]
    for each in (*recognized, *fitting):
        return each
    raise FileError(
        f"Expected a file of prompts with one of the suffixes {', '.join(SUFFIXES)}, but got {str(path)!r}; "
        "specify its format, or choose a set that comes with the package (`daam-syntax prompts` lists them)."
    )
