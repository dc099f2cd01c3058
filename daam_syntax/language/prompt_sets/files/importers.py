"""Read published sets of prompts in the formats in which they are published.

None of them ships with the package. Most repeat some prompts; a repetition is skipped and reported.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from daam_syntax.errors import FileError, RowProblem
from daam_syntax.language.prompt_sets.articles import fit_articles
from daam_syntax.language.prompt_sets.files.records import Record, Renames, Rows
from daam_syntax.language.prompt_sets.files.tabular import (
    json_lines,
    load_json,
    read_csv,
    text_lines,
)

_PARTI: Final = {
    "Prompt": "prompt",
    "Category": "category",
    "Challenge": "metadata.challenge",
    "Note": "metadata.note",
}
_DRAWBENCH: Final = {"Prompts": "prompt", "Category": "category"}
_DVMP: Final = {
    "prompt": "prompt",
    "num_modifiers": "metadata.num_modifiers",
    "num_phrases": "metadata.num_phrases",
    "subjects": "metadata.subjects",
}
_GENEVAL: Final = ("tag", "include", "prompt")
_COMPBENCH: Final = re.compile(
    r"(?P<category>3d_spatial|color|complex|non_spatial|numeracy|shape|spatial|texture)"
    r"(?:_(?P<split>train|val))?(?:_(?P<part>(?:un)?seen|action|spatial|spatialaction))?"
)
_WORD: Final = re.compile(r"\w+(?:[-'’]\w+)*")


def read_parti(path: Path, columns: Renames | None = None) -> Rows:
    """Yield PartiPrompts (Yu et al. 2022): TSV in which quotes are ordinary characters."""
    rows = read_csv(path, columns or _PARTI, delimiter="\t", quoting=csv.QUOTE_NONE)
    return _from("PartiPrompts", rows)


def read_drawbench(path: Path, columns: Renames | None = None) -> Rows:
    """Yield DrawBench (Saharia et al. 2022): CSV with the columns ``Prompts`` and ``Category``."""
    return _from("DrawBench", read_csv(path, columns or _DRAWBENCH))


def read_dvmp(path: Path, columns: Renames | None = None) -> Rows:
    """Yield DVMP prompts, with several modifiers (Rassin et al. 2023): CSV; lists stay text."""
    return _from("DVMP", read_csv(path, columns or _DVMP))


def read_geneval(path: Path, columns: Renames | None = None) -> Rows:
    """Yield GenEval (Ghosh et al. 2023): JSONL; the required contents of an image are JSON in the metadata."""
    for row in json_lines(path):
        if isinstance(row, Record) and columns is not None:
            yield Record(row.row, {c: row.values.get(n) for n, c in columns.items()})
        elif isinstance(row, Record):
            values: dict[str, Any] = {"source": "GenEval", "category": row.values.get("tag")}
            for name, value in row.values.items():
                if name == "prompt":
                    values[name] = value
                elif name != "tag":
                    values[f"metadata.{name}"] = json.dumps(value, ensure_ascii=False)
            yield Record(row.row, values)
        else:
            yield row


def read_coco(path: Path, columns: Renames | None = None) -> Rows:
    """Yield COCO captions (Chen et al. 2015): JSON with ``annotations``; ids are those of the captions."""
    wanted = columns or {"id": "id", "caption": "prompt", "image_id": "metadata.image_id"}
    for number, each in enumerate(_coco_annotations(path), 1):
        if not isinstance(each, dict):
            message = f"Expected an annotation as a JSON object, but got {type(each).__name__}."
            yield RowProblem(number, message, unit="row")
            continue
        values = {new: each.get(old) for old, new in wanted.items()}
        caption = values.get("prompt")
        tidy = (
            caption.strip() if isinstance(caption, str) else caption
        )  # some captions end in a line feed
        yield Record(number, {"source": "COCO", **values, "prompt": tidy}, "row")


def _coco_annotations(path: Path) -> list[Any]:
    lines = "\n".join(line for _, line in text_lines(path))
    try:
        annotations = load_json(lines)["annotations"]
        if not isinstance(annotations, list):
            raise TypeError
    except (ValueError, KeyError, TypeError) as error:
        reason = error if isinstance(error, ValueError) else "it has no list 'annotations'"
        raise FileError(
            f"Expected captions of COCO in {path}, but {reason}; for other prompts, write one JSON object per line in "
            "a file named .jsonl."
        ) from error
    return annotations


def read_compbench(path: Path, columns: Renames | None = None) -> Rows:
    """Yield T2I-CompBench (Huang et al. 2023): text, one prompt per line.

    The file name has the category, the split (train, val) and the part: seen or unseen, or for the category "complex"
    action, spatial or spatialaction.
    """
    del columns  # plain text has none
    named = _COMPBENCH.fullmatch(path.stem)
    known = {} if named is None else named.groupdict()
    for line, text in text_lines(path):
        values = {"prompt": text, "source": "T2I-CompBench", "category": known.get("category")}
        more = {f"metadata.{name}": known.get(name) for name in ("split", "part")}
        yield Record(line, {**values, **more})


def read_swaps(path: Path, columns: Renames | None = None) -> Rows:
    """Yield ABC-6K or CC-500 (Feng et al. 2023): text in which a line may have the words of the previous one swapped.

    Two such lines are a pair, ``original`` and ``swapped``; other lines have no pair. Spaces before punctuation are
    deleted and articles are fitted to the next word; the metadata keep the published line if it differs.
    """
    del columns  # plain text has none
    lines = list(text_lines(path))
    place = 0
    while place < len(lines):
        line, text = lines[place]
        n = 2 if place + 1 < len(lines) and _is_swap(text, lines[place + 1][1]) else 1
        roles = ("original", "swapped") if n == 2 else ("",)
        for (number, each), role in zip(lines[place : place + n], roles, strict=True):
            tidy = fit_articles(re.sub(r"\s+([,.;:!?])", r"\1", each))
            values = {"prompt": tidy, "source": path.stem, "role": role}
            values |= {"pair": f"line-{line}"} if role else {}
            values |= {"metadata.published": each} if tidy != each else {}
            yield Record(number, values)
        place += n


def _is_swap(one: str, other: str) -> bool:
    """Whether two lines have the same words in different orders, ignoring articles."""
    words = [
        [word for word in _WORD.findall(text.lower()) if word not in ("a", "an")]
        for text in (one, other)
    ]
    return words[0] != words[1] and Counter(words[0]) == Counter(words[1])


def _from(source: str, rows: Rows) -> Iterator[Record | RowProblem]:
    for row in rows:
        if isinstance(row, Record):
            yield Record(row.row, {"source": source, **row.values}, row.unit)
        else:
            yield row


# -- recognizing formats ---------------------------------------------------------------------------------------------


def is_parti(path: Path) -> bool:
    """Whether a table has the columns of PartiPrompts."""
    return _header(path, "\t") == list(_PARTI)


def is_drawbench(path: Path) -> bool:
    """Whether a table has the columns of DrawBench."""
    return _header(path, ",") == list(_DRAWBENCH)


def is_dvmp(path: Path) -> bool:
    """Whether a table has the columns of DVMP."""
    return _header(path, ",") == list(_DVMP)


def is_geneval(path: Path) -> bool:
    """Whether the first line has the keys of GenEval."""
    try:
        first = next(text_lines(path), (1, ""))[1]
        return set(_GENEVAL) <= set(load_json(first))
    except (FileError, ValueError, TypeError):
        return False


def _header(path: Path, delimiter: str) -> list[str]:
    try:
        line = next(text_lines(path), (1, ""))[1]
        return [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
    except (FileError, csv.Error):
        return []
