"""Read verdicts on images from files: of people, VQAScore, GenEval, and TIFA.

``docs/verdicts.md`` describes the formats. Every reader returns one row per image with the columns of `COLUMNS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.errors import FileError
from daam_syntax.studies.verdicts.judging.failures import ANY, KINDS

COLUMNS: Final = ("row", "image", "prompt_id", "prompt", "seed", *KINDS, ANY)
"""Columns of the verdicts of a file: the row in words, the name of the image or what identifies it, failures."""

RIGHT, WRONG = "right", "wrong"

FORMATS: Final = (
    'a table (.csv, .tsv, .jsonl) with the columns prompt_id or prompt, seed, and either verdict ("right", "wrong", or '
    f'{", ".join(KINDS)}, several joined by "+"), columns of 0 and 1 ({", ".join((*KINDS, ANY))}), or vqascore; the '
    "results.jsonl of GenEval; or the result of TIFA (.json)"
)
"""The formats, in an error."""

_OBJECTS: Final = ("object", "animal/human", "animal", "human", "food")
"""Types of TIFA's elements that are objects."""

_ABSENT: Final = re.compile(r"^expected [^\n]*>=\d+, found \d+$", re.MULTILINE)
_WRONG_COLOR: Final = re.compile(r"^expected [^\n]*>=\d+, found \d+ \w+; and ", re.MULTILINE)


def read_verdicts(path: str | Path, pass_score: float = 0.5) -> pd.DataFrame:
    """Read the verdicts of a file, in the format that its contents have.

    Parameters
    ----------
    path
        The file.
    pass_score
        Smallest VQAScore of an image that counts as right.

    Returns
    -------
    pandas.DataFrame
        The columns of `COLUMNS`: failures are 1, 0, or NaN if they were not judged.

    Raises
    ------
    FileError
        If the file cannot be read or has none of the formats; the message lists the rows that are wrong.
    """
    path = Path(path)
    try:
        rows = list(_rows(path, pass_score))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, pd.errors.ParserError) as error:
        raise FileError(
            f"Expected a file of verdicts in UTF-8 at {path}, but it cannot be read: {error}."
        ) from error
    if not rows:
        raise FileError(f"Expected verdicts in {path}, but it has none.")
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(path: Path, pass_score: float) -> Iterator[dict[str, Any]]:
    if path.suffix.lower() == ".json":
        return _of_tifa(path, json.loads(path.read_text(encoding="utf-8")))
    if path.suffix.lower() == ".jsonl":
        lines = [
            json.loads(line)
            for line in path.read_text(encoding="utf-8").splitlines()
            if line.strip()
        ]
        if lines and all(isinstance(each, dict) for each in lines) and "correct" in lines[0]:
            return _of_geneval(path, lines)
        table = pd.DataFrame(lines)
    elif path.suffix.lower() in (".csv", ".tsv"):
        table = pd.read_csv(path, sep="\t" if path.suffix.lower() == ".tsv" else ",", dtype=str)
    else:
        raise _not_known(path, f"a file with the suffix {path.suffix or 'of nothing'}")
    return _of_table(path, table.astype(object).where(table.notna(), None), pass_score)


def _not_known(path: Path, got: str) -> FileError:
    return FileError(f"Expected {FORMATS}; but {path} is {got}.")


def _of_table(path: Path, table: pd.DataFrame, pass_score: float) -> Iterator[dict[str, Any]]:
    """Read a table of people's verdicts, or of VQAScores."""
    given = [name for name in (*KINDS, ANY) if name in table.columns]
    kinds = ["verdict"] * ("verdict" in table.columns) + ["vqascore"] * (
        "vqascore" in table.columns
    )
    kinds += ["columns"] * bool(given)
    if len(kinds) != 1 or not {"prompt_id", "prompt"} & set(table.columns):
        raise _not_known(path, f"a table with the columns {', '.join(map(str, table.columns))}")
    problems = []
    for number, row in enumerate(table.to_dict("records"), start=2):
        where = {
            "row": f"row {number}",
            "prompt_id": row.get("prompt_id"),
            "prompt": row.get("prompt"),
        }
        try:
            where["seed"] = _seed(row.get("seed"))
            if kinds == ["verdict"]:
                found = _of_words(str(row["verdict"]))
            elif kinds == ["vqascore"]:
                found = {ANY: float(_number(row["vqascore"], "vqascore", 0, 1) < pass_score)}
            else:
                found = {name: _flag(row[name], name) for name in given}
                known = [found[name] for name in given if name != ANY and not np.isnan(found[name])]
                if ANY not in given and known:
                    found[ANY] = max(known)
            yield where | found
        except ValueError as error:
            problems.append(f"row {number}: {error}")
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise FileError(
            f"Expected verdicts in {path}, but got {'; '.join(problems[:5])}{more}: correct them."
        )


