"""Does an image show both nouns? Judged by the annotator, corrected for its errors, or by people on blind sheets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from PIL.Image import Image
from PIL.Image import open as open_image
from statsmodels.stats.inter_rater import aggregate_raters, cohens_kappa, fleiss_kappa, to_table

from daam_syntax.emoji.grammar import ObjectSpec, SceneSpec
from daam_syntax.emoji.scenes import draw_scene
from daam_syntax.emoji.vocabulary import CATEGORIES, CATEGORY_OF, NOUNS
from daam_syntax.errors import FileError, StudyError
from daam_syntax.util.whole_files import whole_file

if TYPE_CHECKING:
    from daam_syntax.emoji.annotator import Annotator

SHOWN: Final = ("first_shown", "second_shown")
"""Columns of a sheet in which annotators enter 0 or 1."""

_ROUNDING: Final = 1.0  # mean absolute difference of pixel values, of 255


@dataclass(frozen=True)
class Rates:
    """How often a judge is right about whether an image shows both nouns.

    Attributes
    ----------
    sensitivity
        Share of correct judgments among images that show both nouns.
    specificity
        Share of correct judgments among images that lack one or both.
    n_with, n_without
        Number of images of each kind that the rates were measured on; 0 if they come from elsewhere.
    """

    sensitivity: float
    specificity: float
    n_with: int = 0
    n_without: int = 0

    def correct(self, share: float) -> float:
        """Return the share of images with both nouns, given the share that the judge says show both.

        The corrected share is ``(share + specificity - 1) / (sensitivity + specificity - 1)`` (Rogan and Gladen 1978).
        It is not clipped to 0 and 1, so the mean of corrected values is the corrected mean. It is NaN for a judge that
        is no better than chance.
        """
        informed = self.sensitivity + self.specificity - 1
        return (share + self.specificity - 1) / informed if informed > 0 else float("nan")


def shown(annotator: Annotator, images: Sequence[Image], nouns: Sequence[str]) -> list[list[bool]]:
    """Return, for each image and noun, whether the annotator finds the noun in the image."""
    return [[noun in seen.present() for noun in nouns] for seen in annotator(images)]


def annotator_rates(
    annotator: Annotator, pairs: Iterable[tuple[str, str]], *, n: int = 6, seed: int = 0
) -> Rates:
    """Measure the error rates of the annotator on rendered scenes of word pairs, for which the truth is known.

    Of the scenes that lack a noun, a third show only the first noun, a third only the second, and a third the first
    noun with another noun from the category of the second. The scenes are sharper than images that a model draws, on
    which the annotator may make more errors.

    Parameters
    ----------
    annotator
        The annotator.
    pairs
        Pairs of nouns of the embedded world.
    n
        Number of scenes per pair that show both nouns, and of scenes that do not.
    seed
        Seed of the scenes.
    """
    rng = np.random.default_rng(seed)
    judged: dict[bool, list[bool]] = {True: [], False: []}
    for first, second in pairs:
        others = [noun for noun in CATEGORIES[CATEGORY_OF[second]] if noun not in (first, second)]
        lacking = [(first,), (second,), (first, str(rng.choice(others)))]
        for truth, scenes in ((True, [(first, second)] * n), (False, (lacking * n)[:n])):
            specs = [SceneSpec(tuple(ObjectSpec(noun) for noun in nouns)) for nouns in scenes]
            images = [draw_scene(spec, rng).image for spec in specs]
            judged[truth] += [all(found) for found in shown(annotator, images, (first, second))]
    return Rates(
        float(np.mean(judged[True])),
        float(1 - np.mean(judged[False])),
        len(judged[True]),
        len(judged[False]),
    )


def in_embedded_world(nouns: Iterable[str]) -> bool:
    """Whether the annotator knows all these nouns."""
    return set(nouns) <= set(NOUNS)


def write_sheet(
    images: Sequence[tuple[str, Image, str, str]], folder: str | Path, *, seed: int = 0
) -> Path:
    """Write images and a blind sheet for annotators, in random order and without the conditions.

    Parameters
    ----------
    images
        Name of each image, the image, and its first and second noun.
    folder
        Folder for ``images/``, ``sheet.csv`` and ``key.csv``. The key links the files to the names of the images;
        annotators must not see it.
    seed
        Seed of the order.

    Returns
    -------
    pathlib.Path
        The sheet. Each annotator fills in a copy of it, with 1 or 0 in the columns `SHOWN`.

    Raises
    ------
    FileError
        If a file cannot be written, or if the folder already has a sheet, which may be filled in.
    """
    folder = Path(folder)
    refuse_second_sheet(folder)
    try:
        (folder / "images").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"Expected a folder that can be created, but got {folder}: {error.strerror}. Choose another folder."
        ) from error
    sheet, key = [], []
    for number, place in enumerate(np.random.default_rng(seed).permutation(len(images)), start=1):
        name, image, first, second = images[place]
        file = f"{number:04d}.png"
        with whole_file(folder / "images" / file) as partial:
            image.save(partial, format="PNG")
        sheet.append({"file": file, "first": first, "second": second} | dict.fromkeys(SHOWN, ""))
        key.append({"file": file, "image": name})
    for file, rows in (("sheet.csv", sheet), ("key.csv", key)):
        with whole_file(folder / file) as partial:
            pd.DataFrame(rows).to_csv(partial, index=False)
    return folder / "sheet.csv"


def refuse_second_sheet(folder: str | Path) -> None:
    """Check that a folder does not have a sheet yet.

    Raises
    ------
    FileError
        If it has one: the sheet may be filled in, and its key must not be replaced.
    """
    if (Path(folder) / "sheet.csv").exists() or (Path(folder) / "key.csv").exists():
        raise FileError(
            f"Expected a folder without a sheet, but {folder} has one: give the filled-in sheets (judgments) as well, "
            "or choose another folder."
        )


@dataclass(frozen=True, eq=False)
class Judgments:
    """Judgments of annotators on whether images show both nouns.

    Attributes
    ----------
    correct
        Maps each image's name to the share of annotators who saw both nouns.
    kappa
        Agreement beyond chance: Cohen's kappa (1960) for two annotators, Fleiss' kappa (1971) for more. It is NaN for
        one annotator, and if all annotators gave all images the same judgment.
    n_annotators
        Number of annotators.
    """

    correct: Mapping[str, float]
    kappa: float
    n_annotators: int


def read_sheets(folder: str | Path, sheets: Sequence[str | Path]) -> Judgments:
    """Read filled-in sheets.

    Parameters
    ----------
    folder
        Folder that `write_sheet` wrote, with its key.
    sheets
        One file per annotator.

    Raises
    ------
    FileError
        If a file cannot be read or is not a sheet.
    StudyError
        If there is no sheet, or if a sheet does not have 0 or 1 for every image.
    """
    if not sheets:
        raise StudyError("Expected at least one filled-in sheet, but got none.")
    key = _read_csv(Path(folder) / "key.csv", ["file", "image"]).set_index("file")["image"]
    judged = []
    for path in map(Path, sheets):
        sheet = _read_csv(path, ["file", *SHOWN]).set_index("file")
        values = sheet.reindex(key.index)[list(SHOWN)].apply(pd.to_numeric, errors="coerce")
        wrong = values.index[~values.isin([0, 1]).all(axis=1)]
        if len(wrong):
            raise StudyError(
                f"Expected 0 or 1 for both nouns of every image in {path}, but got something else for {wrong[0]}"
                f"{f' and {len(wrong) - 1} more' if len(wrong) > 1 else ''}: complete the sheet."
            )
        judged.append(values.all(axis=1).to_numpy(int))
    table = np.column_stack(judged)
    shares = dict(zip(key, table.mean(axis=1).tolist(), strict=True))
    return Judgments(shares, _kappa(table), table.shape[1])


def check_images(folder: str | Path, drawn: Mapping[str, Image]) -> None:
    """Check that the images that annotators judged are the same as those drawn now.

    Parameters
    ----------
    folder
        Folder that `write_sheet` wrote.
    drawn
        Maps each image's name to the image.

    Raises
    ------
    FileError
        If an image cannot be read.
    StudyError
        If the images differ, for instance because of other prompts, seeds, settings or another model. Differences in
        the last bits, as between machines, are allowed.
    """
    key = _read_csv(Path(folder) / "key.csv", ["file", "image"])
    judged = dict(zip(key["image"], key["file"], strict=True))
    same = set(judged) == set(drawn)
    for name in judged if same else ():
        path = Path(folder) / "images" / judged[name]
        try:
            before = np.asarray(open_image(path).convert("RGB"), dtype=float)
        except OSError as error:
            raise FileError(
                f"Expected an image at {path}, but it cannot be read: {error}."
            ) from error
        now = np.asarray(drawn[name].convert("RGB"), dtype=float)
        same &= before.shape == now.shape and bool(np.abs(before - now).mean() <= _ROUNDING)
    if not same:
        raise StudyError(
            f"Expected the images that were judged, but those in {folder} are different: use the prompts, seeds, steps "
            "and model that the sheet was written with."
        )


def _kappa(table: np.ndarray) -> float:
    """Return the agreement of annotators, the columns, about 0 or 1."""
    if table.shape[1] < 2 or len(np.unique(table)) < 2:
        return float("nan")
    if table.shape[1] == 2:
        counts: Any = to_table(table, bins=2)[0]
        return float(cohens_kappa(counts, return_results=False))
    return float(fleiss_kappa(aggregate_raters(table, n_cat=2)[0]))


def _read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype={"file": str})
    except (OSError, ValueError) as error:
        raise FileError(
            f"Expected a CSV file at {path}, but it cannot be read: {error}. Save it as CSV in UTF-8."
        ) from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise FileError(
            f"Expected the columns {', '.join(columns)} in {path}, but it lacks {', '.join(missing)}."
        )
    return table
