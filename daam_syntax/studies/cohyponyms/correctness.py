"""Whether a picture shows the nouns of its prompt: by the annotator, corrected for its errors, or by people."""

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
"""Columns of a sheet that people fill in with 0 or 1."""

_ROUNDING: Final = 1.0  # of 255, mean over the pixels


@dataclass(frozen=True)
class Rates:
    """How often a judge is right on whether both nouns are shown.

    Attributes
    ----------
    sensitivity
        Share of the pictures with both nouns that it says have both.
    specificity
        Share of the pictures that lack one that it says lack one.
    n_with, n_without
        Pictures of each sort that this was measured on; 0 where it is taken from elsewhere.
    """

    sensitivity: float
    specificity: float
    n_with: int = 0
    n_without: int = 0

    def correct(self, share: float) -> float:
        """Return the share of pictures with both nouns, given the share that the judge says have both.

        ``(share + specificity - 1) / (sensitivity + specificity - 1)`` (Rogan and Gladen 1978), not cut off at 0 and
        1, so that a mean of corrected values is the corrected mean. NaN for a judge no better than chance.
        """
        informed = self.sensitivity + self.specificity - 1
        return (share + self.specificity - 1) / informed if informed > 0 else float("nan")


def shown(annotator: Annotator, images: Sequence[Image], nouns: Sequence[str]) -> list[list[bool]]:
    """Return, for each picture, which of the nouns the annotator sees in it."""
    return [[noun in seen.present() for noun in nouns] for seen in annotator(images)]


def annotator_rates(
    annotator: Annotator, pairs: Iterable[tuple[str, str]], *, n: int = 6, seed: int = 0
) -> Rates:
    """Measure the annotator on drawn scenes of word pairs, whose truth is known.

    Of the scenes that lack one of the nouns, a third shows the first alone, a third the second alone, and a third the
    first with another noun of the second's category. The scenes are sharper than pictures of a model, so that its
    errors on those may be more.

    Parameters
    ----------
    annotator
        The annotator.
    pairs
        Pairs of the embedded world's nouns.
    n
        Scenes of each pair that show both, and as many that do not.
    seed
        Of the scenes.
    """
    rng = np.random.default_rng(seed)
    said: dict[bool, list[bool]] = {True: [], False: []}
    for first, second in pairs:
        others = [noun for noun in CATEGORIES[CATEGORY_OF[second]] if noun not in (first, second)]
        lacking = [(first,), (second,), (first, str(rng.choice(others)))]
        for truth, scenes in ((True, [(first, second)] * n), (False, (lacking * n)[:n])):
            specs = [SceneSpec(tuple(ObjectSpec(noun) for noun in nouns)) for nouns in scenes]
            images = [draw_scene(spec, rng).image for spec in specs]
            said[truth] += [all(found) for found in shown(annotator, images, (first, second))]
    return Rates(
        float(np.mean(said[True])),
        float(1 - np.mean(said[False])),
        len(said[True]),
        len(said[False]),
    )


def in_embedded_world(nouns: Iterable[str]) -> bool:
    """Whether the annotator knows all these nouns."""
    return set(nouns) <= set(NOUNS)


def write_sheet(
    pictures: Sequence[tuple[str, Image, str, str]], folder: str | Path, *, seed: int = 0
) -> Path:
    """Write pictures and a sheet for people to fill in, in random order and without conditions.

    Parameters
    ----------
    pictures
        Name of the image, picture, first and second noun.
    folder
        Where ``pictures/``, ``sheet.csv`` and ``key.csv`` go. The key says which picture is which image: annotators
        do not get it.
    seed
        Of the order.

    Returns
    -------
    pathlib.Path
        The sheet, to be copied for each annotator, who fills in 1 or 0 in the columns `SHOWN`.

    Raises
    ------
    FileError
        If something cannot be written, or there is a sheet already, which may be filled in.
    """
    folder = Path(folder)
    refuse_second_sheet(folder)
    try:
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"Expected a folder that can be made, but {folder} cannot: {error.strerror}."
        ) from error
    sheet, key = [], []
    for number, place in enumerate(np.random.default_rng(seed).permutation(len(pictures)), start=1):
        image, picture, first, second = pictures[place]
        name = f"{number:04d}.png"
        with whole_file(folder / "pictures" / name) as partial:
            picture.save(partial, format="PNG")
        sheet.append({"picture": name, "first": first, "second": second} | dict.fromkeys(SHOWN, ""))
        key.append({"picture": name, "image": image})
    for name, rows in (("sheet.csv", sheet), ("key.csv", key)):
        with whole_file(folder / name) as partial:
            pd.DataFrame(rows).to_csv(partial, index=False)
    return folder / "sheet.csv"