def _of_words(text: str) -> dict[str, float]:
    """Read "right", "wrong", or kinds of failures joined by "+"."""
    words = [word.strip().lower() for word in text.split("+")]
    if words == [RIGHT]:
        return dict.fromkeys((*KINDS, ANY), 0.0)
    if words == [WRONG]:
        return {ANY: 1.0}
    if not set(words) <= set(KINDS):
        raise ValueError(
            f'verdict {text!r}, not "right", "wrong", or {", ".join(KINDS)} joined by "+"'
        )
    return {kind: float(kind in words) for kind in KINDS} | {ANY: 1.0}


def _flag(value: Any, name: str) -> float:
    if value is None or str(value).strip() == "":
        return float("nan")
    number = _number(value, name, 0, 1)
    if number not in (0, 1):
        raise ValueError(f"{value!r} as {name}, not 0 or 1")
    return number


def _number(value: Any, name: str, low: float, high: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not low <= number <= high:
        raise ValueError(f"{value!r} as {name}, not a number from {low:g} to {high:g}")
    return number


def _seed(value: Any) -> float:
    if value is None or str(value).strip() == "":
        return float("nan")
    number = _number(value, "seed", 0, np.inf)
    if number != int(number):
        raise ValueError(f"{value!r} as seed, not a whole number")
    return number


def _of_geneval(path: Path, lines: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Read the lines that GenEval's ``evaluate_images.py`` writes: filename, prompt, correct, reason, metadata.

    The number of a sample, as in ``00012/samples/0003.png``, is the seed. Reasons name a class of which too few objects
    were found, or a color that too few of them have.
    """
    for number, line in enumerate(lines, start=1):
        try:
            stem = PurePosixPath(str(line["filename"]).replace("\\", "/")).stem
            reason = str(line["reason"] or "")
            asked = json.loads(line["metadata"])["include"]
            row = {"row": f"line {number}", "prompt": line["prompt"], "seed": float(int(stem))}
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(
                f"Expected results of GenEval in {path} (filename, prompt, correct, reason, metadata, with images "
                f"named by their number), but line {number} is not: {error!r}."
            ) from error
        has_color = any("color" in each for each in asked)
        yield row | {
            "missing": float(bool(_ABSENT.search(reason))),
            "color": float(bool(_WRONG_COLOR.search(reason))) if has_color else float("nan"),
            ANY: float(not line["correct"]),
        }


def _of_tifa(path: Path, result: Any) -> Iterator[dict[str, Any]]:
    """Read what ``tifa_score_benchmark`` returns: question_details, by caption id and question, with scores of 0 and 1.

    A caption id that is the name of an image identifies it; otherwise its caption does, which must then have one image.
    """
    try:
        details = result["question_details"]
        for name, questions in details.items():
            answers = [(each["element_type"], float(each["scores"])) for each in questions.values()]
            caption = next(each["caption"] for each in questions.values())
            row: dict[str, Any] = {"row": f"caption id {name}", "image": name, "prompt": caption}
            row |= {
                "missing": _some_wrong(score for kind, score in answers if kind in _OBJECTS),
                "color": _some_wrong(score for kind, score in answers if kind == "color"),
                ANY: _some_wrong(score for _, score in answers),
            }
            yield row
    except (KeyError, TypeError, AttributeError, ValueError, StopIteration) as error:
        raise FileError(
            f"Expected the result of tifa_score_benchmark in {path} (question_details with caption, element_type and "
            f"scores), but it is not: {error!r}."
        ) from error


def _some_wrong(scores: Iterator[float]) -> float:
    known = list(scores)
    return float(any(score < 1 for score in known)) if known else float("nan")
