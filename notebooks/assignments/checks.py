"""Checks for the assignments: each confirms an answer, or says what to reconsider.

They use small cases that can be solved by hand, so they reveal nothing about the answer on real images.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd


def _fail(message: str) -> None:
    raise AssertionError(message) from None


def _close(got: float, wanted: float, hint: str) -> None:
    try:
        number = float(got)
    except (TypeError, ValueError):
        _fail(f"Expected one number, but got {type(got).__name__}. {hint}")
    if math.isnan(number) or not math.isclose(number, wanted, abs_tol=1e-6):
        _fail(f"On the small case the answer is {wanted:g}, but yours is {number:g}. {hint}")


def _missing(got: float, message: str) -> None:
    try:
        number = float(got)
    except (TypeError, ValueError):
        number = 0.0
    if not math.isnan(number):
        _fail(message)


def check_dominance(dominance: Callable[[pd.DataFrame], float]) -> None:
    """Check the mean of IoD - IoH: over pairs in an image, images of a prompt, then prompts."""
    table = pd.DataFrame(
        {
            "kind": ["dependency"] * 5 + ["unrelated"],
            "relation": ["amod", "amod", "amod", "amod", "punct", "unrelated"],
            "prompt_id": ["a", "a", "a", "b", "b", "b"],
            "image": [0, 0, 1, 2, 2, 2],
            "iod": [0.9, 0.7, 0.5, 0.2, 1.0, 1.0],
            "ioh": [0.5, 0.5, 0.1, 0.8, 0.0, 0.0],
        }
    )
    # prompt a: image 0 has (0.4 + 0.2) / 2 = 0.3, image 1 has 0.4: 0.35; prompt b: -0.6.
    only = table[table["relation"] == "amod"]
    _close(
        dominance(only),
        (0.35 - 0.6) / 2,
        "Average IoD - IoH over the pairs of an image, then over the images of a prompt, then over prompts; "
        f"averaging all rows at once gives {float((only['iod'] - only['ioh']).mean()):g}.",
    )
    _close(
        dominance(table),
        (0.35 - 0.6) / 2,
        'Leave out the control (kind "unrelated") and punctuation (relation "punct").',
    )
    missing = only.copy()
    missing.loc[0, ["iod", "ioh"]] = np.nan
    _close(
        dominance(missing),
        ((0.2 + 0.4) / 2 - 0.6) / 2,
        "A pair with an empty mask has NaN: its overlap is undefined, so leave it out instead of counting 0.",
    )
    print(
        "Right: prompts have equal weight, the control and punctuation are left out, and NaN does not count as 0."
    )


def check_area_identity(difference: Callable[[pd.DataFrame], float]) -> None:
    """Check the largest difference between log(IoD / IoH) and the log area ratio."""
    table = pd.DataFrame(
        {
            "iod": [0.5, 0.8, 0.0, np.nan],
            "ioh": [0.25, 0.4, 0.0, np.nan],
            "log_area_ratio": [math.log(2), math.log(2) - 0.1, 1.0, np.nan],
        }
    )
    _close(
        difference(table),
        0.1,
        "Take |ln(IoD / IoH) - log_area_ratio| of the pairs that overlap at all (IoD > 0), and its maximum.",
    )
    print("Right: the largest difference, over the pairs that overlap.")


def check_mass_on(mass_on: Callable[[np.ndarray, np.ndarray], float]) -> None:
    """Check the share of a map's mass that lies on a mask."""
    heat = np.array([[1.0, 3.0], [0.0, 4.0]])
    mask = np.array([[True, False], [False, True]])
    _close(
        mass_on(heat, mask),
        5 / 8,
        "Sum the map where the mask is True, and divide by the sum of the whole map.",
    )
    _missing(
        mass_on(np.zeros((2, 2)), mask),
        "In a map without any mass the share is undefined: return NaN.",
    )
    print("Right.")


def check_leakage(leakage: Callable[[float, float], float]) -> None:
    """Check leakage: the share of the other object in the attention to both objects."""
    _close(leakage(0.3, 0.1), 0.25, "It is other / (own + other).")
    nothing = "With no attention to either object, leakage is undefined: return NaN."
    try:
        _missing(leakage(0.0, 0.0), nothing)
    except ZeroDivisionError:
        _fail(nothing)
    print(
        "Right: 0 is perfect binding, 0.5 is no binding, and more than 0.5 is binding to the wrong object."
    )
