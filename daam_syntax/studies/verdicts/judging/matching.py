"""Join verdicts of a file with the images of a run, one to one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.errors import StudyError
from daam_syntax.studies.verdicts.judging.failures import ANY, KINDS

_SHOWN: Final = 5


def match(verdicts: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Return the verdicts in the order of the images; images without a verdict have NaN.

    Parameters
    ----------
    verdicts
        As `read_verdicts` returns them.
    images
        The columns ``image`` (name), ``prompt_id``, ``prompt``, ``seed``.

    Returns
    -------
    pandas.DataFrame
        The columns of failures, with the index of `images`.

    Raises
    ------
    StudyError
        If a verdict belongs to no image or to several, or if an image has several verdicts; the message lists them.
    """
    problems: list[str] = []
    image_of: dict[int, Any] = {}
    for number, row in enumerate(verdicts.to_dict("records")):
        fitting = _fitting(row, images)
        if len(fitting) != 1:
            problems.append(f"{row['row']} ({_described(row)}) {_trouble(row, fitting)}")
        elif fitting[0] in image_of.values():
            problems.append(
                f"{row['row']} ({_described(row)}) is a second verdict on the same image"
            )
        else:
            image_of[number] = fitting[0]
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise StudyError(
            f"Expected every verdict to belong to one of the {len(images)} images, each with at most one verdict, but "
            f"{'; '.join(problems[:_SHOWN])}{more}: take verdicts on images of these prompts and seeds."
        )
    known = verdicts.loc[list(image_of), [*KINDS, ANY]].astype(float)
    known.index = pd.Index(list(image_of.values()))
    return known.reindex(images.index)


def _fitting(row: Mapping[Any, Any], images: pd.DataFrame) -> list[Any]:
    """Return the index of the images that a verdict can belong to."""
    if _is_known(row["image"]):
        named = images.index[images["image"] == row["image"]]
        if len(named):
            return list(named)
    fits = np.ones(len(images), dtype=bool)
    for column in ("prompt_id", "prompt"):
        if _is_known(row[column]):
            fits &= (images[column] == str(row[column])).to_numpy()
    if _is_known(row["seed"]):
        fits &= (images["seed"] == row["seed"]).to_numpy()
    return list(images.index[fits])


def _is_known(value: Any) -> bool:
    return value is not None and value == value  # NaN differs from itself


def _described(row: Mapping[Any, Any]) -> str:
    names = ("prompt_id", "prompt", "seed")
    return ", ".join(
        f"{name} {int(row[name]) if name == 'seed' else repr(row[name])}"
        for name in names
        if _is_known(row[name])
    )


def _trouble(row: Mapping[Any, Any], fitting: list[Any]) -> str:
    if not fitting:
        return "belongs to no image"
    return (
        f"fits {len(fitting)} images{'' if _is_known(row['seed']) else ', because it has no seed'}"
    )
