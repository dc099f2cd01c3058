"""Scores of a map against the pixels of what its word names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from benchmarks.attribution.cases import Maps, Scored, Thing
from daam_syntax.maps import bicubic, mask_iou, parse_threshold
from daam_syntax.maps.measures import average_precision, pointing_game, threshold_miou

TAUS: Final = tuple(round(0.05 * i, 2) for i in range(1, 20))
"""Relative thresholds among which the one for `AT_BEST` is chosen, on other images."""

_RULES: Final = {tau: parse_threshold(f"relative:{tau}") for tau in TAUS}

MIOU: Final = "mIoU over thresholds"
AT_BEST: Final = "IoU at the threshold of other images"
PRECISION: Final = "average precision"
POINTING: Final = "pointing game"
OWN: Final = "own object is stronger"
AGAINST_MASKS: Final = (MIOU, AT_BEST, PRECISION, POINTING, OWN)
"""Scores of maps against masks; a map of the whole image has the area of the mask in the first four."""


def at_size(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a map at the size of the image; a map without mass is flat, as it prefers no pixel.

    Raises
    ------
    ValueError
        If a value is not finite, or negative.
    """
    if not np.isfinite(values).all() or values.min() < 0:
        raise ValueError(
            f"Expected a map of finite values of 0 or more, but got {values.min()} to {values.max()}."
        )
    # Measures compare values: rounding of single precision would order pixels of equal value.
    resized = bicubic(values.astype(np.float64), shape)
    return resized if resized.any() else np.ones(shape)


def against_masks(things: Sequence[Thing], maps: Maps) -> dict[str, list[float]]:
    """Score the maps of an image: name of the score, or of a threshold, to the scores of its things.

    The own-against-other score has only the things that are not alone.
    """
    scores: dict[str, list[float]] = {}
    for thing in things:
        values = at_size(maps[thing.word], thing.mask.shape)
        found = {
            MIOU: threshold_miou(values, thing.mask),
            PRECISION: average_precision(values, thing.mask),
            POINTING: pointing_game(values, thing.mask),
            **{
                iou_at(tau): mask_iou(rule.apply(values), thing.mask)
                for tau, rule in _RULES.items()
            },
        }
        if thing.others:
            found[OWN] = own_is_stronger(values, thing)
        for name, value in found.items():
            scores.setdefault(name, []).append(float(value))
    return scores


def iou_at(tau: float) -> str:
    """Return the name of the IoU at a relative threshold."""
    return f"IoU at relative:{tau:g}"


def own_is_stronger(values: np.ndarray, thing: Thing) -> float:
    """Return whether a map is stronger on its own thing, on average, than on every other; a tie is a half."""
    own = values[thing.mask].mean()
    strongest = max(values[other].mean() for other in thing.others)
    return 0.5 if np.isclose(own, strongest, rtol=1e-9, atol=0) else float(own > strongest)


def share_inside(values: np.ndarray, region: np.ndarray) -> float:
    """Return the share of a map's mass in a region; a map without mass is flat."""
    resized = at_size(values, region.shape)
    return float(resized[region].sum() / resized.sum())


def by_image(scored: Iterable[Scored], maps: Iterable[Maps]) -> dict[str, np.ndarray]:
    """Average the scores of each image.

    Returns
    -------
    dict
        Name of the score to the means of the images; NaN for an image without such a score. *Shape:* ``(image,)``.
    """
    found = [against_masks(each.things, own) for each, own in zip(scored, maps, strict=True)]
    names = dict.fromkeys(name for scores in found for name in scores)
    return {
        name: np.array([np.mean(scores[name]) if name in scores else np.nan for scores in found])
        for name in names
    }


def with_best_threshold(
    scores: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], list[float]]:
    """Replace the IoU at many thresholds by that at the best one, chosen on the other half of the images.

    Images take turns in the two halves, so that no threshold is chosen on an image that it then scores.

    Returns
    -------
    scores : dict
        The scores, with `AT_BEST`.
    taus : list of float
        The thresholds that each half chose.
    """
    ious = np.stack([scores[iou_at(tau)] for tau in TAUS])
    halves = [np.arange(half, ious.shape[1], 2) for half in (0, 1)]
    best = np.full(ious.shape[1], np.nan)
    chosen = []
    for half, other in zip(halves, halves[::-1], strict=True):
        place = int(ious[:, other].mean(axis=1).argmax()) if other.size else len(TAUS) // 2
        chosen.append(TAUS[place])
        best[half] = ious[place, half]
    kept = {name: values for name, values in scores.items() if not name.startswith("IoU at rel")}
    return kept | {AT_BEST: best}, chosen
