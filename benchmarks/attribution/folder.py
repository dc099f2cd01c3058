"""Anybody's images with captions and masks of words, in a folder.

The folder has a table of captions, ``captions.csv`` or ``captions.jsonl``, with the fields ``image`` (a path in the
folder) and ``caption``. Masks are images of the same size, in which every pixel that is not 0 belongs to the thing. A
table, ``masks.csv`` or ``masks.jsonl``, lists them with the fields ``image``, ``word``, and ``mask`` (a path in the
folder); several masks of a word, such as instances, are united. Without this table, the masks of ``NAME.jpg`` are
``masks/NAME/WORD.png``. A word is one word of the caption; ``red#2`` is the second "red".
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from benchmarks.attribution.cases import Case, Scored, Thing
from daam_syntax.errors import FileError
from daam_syntax.language import Sentence
from daam_syntax.language.parser import parse_many
from daam_syntax.util.images.fitting import Fit, Fitting
from daam_syntax.util.images.pixels import as_rgb
from daam_syntax.util.wording import one_line

_TABLES: Final = (".csv", ".jsonl")
_MOST_NAMED: Final = 5


@dataclass(frozen=True)
class Target:
    """The sizes that a pipeline reads.

    Attributes
    ----------
    multiple
        Heights and widths are multiples of this number of pixels.
    fit, size
        How images get the size (height and width); None to leave them as they are.
    """

    multiple: int
    fit: Fit | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class _Row:
    """A row of a table, and where it is, for messages."""

    values: Mapping[str, str]
    place: str


def read_folder(folder: Path, target: Target, parser: Any = None) -> list[Scored]:
    """Read the images, captions, and masks of a folder.

    Parameters
    ----------
    folder
        The folder.
    target
        The sizes that images and masks get.
    parser
        The dependency parser for the captions; None for the default.

    Returns
    -------
    list of Scored
        One per image with its masks, in the order of the table of captions.

    Raises
    ------
    FileError
        If a file is missing or cannot be read, a mask has another size than its image or is empty, or a word is not in
        its caption. The message names the first problem.
    """
    captions = _captions(folder)
    masks = _masks(folder, captions)
    sentences = parse_many([row.values["caption"] for row in captions.values()], parser)
    return [
        _scored(folder, row, sentence, masks[image], target)
        for (image, row), sentence in zip(captions.items(), sentences, strict=True)
    ]


def _captions(folder: Path) -> dict[str, _Row]:
    captions: dict[str, _Row] = {}
    for row in _table(folder, "captions", ("image", "caption")):
        image = row.values["image"]
        if image in captions:
            raise FileError(
                f"Expected one caption for each image, but {row.place} has another one for {image!r}: leave one out, "
                "or copy the image to another name."
            )
        captions[image] = row
    if not captions:
        raise FileError(f"Expected at least one row of captions in {folder}, but got none.")
    return captions


def _masks(folder: Path, captions: Mapping[str, _Row]) -> dict[str, list[_Row]]:
    """Return the words and masks of each image."""
    listed = any((folder / f"masks{ending}").exists() for ending in _TABLES)
    rows = (
        _table(folder, "masks", ("image", "word", "mask")) if listed else _named(folder, captions)
    )
    found: dict[str, list[_Row]] = {image: [] for image in captions}
    for row in rows:
        image = row.values["image"]
        if image not in found:
            raise FileError(
                f"Expected masks of images that have a caption, but {row.place} is of {image!r}, which has none."
            )
        found[image].append(row)
    lacking = [image for image, own in found.items() if not own]
    if lacking:
        how = (
            "add rows to the table of masks"
            if listed
            else f"add masks/{Path(lacking[0]).stem}/WORD.png, or a table masks.csv"
        )
        named = ", ".join(map(repr, lacking[:_MOST_NAMED]))
        more = f" and {len(lacking) - _MOST_NAMED} more" if len(lacking) > _MOST_NAMED else ""
        raise FileError(
            f"Expected a mask for at least one word of each image, but {named}{more} have none: {how}."
        )
    return found


def _named(folder: Path, captions: Mapping[str, _Row]) -> Iterator[_Row]:
    """Find masks by their names."""
    by_stem: dict[str, str] = {}
    for image in captions:
        stem = Path(image).stem
        if stem in by_stem:
            raise FileError(
                f"Expected images of different names, to find their masks, but several are named {stem!r}: list the "
                "masks in a table, masks.csv."
            )
        by_stem[stem] = image
    for path in sorted((folder / "masks").glob("*/*")):
        stem, mask = path.parent.name, path.relative_to(folder).as_posix()
        if path.name.startswith("."):
            continue
        yield _Row({"image": by_stem.get(stem, stem), "word": path.stem, "mask": mask}, mask)


def _table(folder: Path, name: str, fields: tuple[str, ...]) -> Iterator[_Row]:
    paths = [folder / f"{name}{ending}" for ending in _TABLES]
    path = next((each for each in paths if each.exists()), None)
    if path is None:
        raise FileError(
            f"Expected a table {name}.csv or {name}.jsonl in {folder}, with the fields {', '.join(fields)}, but there "
            "is none."
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = _csv_rows(text) if path.suffix == ".csv" else _json_rows(text)
        for number, values in lines:
            place = f"line {number} of {path.name}"
            wrong = [
                f for f in fields if not isinstance(values.get(f), str) or not values[f].strip()
            ]
            if wrong:
                raise FileError(
                    f"Expected the fields {', '.join(fields)} as text, but {place} has no {wrong[0]!r}."
                )
            yield _Row({field: values[field].strip() for field in fields}, place)
    except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
        raise FileError(f"Expected a table in UTF-8 at {path}, but {one_line(error)}.") from error


def _csv_rows(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(text.splitlines())
    for values in reader:
        yield reader.line_num, values


def _json_rows(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            values = json.loads(line)
            yield number, values if isinstance(values, dict) else {}


def _scored(
    folder: Path, row: _Row, sentence: Sentence, rows: list[_Row], target: Target
) -> Scored:
    name = row.values["image"]
    image = as_rgb(_opened(folder, name, row.place))
    fitting = _fitting(name, (image.height, image.width), target)
    united: dict[int, np.ndarray] = {}
    for each in rows:
        word = _word(sentence, each)
        mask = _mask(folder, each, name, (image.height, image.width), fitting)
        united[word] = united[word] | mask if word in united else mask
    things = tuple(
        Thing(word, mask, tuple(_others(united, word))) for word, mask in sorted(united.items())
    )
    fitted = image if fitting is None else fitting.apply(image)
    return Scored(Case(fitted, sentence, tuple(thing.word for thing in things)), things)


def _others(masks: Mapping[int, np.ndarray], word: int) -> Iterator[np.ndarray]:
    """Yield the pixels of the other words' things that are not those of the word's own thing."""
    for other, mask in masks.items():
        apart = mask & ~masks[word]
        if other != word and apart.any():
            yield apart


def _opened(folder: Path, name: str, place: str) -> Image.Image:
    path = folder / name
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except Exception as error:
        # Decoders of damaged files raise errors of many types that have only Exception in common.
        reason = getattr(error, "strerror", None) or one_line(error).rstrip(".")
        raise FileError(f"Expected an image at {path} ({place}), but {reason}.") from error


def _fitting(name: str, size: tuple[int, int], target: Target) -> Fitting | None:
    if target.fit is not None:
        assert target.size is not None, "the caller finds the size that the model draws"
        return Fitting.plan(target.fit, size, target.size)
    if any(side % target.multiple for side in size):
        raise FileError(
            f"Expected images whose height and width are multiples of {target.multiple}, but {name} is {size[0]}x"
            f"{size[1]} (height x width): pass --fit crop or --fit resize."
        )
    return None


def _word(sentence: Sentence, row: _Row) -> int:
    """Return the index of a word, such as "cat" or "red#2"."""
    text = row.values["word"]
    numbered = re.fullmatch(r"(.+)#([1-9][0-9]*)", text)
    wanted, number = (numbered[1], int(numbered[2])) if numbered else (text, None)
    found = sentence.find(wanted)
    if not found:
        raise FileError(
            f"Expected a word of the caption {sentence.text!r}, but {row.place} is of {text!r}: use one of its words, "
            "such as the noun of a phrase."
        )
    if number is None and len(found) > 1:
        raise FileError(
            f"Expected one word of the caption {sentence.text!r}, but it has {text!r} {len(found)} times "
            f"({row.place}): name {text}#1 to {text}#{len(found)}."
        )
    if number is not None and number > len(found):
        raise FileError(
            f"Expected a word of the caption {sentence.text!r}, but it has {wanted!r} {len(found)} times, and "
            f"{row.place} is of number {number}."
        )
    return int(found[(number or 1) - 1])


def _mask(
    folder: Path, row: _Row, image: str, size: tuple[int, int], fitting: Fitting | None
) -> np.ndarray:
    path = row.values["mask"]
    opened = _opened(folder, path, row.place)
    pixels = np.asarray(opened.convert("RGB") if opened.mode in ("RGBA", "LA") else opened)
    mask = pixels.any(axis=-1) if pixels.ndim == 3 else pixels != 0
    if mask.shape != size:
        raise FileError(
            f"Expected the mask {path} to have the size of {image}, {size[0]}x{size[1]} (height x width), but it is "
            f"{mask.shape[0]}x{mask.shape[1]}: save it at the size of the image."
        )
    if not mask.any():
        raise FileError(
            f"Expected pixels that are not 0 in the mask {path} of {row.values['word']!r}, but it is empty: leave it "
            "out."
        )
    if fitting is None:
        return mask
    fitted = Image.fromarray(mask).crop(fitting.box)
    resized = fitted.resize(fitting.size[::-1], Image.Resampling.NEAREST)
    if not np.asarray(resized).any():
        raise FileError(
            f"Expected a part of {row.values['word']!r} in {image} after it is fitted, but its mask {path} is empty "
            "then: pass --fit resize, a larger --size, or leave the mask out."
        )
    return np.asarray(resized)
