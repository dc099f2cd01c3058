"""Checks of the assignments: each confirms an answer, or says what to reconsider.

They use small cases that can be solved by hand, so they do not give away the answer on the generated images.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType, SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pandas as pd

_ALL_DIGITS = "Return all digits: round only what you print."


def _rounded(number: float) -> list[float]:
    """Return a number as somebody may have rounded it."""
    return [] if math.isnan(number) else [round(number, digits) for digits in range(2, 6)]


def _fail(message: str) -> NoReturn:
    raise AssertionError(message) from None


def _number(got: Any, hint: str) -> float:
    try:
        return float(got)
    except (TypeError, ValueError):
        _fail(f"Expected one number, but got {type(got).__name__}. {hint}")


def _close(
    got: Any,
    wanted: float,
    hint: str,
    *,
    mistakes: Mapping[float, str] | None = None,
    within: float = 1e-6,
) -> None:
    """Compare a number with the answer; known wrong numbers have hints of their own."""
    number = _number(got, hint)
    if math.isclose(number, wanted, abs_tol=within):
        return
    if number in _rounded(wanted):
        hint = _ALL_DIGITS
    for wrong, reason in (mistakes or {}).items():
        if math.isclose(number, wrong, abs_tol=within):
            hint = reason
    _fail(f"On the small case the answer is {wanted:g}, but yours is {number:g}. {hint}")


def _undefined(call: Callable[[], Any], message: str) -> None:
    """Require NaN."""
    try:
        number = float(call())
    except (TypeError, ValueError, ZeroDivisionError):
        number = 0.0
    if not math.isnan(number):
        _fail(message)


# Assignment 1


def _nested_pairs() -> pd.DataFrame:
    """Return three prompts whose dominances are 0.5, -0.4, and 0.2."""
    rows = [
        # prompt a: image 0 has 0.8, 0.1 and 0: 0.3; with 0.4 and 0.8 of the other images, 0.5
        ("a", 0, 0.9, 0.1), ("a", 0, 0.5, 0.4), ("a", 0, 0.3, 0.3),
        ("a", 1, 0.6, 0.2), ("a", 2, 0.9, 0.1), ("b", 3, 0.2, 0.6), ("c", 4, 0.5, 0.3),
    ]  # fmt: skip
    return _as_pairs(pd.DataFrame(rows, columns=["prompt_id", "image", "iod", "ioh"]))


def _as_pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with the other columns of a pair table, by which an answer may choose or group rows."""
    others: dict[str, Any] = {
        "prompt_id": "a",
        "image": 0,
        "kind": "dependency",
        "scheme": "ud",
        "relation": "amod",
        "head_index": 2,
        "dependent_index": 1,
        "head": "cat",
        "dependent": "red",
        "threshold": "relative:0.4",
        "iou": table[["iod", "ioh"]].min(axis=1) / 2,
        "reason": np.where(table["iod"].isna(), "empty mask: red", ""),
    }
    full = table.assign(**{name: value for name, value in others.items() if name not in table})
    return full.assign(prompt="a prompt with the id " + full["prompt_id"], seed=full["image"])


def check_dominance(dominance: Callable[[pd.DataFrame], float]) -> None:
    """Check the mean of IoD - IoH: over pairs in an image, images of a prompt, then prompts."""
    table = _nested_pairs()
    steps = "Average IoD - IoH over the pairs of an image, then over the images of a prompt, then over prompts."
    median = "That is a median. A few large differences count in a mean, and not in a median."
    _close(
        dominance(table),
        0.1,
        steps,
        mistakes={
            -0.1: "The sign is reversed: it is IoD minus IoH.",
            1.9 / 7: "That is the average of all rows, so prompts with many pairs count more. " + steps,
            0.2: median,
            (1.3 / 3 - 0.2) / 3: median,
            0.2 / 3: median,
            1.1 / 3: "Keep the sign of each difference: negative means that the dependent dominates.",
            (2.1 / 5 - 0.2) / 3: "Average within each image before you average over the images of a prompt.",
        },
    )  # fmt: skip
    reversed_roles = table.rename(columns={"iod": "ioh", "ioh": "iod"})
    _close(
        dominance(reversed_roles),
        -0.1,
        "Keep the sign of the result: it is negative where the dependent dominates.",
    )
    extra = table.iloc[[0, 0]].assign(
        kind=["unrelated", "dependency"], relation=["unrelated", "punct"], iod=1.0, ioh=0.0
    )
    _close(
        dominance(pd.concat([table, extra], ignore_index=True)),
        0.1,
        'Leave out the control (kind "unrelated") and punctuation (relation "punct").',
    )
    missing = table.copy()
    missing.loc[0, ["iod", "ioh", "iou"]] = np.nan
    missing.loc[0, "reason"] = "empty mask: red"
    _close(
        dominance(missing),
        ((0.05 + 0.4 + 0.8) / 3 - 0.2) / 3,
        "A pair with an empty mask has NaN: its overlap is undefined, so leave it out instead of counting 0.",
    )
    print("Right: prompts have equal weight, the control is left out, and NaN does not count as 0.")


