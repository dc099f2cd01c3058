"""Score a filled blind sheet: what its reader named, and how lenient the annotator is beside the reader."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.emoji_model.blind.sheet import COLUMNS, FORM, Entry, key_path
from benchmarks.emoji_model.intervals import corrected, paired_difference, share, wilson
from daam_syntax.emoji.vocabulary import NOUNS
from daam_syntax.errors import FileError

NONE, UNNAMED = "none", "?"
_YES: Final = {"yes": True, "y": True, "no": False, "n": False, "": False}


@dataclass(frozen=True)
class Answer:
    """What a reader saw in one image.

    Attributes
    ----------
    names
        Names of the things; "?" for a thing without a name.
    mixed
        Whether a thing is made of parts of several things, or is only a part of one.
    """

    names: tuple[str, ...]
    mixed: bool

    def named(self, nouns: list[str]) -> list[bool]:
        """Return for each noun that should be there whether the reader named it; a second time needs a second noun."""
        left = Counter(self.names)
        found = []
        for noun in nouns:
            found.append(left[noun] > 0)
            left[noun] -= found[-1]
        return found

    def right(self, nouns: list[str]) -> bool:
        """Whether the reader saw these nouns, each once and whole, and nothing else."""
        return not self.mixed and sorted(self.names) == sorted(nouns)


def score_sheet(folder: Path, reader: str) -> dict[str, Any]:
    """Compare a filled form with the key.

    Parameters
    ----------
    folder
        The folder of the sheet, with the filled form; the key is beside it.
    reader
        Who read the sheet, and how ("a person who knows no prompts").

    Returns
    -------
    dict
        Who read; for drawn and exact images the nouns that were named and the images that were right; drawn nouns
        named, by noun; and the annotator beside the reader on the drawn images: sensitivity and specificity with the
        reader as truth, its leniency (its share of right images minus the reader's), and its share corrected for them.

    Raises
    ------
    FileError
        If the key or the form is missing, an image has no answer, or an answer is not one of the names.
    """
    key = _read_key(folder)
    entries = [Entry(**entry) for entry in key["images"]]
    answers = read_form(folder / FORM, len(entries))
    pairs = list(zip(entries, answers, strict=True))
    result: dict[str, Any] = {"reader": reader, "weights": key["weights"], "seed": key["seed"]}
    for source in ("drawn", "exact"):
        chosen = [(e, a) for e, a in pairs if e.source == source]
        named = [hit for e, a in chosen for hit in a.named(e.nouns)]
        result[source] = {
            "nouns named": share(named),
            "images right": share([a.right(e.nouns) for e, a in chosen]),
        }
    drawn = [(e, a) for e, a in pairs if e.source == "drawn"]
    by_noun: dict[str, list[int]] = {noun: [0, 0] for noun in sorted(NOUNS)}
    for entry, answer in drawn:
        for noun, hit in zip(entry.nouns, answer.named(entry.nouns), strict=True):
            by_noun[noun][0] += hit
            by_noun[noun][1] += 1
    result["drawn nouns named"] = {noun: counts for noun, counts in by_noun.items() if counts[1]}
    result["annotator"] = agreement([(not e.faults, a.right(e.nouns)) for e, a in drawn])
    return result


def agreement(verdicts: list[tuple[bool, bool]]) -> dict[str, Any]:
    """Compare the annotator with a reader on the same images.

    Parameters
    ----------
    verdicts
        For each image, whether the annotator and whether the reader calls it right.
    """
    table = Counter(verdicts)
    both, neither = table[True, True], table[False, False]
    lenient, strict = table[True, False], table[False, True]
    n = len(verdicts)
    sensitivity, specificity = (both, both + strict), (neither, neither + lenient)
    return {
        "n": n,
        "agree": wilson(both + neither, n),
        "right by annotator": wilson(both + lenient, n),
        "right by reader": wilson(both + strict, n),
        "leniency": paired_difference(lenient, strict, n) if n else None,
        "sensitivity": wilson(*sensitivity),
        "specificity": wilson(*specificity),
        "corrected": corrected(both + lenient, n, sensitivity, specificity),
    }


def read_form(path: Path, n: int) -> list[Answer]:
    """Read the answers to `n` images from a filled form, in the order of the images; report all problems at once."""
    if not path.exists():
        raise FileError(f"Expected the filled form {path}, but it does not exist.")
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or set(COLUMNS) - set(rows[0]):
        raise FileError(f"Expected the columns {', '.join(COLUMNS)} in {path}; keep its first row.")
    answers: dict[str, Answer] = {}
    problems: list[str] = []
    for row in rows:
        cells = {name: (row[name] or "").strip().lower() for name in COLUMNS}
        problem = _problem(cells)
        if cells["image"] in answers:
            problem = "is there twice"
        if problem:
            problems.append(f"image {cells['image']} {problem}")
            continue
        names = [cells[name] for name in ("first", "second", "third")]
        things = tuple(name for name in names if name not in ("", NONE))
        answers[cells["image"]] = Answer(things, _YES[cells["mixed"]])
    stated = set(answers) | {problem.split()[1] for problem in problems}
    wanted = [str(i) for i in range(1, n + 1)]
    problems += [f"image {number} is missing" for number in wanted if number not in stated]
    problems += [
        f"image {number} is not on the sheet" for number in answers if number not in wanted
    ]
    if problems:
        raise FileError(f"Cannot score {path}: {'; '.join(problems)}.")
    return [answers[number] for number in wanted]


def _problem(cells: dict[str, str]) -> str | None:
    names = [cells[name] for name in ("first", "second", "third") if cells[name]]
    unknown = [name for name in names if name not in (*NOUNS, NONE, UNNAMED)]
    if not names:
        return f"has no answer (write {NONE!r} where there is nothing)"
    if unknown:
        return f"has {unknown[0]!r}, which is not one of the names on the sheet"
    if NONE in names and len(names) > 1:
        return f"has {NONE!r} beside a name"
    if cells["mixed"] not in _YES:
        return f"has {cells['mixed']!r} in the column mixed (write 'yes' or nothing)"
    return None


def _read_key(folder: Path) -> Any:
    path = key_path(folder)
    if not path.exists():
        raise FileError(
            f"Expected the key of the sheet at {path}, but it does not exist; put it back there."
        )
    return json.loads(path.read_text(encoding="utf-8"))
