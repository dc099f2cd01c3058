"""The checks of the assignments: right answers pass, and plausible wrong ones get a hint of their own."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap

from helpers.scripts import load_script

checks = load_script(Path(__file__).parents[2] / "notebooks" / "assignments" / "checks.py")

RULES = ["relative:0.2", "relative:0.4", "absolute:0.02"]
READING = {
    "amod": "supported",
    "det": "not supported",
    "case": "not tested",
    "cc": "not tested",
    "fixed": "nothing to compare",
}


def dominance(
    pairs,
    *,
    image="mean",
    prompt="mean",
    top="mean",
    difference=lambda t: t["iod"] - t["ioh"],
    without=("unrelated", "punct"),
    fill=None,
):
    """The answer, or with other arguments a wrong one."""
    rows = pairs[~pairs["relation"].isin(without)]
    values = difference(rows)
    values = values if fill is None else values.fillna(fill)
    images = values.groupby([rows["prompt_id"], rows["image"]]).agg(image)
    return float(images.groupby("prompt_id").agg(prompt).agg(top))


def without_images(pairs):
    rows = pairs[pairs["kind"] == "dependency"]
    return float((rows["iod"] - rows["ioh"]).groupby(rows["prompt_id"]).mean().mean())


def area(pairs, *, logarithm=np.log, ratio=lambda t: t["iod"] / t["ioh"], agg="max", absolute=abs):
    rows = pairs[pairs["iod"] > 0]
    return float(absolute(logarithm(ratio(rows)) - rows["log_area_ratio"]).agg(agg))


def per_prompt(table, of=dominance):
    return [of(rows) for _, rows in table.groupby("prompt_id")]


def interval(values, statistic=np.mean, *, method="percentile", level=0.95):
    found = bootstrap(
        (values,), statistic, method=method, confidence_level=level, rng=np.random.default_rng(0)
    )
    return found.confidence_interval


def standard_errors(n):
    return lambda v: v.mean() + np.array([-n, n]) * v.std(ddof=1) / math.sqrt(len(v))


def mass_on(heat, mask):
    return float(heat[mask].sum() / heat.sum()) if heat.sum() else math.nan


def leakage(own, other):
    return other / (own + other) if own + other else math.nan


def color_words(
    maps, annotation, *, leak=leakage, exchange="", control=None, word=None, missing="NaN"
):
    """The answer, or with other arguments a wrong one; `exchange` names values whose masks are exchanged."""
    words = maps.sentence.words
    flat, rows = np.ones(maps.image_size), []
    for adjective, own, other in ((1, words[2], words[6]), (5, words[6], words[2])):
        row = {"adjective": words[adjective], "leakage": math.nan, "control": math.nan}
        if {own, other} <= set(annotation.present()):
            heat = maps[word or adjective].resize()
            masks = [annotation.mask(own), annotation.mask(other)]
            for name, values in (("leakage", heat), ("control", flat)):
                first, second = masks[::-1] if name in exchange else masks
                row[name] = leak(mass_on(values, first), mass_on(values, second))
            row["control"] = row["control"] if control is None else control(heat, masks)
        elif missing == "dropped":
            continue
        else:
            row["leakage"] = 0.0 if missing == "zero" else math.nan
            row["reason"] = "" if missing == "unexplained" else "a noun is missing"
        rows.append(row)
    return rows


def difference_by_prompt(table, agg="mean", values=lambda t: t["leakage"] - t["control"]):
    return values(table).groupby(table["prompt"]).agg(agg)


def wrong(answer, **changes):
    return lambda *arguments: answer(*arguments, **changes)


def negated(answer):
    return lambda *arguments: -answer(*arguments)


def rules(change):
    """Arguments of `check_rules` for the right values after a change, of the pairs, or of their values."""
    table = checks._nested_pairs()
    pairs = pd.concat(
        [table.assign(threshold=rule, iod=table["iod"] / (i + 1)) for i, rule in enumerate(RULES)]
    )
    right = pd.Series({r: dominance(pairs[pairs["threshold"] == r]) for r in RULES})
    changed = change(right)
    return changed, pairs, dominance, RULES


ONE_PROMPT = "rows of one prompt at a time"
MEDIAN, SIGN = "That is a median", "Keep the sign"

DOMINANCE = {
    "exchanged": (negated(dominance), "sign is reversed"),
    "absolute differences": (wrong(dominance, difference=lambda t: abs(t["iod"] - t["ioh"])), SIGN),
    "absolute result": (lambda t: abs(dominance(t)), SIGN),
    "median of pairs": (wrong(dominance, image="median"), MEDIAN),
    "median of images": (wrong(dominance, prompt="median"), MEDIAN),
    "median of prompts": (wrong(dominance, top="median"), MEDIAN),
    "sum": (wrong(dominance, image="sum"), "Average IoD - IoH"),
    "all rows at once": (lambda t: (t["iod"] - t["ioh"]).mean(), "prompts with many pairs"),
    "no average within images": (without_images, "Average within each image"),
    "control": (wrong(dominance, without=("punct",)), 'Leave out the control (kind "unrelated")'),
    "punctuation": (wrong(dominance, without=("unrelated",)), 'punctuation (relation "punct")'),
    "zero for NaN": (wrong(dominance, fill=0.0), "its overlap is undefined"),
    "the numbers of the small case": (lambda t: 0.1, SIGN),
    "a table": (lambda t: t, "Expected one number"),
}
AREA = {
    "zero": (lambda t: 0.0, "IoD > 0"),
    "no absolute value": (wrong(area, absolute=lambda v: v), "absolute value before the maximum"),
    "absolute value of the maximum": (
        lambda t: abs(area(t, absolute=lambda v: v)),
        "absolute value before the maximum",
    ),
    "mean": (wrong(area, agg="mean"), "That is the mean"),
    "median": (wrong(area, agg="median"), "That is the median"),
    "exchanged": (wrong(area, ratio=lambda t: t["ioh"] / t["iod"]), "exchanged"),
    "no logarithm": (wrong(area, logarithm=lambda v: v), "Take the logarithm"),
    "log10": (wrong(area, logarithm=np.log10), "natural logarithm"),
    "log2": (wrong(area, logarithm=np.log2), "natural logarithm"),
}
PER_PROMPT = {
    "pairs": (lambda t: t["iod"] - t["ioh"], "prompts are the sample"),
    "images": (lambda t: [dominance(r) for _, r in t.groupby("image")], "prompts are the sample"),
    "one number": (dominance, "one number per prompt"),
    "a dictionary": (lambda t: {p: dominance(r) for p, r in t.groupby("prompt_id")}, "a list"),
    "no filter": (wrong(per_prompt, of=wrong(dominance, without=())), "leaves out the control"),
    "all rows of a prompt": (wrong(per_prompt, of=without_images), ONE_PROMPT),
    "absolute": (wrong(per_prompt, of=lambda t: abs(dominance(t))), ONE_PROMPT),
    "median": (wrong(per_prompt, of=wrong(dominance, prompt="median")), ONE_PROMPT),
    "one prompt less": (lambda t: per_prompt(t)[1:], "prompts are the sample"),
    "apply without its column": (
        lambda t: per_prompt(t, of=lambda rows: dominance(rows.drop(columns="prompt_id"))),
        'for _, rows in table.groupby("prompt_id")',
    ),
}
INTERVAL = {
    "quantiles of the values": (lambda v: np.quantile(v, [0.025, 0.975]), "resampled means"),
    "median": (wrong(interval, statistic=np.median), "interval of the median"),
    "90%": (wrong(interval, level=0.9), "90% interval"),
    "99%": (wrong(interval, level=0.99), "99% interval"),
    "basic": (wrong(interval, method="basic"), '"basic"'),
    "1 standard error": (standard_errors(1), "one standard error"),
    "1.96 standard errors": (standard_errors(1.96), "1.96 standard errors"),
    "extremes": (lambda v: (v.min(), v.max()), 'np.mean, method="percentile"'),
    "reversed": (lambda v: interval(v)[::-1], "lower bound first"),
    "a width": (lambda v: float(np.diff(interval(v))[0]), "two numbers"),
    "no tuple": (lambda v: bootstrap(v, np.mean).confidence_interval, "in a tuple"),
}
MASS = {
    "mean": (lambda h, m: h[m].mean(), "mean value in the mask"),
    "sum": (lambda h, m: h[m].sum(), "That is the sum in the mask"),
    "outside": (lambda h, m: mass_on(h, ~m), "outside the mask"),
    "odds": (lambda h, m: h[m].sum() / h[~m].sum(), "not by the sum outside"),
    "pixels": (lambda h, m: m.mean(), "share of pixels"),
    "ratio of means": (lambda h, m: h[m].mean() / h.mean(), "A share divides sums"),
    "median": (lambda h, m: np.median(h[m]), "Sum the map"),
    "threshold": (lambda h, m: (h > 0)[m].sum() / (h > 0).sum(), "Sum the map"),
    "zero without mass": (lambda h, m: float(h[m].sum() / max(h.sum(), 1)), "return NaN"),
    "an error without mass": (lambda h, m: float(h[m].sum()) / float(h.sum()), "return NaN"),
}
LEAKAGE = {
    "exchanged": (lambda own, other: leakage(other, own), "exchanged"),
    "odds": (lambda own, other: other / own, "other / (own + other)"),
    "no denominator": (lambda own, other: other, "other / (own + other)"),
    "difference": (lambda own, other: other - own, "other / (own + other)"),
    "absolute difference": (
        lambda a, b: abs(a - b) / (a + b),
        "Own counts only in the denominator",
    ),
    "the smaller one": (lambda a, b: min(a, b) / (a + b) if a + b else math.nan, "more than 0.5"),
    "zero of nothing": (lambda a, b: leakage(a, b) if a + b else 0.0, "return NaN"),
    "half of nothing": (lambda a, b: leakage(a, b) if a + b else 0.5, "return NaN"),
    "no guard": (lambda own, other: other / (own + other), "return NaN"),
}
COLOR_WORDS = {
    "both exchanged": (wrong(color_words, exchange="leakage control"), "exchanged"),
    "leakage exchanged": (wrong(color_words, exchange="leakage"), "exchanged"),
    "control exchanged": (wrong(color_words, exchange="control"), "exchanged"),
    "control of one half": (wrong(color_words, control=lambda h, m: 0.5), "is not 0.5"),
    "control by the adjective's map": (
        wrong(color_words, control=lambda h, m: leakage(mass_on(h, m[0]), mass_on(h, m[1]))),
        "needs a flat map",
    ),
    "control by one area": (wrong(color_words, control=lambda h, m: m[1].mean()), "1 everywhere"),
    "odds": (wrong(color_words, leak=lambda a, b: b / a), "with the adjective's map"),
    "one mask": (wrong(color_words, leak=lambda own, other: other), "with the adjective's map"),
    "the same map twice": (wrong(color_words, word=1), "(leakage of blue)"),
    "missing rows": (wrong(color_words, missing="dropped"), "the two rows stay"),
    "missing as zero": (wrong(color_words, missing="zero"), "with NaN and a reason"),
    "missing without a reason": (wrong(color_words, missing="unexplained"), "NaN and a reason"),
    "a table": (lambda maps, seen: pd.DataFrame(color_words(maps, seen)), "Expected a list"),
    "other order": (lambda maps, seen: color_words(maps, seen)[::-1], 'a row for "red" and then'),
}
BY_PROMPT = {
    "median": (wrong(difference_by_prompt, agg="median"), MEDIAN),
    "sum": (wrong(difference_by_prompt, agg="sum"), "That is a sum"),
    "exchanged": (negated(difference_by_prompt), "sign is reversed"),
    "absolute": (
        wrong(difference_by_prompt, values=lambda t: abs(t["leakage"] - t["control"])),
        SIGN,
    ),
    "no control": (wrong(difference_by_prompt, values=lambda t: t["leakage"]), "Subtract"),
    "first": (wrong(difference_by_prompt, agg="first"), "Average leakage minus control"),
    "zero for NaN": (
        lambda t: difference_by_prompt(t.fillna({"leakage": 0, "control": 0})),
        "does not count as 0",
    ),
    "controls without a leakage": (
        lambda t: t.groupby("prompt")["leakage"].mean() - t.groupby("prompt")["control"].mean(),
        "is left out, with its control",
    ),
    "a list": (lambda t: list(difference_by_prompt(t)), "Expected a Series"),
    "one number": (lambda t: (t["leakage"] - t["control"]).mean(), "Expected a Series"),
}
WRONG = [
    (check, name, answer, hint)
    for check, answers in (
        (checks.check_dominance, DOMINANCE),
        (checks.check_area_identity, AREA),
        (lambda answer: checks.check_per_prompt(answer, dominance), PER_PROMPT),
        (checks.check_interval, INTERVAL),
        (checks.check_mass_on, MASS),
        (checks.check_leakage, LEAKAGE),
        (checks.check_color_words, COLOR_WORDS),
        (checks.check_per_prompt_difference, BY_PROMPT),
    )
    for name, (answer, hint) in answers.items()
]


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")
@pytest.mark.parametrize(("check", "answer", "hint"), [(c, a, h) for c, _, a, h in WRONG])
def test_a_wrong_answer_gets_a_hint(check, answer, hint):
    with pytest.raises(AssertionError, match=re.escape(hint)):
        check(answer)


def test_right_answers_pass():
    checks.check_dominance(dominance)
    checks.check_rules(*rules(lambda right: right.sort_values()))  # the order does not matter
    checks.check_area_identity(area)
    checks.check_per_prompt(per_prompt, dominance)
    checks.check_interval(interval)
    checks.check_mass_on(mass_on)
    checks.check_leakage(leakage)
    checks.check_color_words(color_words)
    checks.check_per_prompt_difference(difference_by_prompt)
    checks.check_reading({relation: answer.upper() for relation, answer in READING.items()})
    checks.check_flaws(["e", "B", "a"])


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (dict, "Expected a Series"),
        (list, "Expected a Series"),
        (lambda right: right.iloc[1:], "one value per rule"),
        (lambda right: pd.Series(sorted(right), RULES), "under relative:0.2 alone"),
        (lambda right: pd.Series(right.mean(), RULES), "under relative:0.2 alone"),
        (lambda right: -right, "under relative:0.2 alone"),
        (lambda right: right * math.nan, "under relative:0.2 alone"),
    ],
)
def test_wrong_values_of_the_rules_get_a_hint(change, hint):
    with pytest.raises(AssertionError, match=re.escape(hint)):
        checks.check_rules(*rules(change))


def test_a_rule_without_pairs_is_named():
    by_rule, pairs, *others = rules(lambda right: right)
    with pytest.raises(AssertionError, match=re.escape("['absolute:0.02'] are missing")):
        checks.check_rules(by_rule, pairs[pairs["threshold"] != "absolute:0.02"], *others)


def test_every_other_reading_gets_the_hint_of_its_relation():
    for relation, right in READING.items():
        for other in {*READING.values()} - {right}:
            with pytest.raises(AssertionError, match=relation) as failed:
                checks.check_reading({**READING, relation: other})
            assert checks._HINTS[relation] in str(failed.value)
    for reading, hint in (
        ({}, "for every relation"),
        (None, "Expected a dictionary"),
        (list(READING.values()), "Expected a dictionary"),
        ({**READING, "det": "yes"}, "expected one of"),
    ):
        with pytest.raises(AssertionError, match=hint):
            checks.check_reading(reading)


@pytest.mark.parametrize(
    "flaws", [[], ["a", "e"], ["a", "b", "c", "e"], ["b"], "a, b, d, e", ["x"]]
)
def test_other_flaws_get_a_hint(flaws):
    with pytest.raises(AssertionError, match="For each statement ask"):
        checks.check_flaws(flaws)
    with pytest.raises(AssertionError, match="Expected a list of letters"):
        checks.check_flaws(None)