def check_rules(
    by_rule: Any,
    pairs: pd.DataFrame,
    dominance: Callable[[pd.DataFrame], float],
    rules: Sequence[str],
) -> None:
    """Check the dominance under each rule, with the student's own `dominance`, which is checked before."""
    found = set(pairs["threshold"])
    if absent := [rule for rule in rules if rule not in found]:
        _fail(
            f"Expected pairs under every rule, but {absent} are missing: pass all rules to measure_pairs."
        )
    if not isinstance(by_rule, pd.Series) or sorted(map(str, by_rule.index)) != sorted(rules):
        _fail("Expected a Series with one value per rule, and the rules as its index.")
    for rule in rules:
        expected = dominance(pairs[pairs["threshold"] == rule])
        got = float(by_rule[rule])
        if not math.isclose(got, expected, abs_tol=1e-9):
            rounded = got in _rounded(expected)
            _fail(
                f"Expected the dominance of the pairs measured under {rule} alone, {expected:.3f}, but got {got:.3f}."
                + rounded * f" {_ALL_DIGITS}"
            )
    print("Right: one dominance per rule.")


def check_area_identity(difference: Callable[[pd.DataFrame], float]) -> None:
    """Check the largest difference between log(IoD / IoH) and the log area ratio."""
    # The differences are 0, 0.02, 0.1 and -1/3; the last two pairs do not overlap, or have an empty mask.
    ratios = np.log([2, 2, 2, 1])
    table = _as_pairs(
        pd.DataFrame(
            {
                "iod": [0.5, 0.8, 0.4, 0.6, 0.0, np.nan],
                "ioh": [0.25, 0.4, 0.2, 0.6, 0.0, np.nan],
                "log_area_ratio": [*(ratios - [0, 0.02, 0.1, -1 / 3]), 1.0, np.nan],
            }
        )
    )
    hint = "Take |ln(IoD / IoH) - log_area_ratio| of the pairs that overlap (IoD > 0), and its maximum."
    natural = "Use the natural logarithm, np.log."
    _close(
        difference(table),
        1 / 3,
        hint,
        mistakes={
            0.1: "Take the absolute value before the maximum: the difference furthest from 0 is negative.",
            (0.12 + 1 / 3)
            / 4: "That is the mean of the differences; one large difference is enough to refute an identity.",
            0.06: "That is the median of the differences; one large difference is enough to refute an identity.",
            2
            * math.log(2): "Head and dependent are exchanged: the logarithm is that of IoD / IoH.",
            math.log(2) - math.log10(2): natural,
            1 - math.log(2) + 0.1: natural,
            2 - math.log(2) + 0.1: "Take the logarithm of IoD / IoH first.",
        },
    )
    _close(difference(table.iloc[:3]), 0.1, "Use the pairs of the argument, and no others.")
    print("Right: the largest difference, over the pairs that overlap.")


def check_per_prompt(
    per_prompt: Callable[[pd.DataFrame], Iterable[float]],
    dominance: Callable[[pd.DataFrame], float],
) -> None:
    """Check the dominance of each prompt, with the student's own `dominance`, which is checked before."""
    pairs = _nested_pairs()
    pairs[["iod", "ioh"]] *= 3 / 7  # values with more digits than one would print
    control = pairs.iloc[[0, 5, 6]].assign(kind="unrelated", relation="unrelated", iod=1.0, ioh=0.0)
    table = pd.concat([pairs, control], ignore_index=True)
    try:
        values = sorted(float(value) for value in per_prompt(table))
    except (TypeError, ValueError):
        _fail("Expected a list with one number per prompt.")
    except KeyError as error:
        _fail(
            f"The column {error} is missing: groupby(...).apply leaves out the column it groups by. Loop over the "
            'prompts instead: `for _, rows in table.groupby("prompt_id")`.'
        )
    if len(values) != 3:
        _fail(
            f"Expected one value for each of the 3 prompts, but got {len(values)}: prompts are the sample."
        )
    expected = sorted(dominance(rows) for _, rows in table.groupby("prompt_id"))
    for value, wanted in zip(values, expected, strict=True):
        _close(
            value,
            wanted,
            "Apply `dominance` to the rows of one prompt at a time; it leaves out the control.",
        )
    print("Right: one value per prompt.")