def refuse_second_sheet(folder: str | Path) -> None:
    """Check that a folder has no sheet yet.

    Raises
    ------
    FileError
        If it has one: it may be filled in, and its key would be replaced.
    """
    if (Path(folder) / "sheet.csv").exists() or (Path(folder) / "key.csv").exists():
        raise FileError(
            f"Expected a folder without a sheet, but {folder} has one; give it together with the filled-in sheets, or "
            "choose another folder."
        )


@dataclass(frozen=True, eq=False)
class Judgements:
    """What people saw.

    Attributes
    ----------
    correct
        Name of the image to the share of the annotators who saw both nouns.
    kappa
        Agreement on that beyond chance: Cohen's (1960) of two annotators, Fleiss' (1971) of more; NaN of one, or
        where all judged all pictures alike.
    n_annotators
        How many.
    """

    correct: Mapping[str, float]
    kappa: float
    n_annotators: int


def read_sheets(folder: str | Path, sheets: Sequence[str | Path]) -> Judgements:
    """Read filled-in sheets.

    Parameters
    ----------
    folder
        Where `write_sheet` wrote, with its key.
    sheets
        One file of each annotator.

    Raises
    ------
    FileError
        If a file cannot be read or is no sheet.
    StudyError
        If there is no sheet, or one is not filled in with 0 and 1 for every picture.
    """
    if not sheets:
        raise StudyError("Expected at least one filled-in sheet, but got none.")
    key = _read_csv(Path(folder) / "key.csv", ["picture", "image"]).set_index("picture")["image"]
    judged = []
    for path in map(Path, sheets):
        sheet = _read_csv(path, ["picture", *SHOWN]).set_index("picture")
        values = sheet.reindex(key.index)[list(SHOWN)].apply(pd.to_numeric, errors="coerce")
        wrong = values.index[~values.isin([0, 1]).all(axis=1)]
        if len(wrong):
            raise StudyError(
                f"Expected 0 or 1 for both nouns of every picture in {path}, but {wrong[0]} has something else "
                f"(and {len(wrong) - 1} others); fill it in."
            )
        judged.append(values.all(axis=1).to_numpy(int))
    table = np.column_stack(judged)
    shares = dict(zip(key, table.mean(axis=1).tolist(), strict=True))
    return Judgements(shares, _kappa(table), table.shape[1])


def check_pictures(folder: str | Path, drawn: Mapping[str, Image]) -> None:
    """Check that the pictures that people judged are those that were drawn now.

    Parameters
    ----------
    folder
        Where `write_sheet` wrote.
    drawn
        Name of the image to the picture.

    Raises
    ------
    FileError
        If a picture cannot be read.
    StudyError
        If they are others: other prompts, seeds, settings or another model. Last bits may differ, as they do between
        machines.
    """
    key = _read_csv(Path(folder) / "key.csv", ["picture", "image"])
    judged = dict(zip(key["image"], key["picture"], strict=True))
    same = set(judged) == set(drawn)
    for name in judged if same else ():
        path = Path(folder) / "pictures" / judged[name]
        try:
            before = np.asarray(open_image(path).convert("RGB"), dtype=float)
        except OSError as error:
            raise FileError(
                f"Expected a picture {path}, but it cannot be read: {error}."
            ) from error
        now = np.asarray(drawn[name].convert("RGB"), dtype=float)
        same &= before.shape == now.shape and bool(np.abs(before - now).mean() <= _ROUNDING)
    if not same:
        raise StudyError(
            f"Expected the pictures that were judged, but those in {folder} are others; use the prompts, seeds, steps "
            "and model that the sheet was written with."
        )


def _kappa(table: np.ndarray) -> float:
    """Return the agreement of annotators, the columns, on 0 or 1."""
    if table.shape[1] < 2 or len(np.unique(table)) < 2:
        return float("nan")
    if table.shape[1] == 2:
        counts: Any = to_table(table, bins=2)[0]
        return float(cohens_kappa(counts, return_results=False))
    return float(fleiss_kappa(aggregate_raters(table, n_cat=2)[0]))


def _read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype={"picture": str})
    except (OSError, ValueError) as error:
        raise FileError(
            f"Expected a CSV file {path}, but it cannot be read: {error}. Was it saved as CSV in UTF-8?"
        ) from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise FileError(
            f"Expected the columns {', '.join(columns)} in {path}, but it has no {', '.join(missing)}."
        )
    return table
