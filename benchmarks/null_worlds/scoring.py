"""Errors, coverage, and power of recipes over simulated studies."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from benchmarks.null_worlds.claims import POOLED, Claim
from benchmarks.null_worlds.studies import N_TWINS, Study, World, draw
from benchmarks.null_worlds.worlds import WORLDS
from daam_syntax.analysis import adjust_p, estimate_relations
from daam_syntax.analysis.statistics.sign_flips import least_p, sign_flip_p
from daam_syntax.maps.measures import PAIR_MEASURES

ALPHA: Final = 0.05
MEASURES: Final = ("iou", "phi", "iod", "log_area_ratio")
"""Measures whose intervals are compared with the truth."""

Counts = dict[str, Any]
Truth = dict[str, dict[str, float]]

MATCHED: Final = "all matched relations"
"""Name, among true differences, of that of all pairs that have exchanged ones."""

_TRUTH_STUDIES: Final = 60
_MATCHED_STUDIES: Final = 200  # an exchange uses fewer pairs, so its mean varies more


def prompt_effects(study: Study, measure: str) -> dict[str, np.ndarray]:
    """Return what each prompt's pairs have more than their twins, by relation and pooled. *Shape:* ``(prompt,)``."""
    pairs = study.pairs
    twins = np.mean([twin[measure] for twin in study.twins], axis=0)
    table = pd.DataFrame(
        {
            "relation": pairs["relation"],
            "prompt": pairs["prompt_id"],
            "image": pairs["image"],
            "effect": pairs[measure].to_numpy(float) - twins,
        }
    )[study.layout.related].dropna()
    images = table.groupby(["relation", "prompt", "image"])["effect"].mean()
    prompts = images.groupby(level=["relation", "prompt"]).mean()
    found = {str(name): values.to_numpy() for name, values in prompts.groupby(level="relation")}
    images = table.groupby(["prompt", "image"])["effect"].mean()
    return found | {POOLED: images.groupby(level="prompt").mean().to_numpy()}


def oracle(study: Study, measures: Iterable[str] = ("iou", "phi")) -> Iterable[tuple[str, Claim]]:
    """Yield the claims of someone who knows what else overlap depends on: sign flips of the effects of prompts."""
    for measure in measures:
        effects = prompt_effects(study, measure)
        pooled = effects.pop(POOLED)
        names = list(effects)
        p = np.array([float(sign_flip_p(effects[name], n_resamples=999)) for name in names])
        adjusted = adjust_p(p, least=[least_p(len(effects[name])) for name in names])
        for name, value, q in zip(names, p, adjusted, strict=True):
            nan = float("nan")
            yield "oracle", Claim(measure, name, float(effects[name].mean()), nan, nan, value, q)
        value = float(sign_flip_p(pooled, n_resamples=999))
        yield (
            "oracle, by kind",
            Claim(measure, POOLED, float(pooled.mean()), nan, nan, value, value),
        )


_TRUTHS: dict[str, Truth] = {}


def write_truths(path: Path) -> None:
    """Write the true differences of every world, which take longer than a study."""
    found = {
        name: {m: {**truth(name, m), MATCHED: matched_truth(name, m)} for m in MEASURES}
        if world.effect
        else {}
        for name, world in WORLDS.items()
    }
    path.write_text(json.dumps(found), encoding="utf-8")


def read_truths(path: Path) -> None:
    """Take the true differences from a file of `write_truths` from now on."""
    _TRUTHS.update(json.loads(path.read_text(encoding="utf-8")))


@cache
def truth(world_name: str, measure: str) -> dict[str, float]:
    """Return the true difference of each relation by a measure, the mean over many simulated studies.

    Without maps, relations have no effect on other pairs, so the truth is what related pairs have more than their
    twins. With maps, it is what they have more than exchanged pairs, see `exchanged_effects`.
    """
    if world_name in _TRUTHS:
        return _TRUTHS[world_name].get(measure, {})
    world = WORLDS[world_name]
    if not world.effect:
        return {}
    rows: dict[str, list[float]] = {}
    for study in _truth_studies(world, _TRUTH_STUDIES):
        if world.has_maps:
            found = {name: [value] for name, value in exchanged_effects(study, measure).items()}
            found[POOLED] = [exchanged_pooled(study, measure)]
        else:
            found = {name: list(v) for name, v in prompt_effects(study, measure).items()}
        for row, values in found.items():
            rows.setdefault(row, []).extend(values)
    return {row: float(np.mean(values)) for row, values in rows.items()}


@cache
def matched_truth(world_name: str, measure: str) -> float:
    """Return the true pooled difference by a measure of the pairs that have exchanged ones.

    A pooled row averages these pairs. If overlap differs between relations, their mean differs from that of all pairs.
    """
    if MATCHED in _TRUTHS.get(world_name, {}).get(measure, {}):
        return _TRUTHS[world_name][measure][MATCHED]
    studies = _truth_studies(WORLDS[world_name], _MATCHED_STUDIES)
    found = [exchanged_pooled(study, measure) for study in studies]
    return float(np.mean(found))


def _truth_studies(world: World, n: int) -> Iterator[Study]:
    return (draw(world, 10**6 + number, N_TWINS) for number in range(n))