def check_interval(interval: Callable[[np.ndarray], Sequence[float]]) -> None:
    """Check the 95% percentile bootstrap interval of a mean."""
    values = np.array([0.0, 0.0, 0.0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.9, 2.2])  # their mean is 0.4
    low, high = _bounds(interval, values)
    hints = {
        (0.0, 0.55): "That is the interval of the median.",
        (0.11, 0.79): "That is a 90% interval.",
        (0.05, 1.05): "That is a 99% interval.",
        (-0.03, 0.83): "That is the mean plus and minus 1.96 standard errors; resample instead.",
        (0.18, 0.62): "That is the mean plus and minus one standard error; resample instead.",
        (-0.05, 0.71): 'That is the method "basic"; use "percentile".',
        (0.13, 1.10): 'That is the method "BCa"; use "percentile".',
        (-0.09, 0.89): "That is Student's t interval; resample instead.",
        (0.0, 1.9075): "Those are quantiles of the values; take quantiles of resampled means.",
    }
    if abs(low - 0.09) > 0.015 or abs(high - 0.855) > 0.055:
        near = [
            text for (a, b), text in hints.items() if abs(low - a) < 0.015 and abs(high - b) < 0.03
        ]
        _fail(
            f"On ten values with mean 0.4 the interval is about [0.09, 0.86], but yours is [{low:.2f}, {high:.2f}]. "
            + (near[0] if near else 'Use scipy.stats.bootstrap with np.mean, method="percentile".')
        )
    low, high = _bounds(interval, 5 - 10 * values)
    if abs(low + 3.55) > 0.55 or abs(high - 4.1) > 0.15:
        _fail(
            "On ten other values, with mean 1, the interval is about [-3.6, 4.1], but yours is "
            f"[{low:.2f}, {high:.2f}]. Use the values of the argument, and no others."
        )
    print("Right: 95% of the resampled means lie in the interval.")


def _bounds(
    interval: Callable[[np.ndarray], Sequence[float]], values: np.ndarray
) -> tuple[float, float]:
    try:
        got = interval(values)
    except np.exceptions.AxisError:
        _fail("scipy.stats.bootstrap takes the samples in a tuple: bootstrap((values,), ...).")
    try:
        low, high = (float(bound) for bound in got)
    except (TypeError, ValueError):
        _fail("Expected two numbers, low and high.")
    if low > high:
        _fail("Expected the lower bound first.")
    return low, high


# Assignment 2


def check_mass_on(mass_on: Callable[[np.ndarray, np.ndarray], float]) -> None:
    """Check the share of a map's mass that lies on a mask."""
    heat = np.array([[1.0, 2.0, 0.0], [0.0, 6.0, 1.0]])
    mask = np.array([[True, False, False], [False, True, True]])
    hint = "Sum the map where the mask is True, and divide by the sum of the whole map."
    _close(
        mass_on(heat, mask),
        0.8,
        hint,
        mistakes={
            8
            / 3: "That is the mean value in the mask. A share divides by the sum of the whole map.",
            8.0: "That is the sum in the mask. Divide it by the sum of the whole map.",
            4.0: "Divide by the sum of the whole map, not by the sum outside the mask.",
            0.2: "That is the share outside the mask.",
            0.5: "That is the share of pixels. Weight each pixel by the map.",
            1.6: "That is the mean in the mask over the mean of the map. A share divides sums.",
        },
    )
    _close(
        mass_on(np.where(mask, 0.0, heat + 1), mask),
        0.0,
        "A map that lies outside the mask has a share of 0; only a map without any mass has none.",
    )
    _close(mass_on(heat / 7, mask[::-1]), 0.2, "The share depends on the map and the mask alone.")
    _undefined(
        lambda: mass_on(np.zeros((2, 3)), mask),
        "In a map without any mass the share is undefined: return NaN.",
    )
    print("Right: a share of the map's mass, and NaN where there is none.")


