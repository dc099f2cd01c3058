"""The checks of the assignments take right answers in any style, and refuse a second set of plausible wrong ones."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap, norm

from helpers.scripts import load_script

checks = load_script(Path(__file__).parents[2] / "notebooks" / "assignments" / "checks.py")

# Assignment 1, in three styles


def dominance(pairs):
    rows = pairs.query("kind == 'dependency' and relation != 'punct' and scheme == 'ud'")
    rows = rows[rows["reason"] == ""].assign(difference=lambda t: t["iod"] - t["ioh"])
    by_image = rows.groupby(["prompt", "seed"], as_index=False)["difference"].mean()
    return by_image.groupby("prompt")["difference"].mean().mean()


def dominance_by_loops(pairs):
    prompts = {}
    for row in pairs.to_dict("records"):
        if row["kind"] == "dependency" and row["relation"] != "punct" and row["iod"] >= 0:
            images = prompts.setdefault(row["prompt_id"], {})
            images.setdefault(row["image"], []).append(row["iod"] - row["ioh"])
    means = [np.mean([np.mean(v) for v in images.values()]) for images in prompts.values()]
    return sum(means) / len(means)


def dominance_by_pivot(pairs):
    kept = pairs.loc[~pairs["relation"].isin({"punct"}) & (pairs["kind"] != "unrelated")]
    kept = kept.dropna(subset=["iod", "ioh"]).eval("d = iod - ioh")
    return kept.pivot_table("d", "image", "prompt_id").mean().mean()


def area(pairs):
    return (np.log(pairs["iod"] / pairs["ioh"]) - pairs["log_area_ratio"]).abs().max()


def area_by_numpy(pairs):
    iod, ioh, ratio = pairs.query("iou > 0")[["iod", "ioh", "log_area_ratio"]].to_numpy().T
    return np.max(np.abs(np.log(iod) - np.log(ioh) - ratio))


def area_by_loop(pairs):
    largest = 0.0
    for iod, ioh, ratio in zip(pairs.iod, pairs.ioh, pairs.log_area_ratio, strict=True):
        if iod > 0 and ioh > 0:
            largest = max(largest, abs(math.log(iod / ioh) - ratio))
    return largest


def interval(values):
    found = bootstrap((values,), np.mean, confidence_level=0.95, method="percentile")
    return found.confidence_interval


def interval_by_numpy(values):
    rng = np.random.default_rng(1)
    means = rng.choice(values, (9999, len(values))).mean(axis=1)
    return list(np.quantile(means, [0.025, 0.975]))


def interval_by_loop(values):
    rng = np.random.default_rng(2)
    means = sorted(np.mean(rng.choice(values, len(values))) for _ in range(2000))
    return means[50], means[1950]


# Assignment 2, in three styles


def mass_on(heat, mask):
    total = heat.sum()
    return (heat * mask).sum() / total if total > 0 else np.nan


def mass_on_by_where(heat, mask):
    if not heat.any():
        return float("nan")
    return float(np.where(mask, heat, 0).sum() / np.sum(heat))


def mass_on_by_loop(heat, mask):
    inside = sum(h for h, m in zip(heat.ravel(), mask.ravel(), strict=True) if m)
    return math.nan if np.isclose(heat.sum(), 0) else inside / heat.sum()


def leakage(own, other):
    return 1 - own / (own + other) if own + other > 0 else math.nan


def leakage_by_errors(own, other):
    try:
        return other / (own + other)
    except ZeroDivisionError:
        return float("nan")


def leakage_by_numpy(own, other):
    with np.errstate(invalid="ignore"):
        return np.divide(other, np.add(own, other))


def rows_with(values):
    """An answer to the third part that fills the two values of a row by a function of the maps and the masks."""

    def color_words(maps, annotation):
        words, rows = maps.sentence.words, []
        for adjective, own, other in ((1, words[2], words[6]), (5, words[6], words[2])):
            row = {"adjective": words[adjective], "leakage": math.nan, "control": math.nan}
            if {own, other} <= set(annotation.present()):
                heat, first, second = (
                    maps[adjective].resize(),
                    annotation.mask(own),
                    annotation.mask(other),
                )
                row["leakage"], row["control"] = values(heat, first, second)
            else:
                row["reason"] = "a noun is missing"
            rows.append(row)
        return rows

    return color_words


def by_functions(heat, own, other):
    flat = np.ones(heat.shape)
    return [leakage(mass_on(each, own), mass_on(each, other)) for each in (heat, flat)]


def by_sums(heat, own, other):
    return heat[other].sum() / heat[own | other].sum(), other.sum() / (own.sum() + other.sum())


def by_mean_map(heat, own, other):
    flat = np.full_like(heat, heat.mean())
    return by_functions(heat, own, other)[0], leakage(mass_on(flat, own), mass_on(flat, other))


def difference(table):
    return (table["leakage"] - table["control"]).groupby(table["prompt"]).mean()


def difference_of_measured(table):
    kept = table[table["reason"] == ""]
    return kept.groupby("prompt").apply(lambda rows: (rows["leakage"] - rows["control"]).mean())


def difference_by_loop(table):
    found = {}
    for prompt in table["prompt"].unique():
        rows = table[table["prompt"] == prompt].dropna(subset=["leakage"])
        found[prompt] = np.mean([r.leakage - r.control for r in rows.itertuples()])
    return pd.Series(found)


def check_per_prompt(answer):
    checks.check_per_prompt(answer, dominance)


RIGHT = [
    (checks.check_dominance, (dominance, dominance_by_loops, dominance_by_pivot)),
    (checks.check_area_identity, (area, area_by_numpy, area_by_loop)),
    (
        check_per_prompt,
        (
            lambda t: [dominance(rows) for _, rows in t.groupby("prompt")],
            lambda t: np.array([dominance(t[t["prompt_id"] == p]) for p in set(t["prompt_id"])]),
            lambda t: pd.Series({p: dominance(rows) for p, rows in t.groupby("prompt_id")}),
        ),
    ),
    (checks.check_interval, (interval, interval_by_numpy, interval_by_loop)),
    (checks.check_mass_on, (mass_on, mass_on_by_where, mass_on_by_loop)),
    (checks.check_leakage, (leakage, leakage_by_errors, leakage_by_numpy)),
    (checks.check_color_words, tuple(map(rows_with, (by_functions, by_sums, by_mean_map)))),
    (
        checks.check_per_prompt_difference,
        (difference, difference_of_measured, difference_by_loop),
    ),
]


@pytest.mark.parametrize(("check", "answers"), RIGHT)
def test_right_answers_pass_in_three_styles(check, answers):
    for answer in answers:
        check(answer)


# Wrong answers: the check, the answer, and what the hint says

WRONG = [
    # assignment 1
    (checks.check_dominance, lambda t: round(dominance(t), 3), "Return all digits"),
    (checks.check_dominance, lambda t: 0.1 if t["iod"].mean() > t["ioh"].mean() else -0.1, "NaN"),
    (checks.check_dominance, lambda t: dominance(t.assign(ioh=0.0)), "Average IoD - IoH"),
    (
        checks.check_dominance,
        lambda t: np.sign(dominance(t)),
        "Average IoD - IoH",
    ),
    (
        checks.check_dominance,
        lambda t: dominance(t.assign(prompt="one", seed=t["image"])),  # over images, not prompts
        "then over prompts",
    ),
    (checks.check_dominance, lambda t: dominance(t.drop_duplicates("image")), "Average IoD"),
    (checks.check_area_identity, lambda t: 1 / 3, "the pairs of the argument"),
    (checks.check_area_identity, lambda t: round(area(t), 3), "Return all digits"),
    (checks.check_area_identity, lambda t: area(t.assign(ioh=t["iou"])), "Take |ln(IoD / IoH)"),
    (check_per_prompt, lambda t: [0.5, -0.4, 0.2], "one prompt at a time"),
    (
        check_per_prompt,
        lambda t: [round(dominance(r), 2) for _, r in t.groupby("prompt")],
        "digits",
    ),
    (
        check_per_prompt,
        lambda t: [dominance(r.iloc[1:]) for _, r in t.groupby("prompt")],
        "one prompt at a time",
    ),
    (checks.check_interval, lambda v: (0.09, 0.855), "the values of the argument"),
    (checks.check_interval, lambda v: interval(np.unique(v)), "scipy.stats.bootstrap"),
    (
        checks.check_interval,
        lambda v: v.mean() + norm.ppf([0.025, 0.975]) * v.std(),  # of the values, not of the mean
        "scipy.stats.bootstrap",
    ),
    (checks.check_interval, lambda v: np.subtract(interval(v), v.mean()), "scipy.stats.bootstrap"),
    # assignment 2
    (
        checks.check_mass_on,
        lambda h, m: mass_on(h, m) or math.nan,  # no mass on the object is a share of 0
        "has a share of 0",
    ),
    (checks.check_mass_on, lambda h, m: 0.8 if h.any() else math.nan, "has a share of 0"),
    (
        checks.check_mass_on,
        lambda h, m: h[m].sum() / 10 if h.any() else math.nan,
        "map and the mask",
    ),
    (checks.check_leakage, lambda a, b: round(leakage(a, b), 2), "Return all digits"),
    (checks.check_leakage, lambda a, b: b / (a + b) if a else math.nan, "leakage is 1"),
    (checks.check_leakage, lambda a, b: b / (a + b) if b else math.nan, "leakage is 0"),
    (
        checks.check_color_words,
        rows_with(lambda h, own, other: (by_sums(h, own, other)[0], 0.25)),
        "1 everywhere",
    ),
    (
        checks.check_color_words,
        rows_with(lambda h, own, other: (h[other].sum() / h.sum(), other.mean())),
        "mass on the other noun",
    ),
    (
        checks.check_color_words,
        rows_with(lambda h, own, other: [round(v, 2) for v in by_sums(h, own, other)]),
        "Return all digits",
    ),
    (checks.check_per_prompt_difference, lambda t: difference(t).round(2), "Return all digits"),
    (
        checks.check_per_prompt_difference,
        lambda t: t.groupby("prompt")["leakage"].mean() / t.groupby("prompt")["control"].mean(),
        "Average leakage minus control",
    ),
    (
        checks.check_per_prompt_difference,
        lambda t: difference(t[t["color seen"] == t["adjective"]].assign(control=0.5)),
        "Average leakage minus control",
    ),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_other_wrong_answers_get_a_hint(check, answer, hint):
    with pytest.raises(AssertionError, match=re.escape(hint)):
        check(answer)