def exchanged_effects(study: Study, measure: str) -> dict[str, float]:
    """Return what each relation adds more than to exchanged pairs at the same distance.

    In worlds of maps, a word that copies its head's map also resembles the other dependents of its head, and those are
    unrelated and near. What the relation adds to such pairs is part of what distance does, so the difference that an
    adjusted exchange estimates is smaller than the effect on related pairs. It is the same exchange of the effects, the
    values of all pairs minus those of their twins.
    """
    found = estimate_relations(_effects(study, measure), "relation", measure, n_resamples=1)
    values = {name: result.estimate.estimate for name, result in found.items()}
    return {name: value for name, value in values.items() if not np.isnan(value)}


def exchanged_pooled(study: Study, measure: str) -> float:
    """Return what all relations together add more than to exchanged pairs, see `exchanged_effects`."""
    found = estimate_relations(_effects(study, measure), "kind", measure, n_resamples=1)
    return found["dependency"].estimate.estimate


def _effects(study: Study, measure: str) -> pd.DataFrame:
    """Return the pairs with the effects on a measure, and on the one of the exchanged roles, as its values."""
    mirror = str(PAIR_MEASURES[measure].mirror)
    effects = {
        name: study.pairs[name].to_numpy(float) - np.mean([t[name] for t in study.twins], axis=0)
        for name in {measure, mirror}
    }
    return study.pairs.assign(**effects)


def is_affected(world: World, row: str) -> bool:
    """Return whether the row of a table has a true effect."""
    if not world.effect or row == "nothing":
        return False
    return row == POOLED or world.relations is None or row in world.relations


def score(
    world: World, claims: Iterable[Claim], *, scaled: bool = True, exchanged: bool = False
) -> dict[str, Counts]:
    """Count what the claims of one study are, by measure.

    Parameters
    ----------
    world
        The world of the study.
    claims
        Claims of one recipe.
    scaled
        Whether the estimates are differences of the measure, so that intervals can be compared with the truth.
    exchanged
        Whether the pairs were compared with exchanged ones, so that pooled rows average those that have some.
    """
    families: dict[str, list[Claim]] = {}
    for claim in claims:
        if not {claim.row, claim.row.split(":")[0]} & set(world.exempt):
            families.setdefault(claim.measure, []).append(claim)
    found: dict[str, Counts] = {}
    for measure, rows in families.items():
        true = dict(truth(world.name, measure)) if measure in MEASURES else {}
        if exchanged and POOLED in true and any(claim.row == POOLED for claim in rows):
            true[POOLED] = matched_truth(world.name, measure)
        counts: Counts = dict.fromkeys(
            ("rows", "tests", "withheld", "intervals", "covered", "true_rows", "true_found"), 0
        )
        wrong: dict[str, int] = {}
        for claim in rows:
            tested = not np.isnan(claim.p_adjusted)
            claimed = tested and claim.p_adjusted <= ALPHA
            counts["rows"] += 1
            counts["tests"] += int(tested)
            counts["withheld"] += int(claim.withheld)
            affected = is_affected(world, claim.row)
            value = true.get(claim.row, np.nan) if affected else 0.0
            if affected and not np.isnan(value):
                counts["true_rows"] += 1
                counts["true_found"] += int(claimed and claim.estimate * value > 0)
            if claimed and (not affected or claim.estimate * value < 0):
                wrong[claim.row] = 1
            if tested and scaled and np.isfinite(claim.low) and not np.isnan(value):
                counts["intervals"] += 1
                counts["covered"] += int(claim.low <= value <= claim.high)
        m, c = counts["intervals"], counts["covered"]
        found[measure] = counts | {
            "studies": 1,
            "studies_tested": int(counts["tests"] > 0),
            "studies_warned": int(counts["withheld"] > 0),
            "errors": int(bool(wrong)),
            "wrong": wrong,
            "squares": [m**2, c**2, m * c],
        }
    return found


def add(total: Counts, more: Counts) -> Counts:
    """Return the sum of two counts."""
    found = dict(total)
    for name, value in more.items():
        if isinstance(value, dict):
            old = found.get(name, {})
            found[name] = {k: old.get(k, 0) + value.get(k, 0) for k in {**old, **value}}
        elif isinstance(value, list):
            found[name] = [
                a + b for a, b in zip(found.get(name, [0] * len(value)), value, strict=True)
            ]
        else:
            found[name] = found.get(name, 0) + value
    return found


def limits(hits: float, n: float, n_cells: int = 1) -> tuple[float, float]:
    """Return the exact 95 % limits of a rate (Clopper and Pearson 1934), corrected for a number of cells."""
    if n <= 0:
        return 0.0, 1.0
    low, high = proportion_confint(hits, n, alpha=0.05 / n_cells, method="beta")
    return float(np.nan_to_num(low)), float(high)


def coverage(counts: Counts, n_cells: int = 1) -> tuple[float, float, float]:
    """Return the coverage of the intervals with its limits: the intervals of one study are one cluster."""
    m, c, n = counts["intervals"], counts["covered"], counts["studies"]
    if not m:
        return float("nan"), 0.0, 1.0
    rate = c / m
    mm, cc, mc = counts["squares"]
    variance = (cc - 2 * rate * mc + rate**2 * mm) / m**2
    independent = rate * (1 - rate) / m
    varies = variance > 0 and independent > 0
    effective = m * min(1.0, independent / variance) if varies else min(m, n)
    return (rate, *limits(rate * effective, effective, n_cells))