def check_leakage(leakage: Callable[[float, float], float]) -> None:
    """Check leakage: the share of the other object in the attention to both objects."""
    _close(
        leakage(0.3, 0.1),
        0.25,
        "It is other / (own + other).",
        mistakes={
            0.75: "Own and other are exchanged: leakage counts what lies on the wrong object.",
            1 / 3: "Divide by what lies on both objects: other / (own + other).",
            0.1: "Divide by what lies on both objects: other / (own + other).",
            0.5: "Own counts only in the denominator: other / (own + other).",
        },
    )
    _close(
        leakage(0.1, 0.3),
        0.75,
        "More lies on the other object here, so leakage is more than 0.5: other / (own + other).",
    )
    _close(leakage(0.2, 0.1), 1 / 3, "It is other / (own + other).")
    neither = "Only where nothing lies on either object is leakage undefined."
    _close(leakage(0.2, 0.0), 0.0, f"Nothing lies on the other object, so leakage is 0. {neither}")
    _close(leakage(0.0, 0.2), 1.0, f"All lies on the other object, so leakage is 1. {neither}")
    _undefined(
        lambda: leakage(0.0, 0.0),
        "With no attention to either object, leakage is undefined: return NaN.",
    )
    print(
        "Right: 0 is perfect binding, 0.5 is no preference, and more than 0.5 is binding to the wrong object."
    )


class _SmallMaps:
    """Maps of "a red car and a blue cat" on 4 x 4 pixels: car on the left half, cat in the right column."""

    prompt = "a red car and a blue cat"
    sentence = SimpleNamespace(words=tuple(prompt.split()))
    image_size = (4, 4)
    # mass on the left half, the third column, and the right column
    _masses = MappingProxyType({1: (5.0, 4.0, 3.0), 5: (2.0, 7.0, 3.0)})

    def __getitem__(self, word: int) -> Any:
        left, middle, right = self._masses[word]
        heat = np.zeros((4, 4))
        heat[:, :2], heat[:, 2], heat[:, 3] = left / 8, middle / 4, right / 4
        return SimpleNamespace(resize=lambda: heat)


class _SmallAnnotation:
    """Annotation of the same image."""

    def __init__(self, *nouns: str) -> None:
        self._nouns = nouns

    def present(self) -> dict[str, int]:
        return {noun: int(self.mask(noun).sum()) for noun in self._nouns}

    def mask(self, noun: str) -> np.ndarray:
        mask = np.zeros((4, 4), dtype=bool)
        mask[:, slice(0, 2) if noun == "car" else slice(3, 4)] = noun in self._nouns
        return mask

    def color(self, noun: str) -> str | None:
        return {"car": "red", "cat": "blue"}[noun] if noun in self._nouns else None


def check_color_words(color_words: Callable[[Any, Any], list[dict[str, Any]]]) -> None:
    """Check the rows of one image: leakage of each color word, and that of a flat map."""
    rows = color_words(_SmallMaps(), _SmallAnnotation("car", "cat"))
    if not isinstance(rows, list) or [row.get("adjective") for row in rows] != ["red", "blue"]:
        _fail('Expected a list with a row for "red" and then one for "blue".')
    exchanged = "Own and other are exchanged: the leakage of *red* is what lies on the cat, that of *blue* on the car."
    # red: 5 on the car and 3 on the cat; blue: 3 on the cat and 2 on the car; a flat map: 8 and 4 pixels
    for row, wanted, flat in zip(rows, (3 / 8, 2 / 5), (4 / 12, 8 / 12), strict=True):
        word = row["adjective"]
        _close(
            row.get("leakage"),
            wanted,
            f"(leakage of {word}) Call leakage(mass on the adjective's own noun, mass on the other noun) with the "
            "adjective's map.",
            mistakes={1 - wanted: exchanged, flat: "That is the leakage of the flat map."},
        )
        _close(
            row.get("control"),
            flat,
            f"(control of {word}) Use a map that is 1 everywhere, with the same two masks.",
            mistakes={1 - flat: exchanged, wanted: "The control needs a flat map, not the adjective's.",
                      0.5: "A flat map has more mass on the larger object, so its leakage is not 0.5."},
        )  # fmt: skip
    without_cat = color_words(_SmallMaps(), _SmallAnnotation("car"))
    if len(without_cat) != 2:
        _fail(
            f"Without the cat the two rows stay, with NaN and a reason, but got {len(without_cat)}."
        )
    for row in without_cat:
        if not row.get("reason") or not math.isnan(_number(row.get("leakage"), "Use NaN.")):
            _fail("Without the cat there is no leakage: keep the row, with NaN and a reason.")
    print("Right: a row for every color word, also where a noun is missing.")


