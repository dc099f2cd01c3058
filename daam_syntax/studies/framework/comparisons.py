"""Compare images and maps: the change of an image inside and outside a mask, the correlation of two maps."""

from __future__ import annotations

from typing import Any

import numpy as np


def inside_and_outside(change: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """Return the mean of a change inside and outside a mask.

    Parameters
    ----------
    change, mask
        *Shape:* (y, x)

    Returns
    -------
    dict
        ``inside``, ``outside``, their ``difference``, the mean over the ``whole`` image, the ``area`` of the mask
        (share of the image), and a ``reason`` if one side is empty, whose mean is then NaN.
    """
    inside = float(change[mask].mean()) if mask.any() else float("nan")
    outside = float(change[~mask].mean()) if not mask.all() else float("nan")
    reason = "" if mask.any() and not mask.all() else "the mask is empty or covers the whole image"
    return {
        "inside": inside,
        "outside": outside,
        "difference": inside - outside,
        "whole": float(change.mean()),
        "area": float(mask.mean()),
        "reason": reason,
    }


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Pearson's correlation of two arrays over their elements; NaN if one is constant."""
    if first.std() == 0 or second.std() == 0:
        return float("nan")
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])
