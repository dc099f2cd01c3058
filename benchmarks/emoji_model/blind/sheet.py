"""A blind sheet: images of the model and exact scenes, shuffled, with a form to fill in and a key that is kept apart.

The readers of Tang et al. (2023) named what they saw without knowing the prompts; this is the same for small objects
of a closed list.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.emoji_model.drawing import draw, fingerprint
from benchmarks.emoji_model.judge.faults import judge
from benchmarks.emoji_model.prompts import PLACE_SHARE, text
from daam_syntax.emoji.annotator import Annotator
from daam_syntax.emoji.grammar import ObjectSpec, SceneSpec
from daam_syntax.emoji.scenes import draw_scene, is_reserved
from daam_syntax.emoji.vocabulary import (
    ANIMATE,
    BACKGROUNDS,
    CATEGORIES,
    NOUNS,
    PREPOSITIONS,
    VERB_OBJECTS,
)
from daam_syntax.util.progress import show_progress

COLUMNS: Final = ("image", "first", "second", "third", "mixed")
"""Columns of the form."""

FORM: Final = "answers.csv"

INSTRUCTIONS: Final = (
    f"For every image, write the names of all things that you see into the columns first, second, and third of {FORM}, "
    "in any order; the row is the number under the image. Use only the names below. If you see a thing twice, write "
    "its name twice. Write ? for a thing that you cannot name, and none if there is nothing. Places do not count "
    "(stars, sea, sun, houses and trees in the distance). If a thing is made of parts of different things, or is only "
    "a part of a thing, write yes into the column mixed. Answer every image; do not look at the key."
)
"""What the reader is told."""

_SIDE: Final = 192  # of an image on the sheet
_PER_ROW, _ROWS = 6, 6


@dataclass(frozen=True)
class Entry:
    """One image of the sheet, as the key has it.

    Attributes
    ----------
    source
        "drawn" by the model, or an "exact" scene.
    prompt
        Its prompt.
    nouns
        The nouns that it should show.
    faults
        The faults of its objects, as the annotator judges.
    """

    source: str
    prompt: str
    nouns: list[str]
    faults: list[str]


def key_path(folder: Path) -> Path:
    """Return the path of the key: beside the folder, which can be given away without it."""
    return folder.with_name(f"{folder.name}.key.json")


def write_sheet(
    pipe: Any,
    annotator: Annotator,
    folder: Path,
    *,
    n_drawn: int = 140,
    n_exact: int = 60,
    seed: int = 0,
    progress: bool = True,
) -> None:
    """Write ``sheet.html``, ``sheet-1.png`` and so on, and an empty form to a folder, and the key beside it.

    Half of the images have one object, half have two; all nouns are equally frequent.

    Parameters
    ----------
    pipe, annotator
        The model and its annotator.
    folder
        The folder, which must not exist yet: a form may be filled in there.
    n_drawn, n_exact
        Numbers of generated images and of exact scenes.
    seed
        Seed of prompts, noise, scenes, and order. A model must be read with a seed of which nobody has seen the key.
    progress
        Whether to show progress.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, 0x5EE7])
    asked = list(_meanings(n_drawn, rng))
    images: list[Image.Image] = []
    with show_progress(progress, n_drawn, label="Drawing", unit="images") as bar:
        noise = [int(s) for s in rng.integers(2**31, size=n_drawn)]
        for batch in draw(pipe, [text(spec) for spec in asked], noise):
            images += batch
            bar.advance(len(batch))
    exact = list(_meanings(n_exact, rng))
    images += [draw_scene(spec, rng).image for spec in exact]
    seen = annotator(images)
    entries = [
        Entry(
            "drawn" if i < n_drawn else "exact",
            text(spec),
            [obj.noun for obj in spec.objects],
            list(judge(seen[i], spec, images[i], ())),
        )
        for i, spec in enumerate([*asked, *exact])
    ]
    order = rng.permutation(len(images))
    _write_pages(folder, [images[i] for i in order])
    _write_form(folder / FORM, len(order))
    key = {
        "weights": fingerprint(pipe, annotator),
        "seed": seed,
        "images": [asdict(entries[i]) for i in order],
    }
    key_path(folder).write_text(json.dumps(key, indent=1) + "\n", encoding="utf-8")


def _meanings(n: int, rng: np.random.Generator) -> Iterator[SceneSpec]:
    """Yield meanings with one and two objects in turn; every noun comes once before any comes again."""
    deck: list[str] = []
    for i in range(n):
        nouns = [_deal(deck, rng, ())]
        if i % 2:
            nouns.append(_deal(deck, rng, nouns))
        yield SceneSpec(
            tuple(ObjectSpec(noun) for noun in nouns),
            _relation(nouns, rng),
            str(rng.choice(list(BACKGROUNDS))) if rng.random() < PLACE_SHARE else None,
        )


def _deal(deck: list[str], rng: np.random.Generator, taken: tuple[str, ...] | list[str]) -> str:
    """Take the next noun that can stand beside those taken: another one, of a pair that is not reserved."""
    while True:
        for noun in deck:
            pair = SceneSpec(tuple(ObjectSpec(x) for x in (*taken, noun)))
            if noun not in taken and not is_reserved(pair):
                deck.remove(noun)
                return noun
        deck += [str(noun) for noun in rng.permutation(NOUNS)]


def _relation(nouns: list[str], rng: np.random.Generator) -> str:
    if len(nouns) == 1:
        return "and"
    verbs = [
        v for v, objects in VERB_OBJECTS.items() if nouns[0] in ANIMATE and nouns[1] in objects
    ]
    return str(rng.choice(["and", *PREPOSITIONS, *verbs]))


def _write_pages(folder: Path, images: list[Image.Image]) -> None:
    names = "".join(f"<li>{', '.join(nouns)}</li>" for nouns in CATEGORIES.values())
    figures = "".join(
        f'<figure><img src="data:image/png;base64,{_encoded(image)}" alt=""><figcaption>{i}'
        "</figcaption></figure>"
        for i, image in enumerate(images, start=1)
    )
    style = (
        "body{font:16px sans-serif;margin:2em}figure{display:inline-block;margin:8px;text-align:center}"
        f"img{{width:{_SIDE}px;height:{_SIDE}px}}"
    )
    page = (
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Sheet</title><style>{style}'
        f"</style><h1>What do you see?</h1><p>{INSTRUCTIONS}</p><ul>{names}</ul>{figures}</html>"
    )
    (folder / "sheet.html").write_text(page, encoding="utf-8")
    on_page = _PER_ROW * _ROWS
    for number, start in enumerate(range(0, len(images), on_page), start=1):
        _page(images[start : start + on_page], start + 1).save(folder / f"sheet-{number}.png")


def _encoded(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _page(images: list[Image.Image], first: int) -> Image.Image:
    """Paste images in rows, with their numbers below."""
    label, gap = 26, 8
    rows = -(-len(images) // _PER_ROW)
    page = Image.new(
        "RGB", (_PER_ROW * (_SIDE + gap) + gap, rows * (_SIDE + label + gap) + gap), "white"
    )
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(18)
    for i, image in enumerate(images):
        x = gap + i % _PER_ROW * (_SIDE + gap)
        y = gap + i // _PER_ROW * (_SIDE + label + gap)
        page.paste(image.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), (x, y))
        pen.text(
            (x + _SIDE / 2, y + _SIDE + 2), str(first + i), fill="black", font=font, anchor="ma"
        )
    return page


def _write_form(path: Path, n: int) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        rows.writerows([i, *[""] * (len(COLUMNS) - 1)] for i in range(1, n + 1))