def check_per_prompt_difference(per_prompt: Callable[[pd.DataFrame], pd.Series]) -> None:
    """Check each prompt's mean of leakage minus control."""
    table = pd.DataFrame(
        {
            "prompt": ["a", "a", "a", "b", "b"],
            "adjective": ["red", "blue", "red", "red", "blue"],
            "noun": ["car", "cat", "car", "car", "cat"],
            "leakage": [0.91, 0.25, 0.4, 0.4, np.nan],
            "control": [0.3, 0.4, 0.4, 0.6, 0.1],
            "reason": ["", "", "", "", "a noun is missing in the image"],
            "color seen": ["red", "blue", "red", "red", None],
        }
    )
    got = per_prompt(table)
    if not isinstance(got, pd.Series) or sorted(got.index) != ["a", "b"]:
        _fail("Expected a Series with one value per prompt, and the prompts as its index.")
    _close(
        got["a"],
        0.46 / 3,
        "Average leakage minus control over the rows of the prompt.",
        mistakes={
            0.0: "That is a median: take the mean of leakage minus control.",
            -0.46 / 3: "The sign is reversed: it is leakage minus control.",
            0.76 / 3: "Keep the sign of leakage minus control.",
            1.56 / 3: "Subtract the control.",
            0.46: "That is a sum: average it.",
        },
    )
    _close(
        got["b"],
        -0.2,
        "A row without a leakage is left out, with its control; it does not count as 0.",
    )
    print("Right: each prompt's mean of leakage minus control.")


# Assignment 3

_READINGS = {"supported", "not supported", "not tested", "nothing to compare"}
_KEY = {  # digests of the answers
    "reading:amod": "b3b1e6d7",
    "reading:det": "12d91481",
    "reading:case": "5c54788a",
    "reading:cc": "0d2aefc8",
    "reading:fixed": "4f610d35",
    "flaws": "08970798",
}
_HINTS = {
    "amod": "Look at the interval of the difference and at p_adjusted, and whether phi agrees with IoU.",
    "det": "Is a difference of 0 inside the interval?",
    "case": "Is there an interval or a p-value that could have been small? The note says why.",
    "cc": "Look for the p-value, and read the note.",
    "fixed": "Does the image have words of the same parts of speech to exchange partners with?",
    "flaws": "For each statement ask: is it true of this analysis, and would it produce the result in a world without "
    "any effect of relations?",
}


def _digest(question: str, answer: str) -> str:
    return hashlib.sha256(f"{question}={answer}".encode()).hexdigest()[:8]


def check_reading(reading: Mapping[str, str]) -> None:
    """Check what the forest plot supports, relation by relation."""
    relations = [name.partition(":")[2] for name in _KEY if name.startswith("reading:")]
    if not isinstance(reading, Mapping):
        _fail(
            'Expected a dictionary with an answer for every relation: reading = {"amod": ..., ...}.'
        )
    if missing := [relation for relation in relations if relation not in reading]:
        _fail(f"Expected an answer for every relation, but {', '.join(missing)} have none.")
    for relation in relations:
        answer = str(reading[relation]).strip().lower()
        if answer not in _READINGS:
            _fail(
                f"{relation}: expected one of {', '.join(sorted(_READINGS))}, but got {answer!r}."
            )
        if _digest(f"reading:{relation}", answer) != _KEY[f"reading:{relation}"]:
            _fail(
                f"{relation}: {answer!r} is not what the plot and the table show. {_HINTS[relation]}"
            )
    print("Right: every relation is read as the plot and the table show it.")


def check_flaws(flaws: Iterable[str]) -> None:
    """Check which statements explain the claim."""
    if not isinstance(flaws, Iterable):
        _fail('Expected a list of letters, such as flaws = ["c", "d"].')
    chosen = sorted(set(re.findall("[a-z]", " ".join(map(str, flaws)).lower())))
    if _digest("flaws", "".join(chosen)) != _KEY["flaws"]:
        _fail(
            f"{', '.join(chosen) or 'Nothing'}: at least one is missing or does not belong. {_HINTS['flaws']}"
        )
    print("Right: these statements are true of the analysis, and together they produce the claim.")
