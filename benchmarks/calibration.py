"""Do tests and intervals keep their level? Simulated studies under nulls with the clustering of real ones.

``python -m benchmarks.calibration`` runs all scenarios and writes ``benchmarks/results/calibration.json``; ``--resume``
keeps finished scenarios. The tables are part of ``docs/calibration.md``: ``python -m benchmarks.null_worlds --report``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from daam_syntax.analysis import adjust_p
from daam_syntax.analysis.inference.simulation import SimulatedStudy
from daam_syntax.analysis.statistics.bootstrap import interval
from daam_syntax.analysis.statistics.cluster_robust import effective_clusters, two_way_error
from daam_syntax.analysis.statistics.sign_flips import sign_flip_p

ROOT = Path(__file__).parent
RESULTS = ROOT / "results" / "calibration.json"
N_RESAMPLES = 1999
LEVEL = 0.95
METHODS = ("studentized", "t", "bca", "percentile")
CHUNK = 100  # studies at a time; the resamples of more would not fit into memory

Record = dict[str, Any]


def share(hits: int, n: int) -> dict[str, float]:
    """Return a rate with its exact binomial interval (Clopper and Pearson 1934)."""
    if n == 0:
        return {"rate": float("nan"), "low": float("nan"), "high": float("nan")}
    low, high = proportion_confint(hits, n, method="beta")
    return {"rate": hits / n, "low": float(low), "high": float(high)}


def record(
    scenario: str,
    study: SimulatedStudy,
    test: str,
    *,
    covered: np.ndarray | None = None,
    p: np.ndarray | None = None,
    failed: np.ndarray | None = None,
) -> Record:
    """Count rejections of the null and intervals that cover the truth; failures are counted separately."""
    values = next(v for v in (covered, p) if v is not None)
    n = len(values)
    failed = np.zeros(len(values), bool) if failed is None else failed
    entry: Record = {
        "scenario": scenario,
        "test": test,
        "n_simulations": n,
        "n_failed": int(failed.sum()),
        "study": asdict(study),
    }
    if p is not None:
        entry["false_positives"] = share(int((p[~failed] <= 1 - LEVEL).sum()), int((~failed).sum()))
    if covered is not None:
        entry["coverage"] = share(int(covered[~failed].sum()), int((~failed).sum()))
    return entry


def by_method(values: np.ndarray, truth: float, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Return which intervals cover the truth and which studies have none; values: (study, cluster)."""
    ends = [
        interval(values[i : i + CHUNK], method=method, n_resamples=N_RESAMPLES)
        for i in range(0, len(values), CHUNK)
    ]
    low, high = (np.concatenate(end) for end in zip(*ends, strict=True))
    failed = ~np.isfinite(low + high) | (values.std(axis=1) == 0)
    return (low <= truth) & (truth <= high), failed


def flips(values: np.ndarray) -> np.ndarray:
    """Return the sign-flip p-value of each study."""
    parts = [
        sign_flip_p(values[i : i + CHUNK], n_resamples=N_RESAMPLES)
        for i in range(0, len(values), CHUNK)
    ]
    return np.concatenate(parts)


def prompts(
    scenario: str, study: SimulatedStudy, n: int, rng: np.random.Generator
) -> Iterator[Record]:
    """Calibrate inference on prompt means, and a test that ignores the prompts."""
    (relation, control), _ = study.draw(n, rng)
    first, second = (side.mean(axis=(2, 3)) for side in (relation, control))
    differences = first - second
    yield record(scenario, study, "sign flips", p=flips(differences))
    for method in METHODS:
        covered, failed = by_method(differences, study.true_difference(), method)
        yield record(
            scenario, study, f"difference, {method} interval", covered=covered, failed=failed
        )
    for method in METHODS:
        covered, failed = by_method(first, study.true_mean(0), method)
        yield record(scenario, study, f"mean, {method} interval", covered=covered, failed=failed)
    flat = [side.reshape(n, -1) for side in (relation, control)]
    naive = stats.ttest_ind(*flat, axis=1, equal_var=False)
    yield record(scenario, study, "WRONG: pairs as the sample (Welch's t)", p=naive.pvalue)


def templates(
    scenario: str, study: SimulatedStudy, n: int, rng: np.random.Generator
) -> Iterator[Record]:
    """Calibrate clustering by templates, and inference that ignores them."""
    (relation, control), _ = study.draw(n, rng)
    differences = relation.mean(axis=(2, 3)) - control.mean(axis=(2, 3))
    # Prompt i has template i modulo n_templates, so every template has the same number of prompts.
    sums = differences.reshape(n, -1, study.n_templates).mean(axis=1)
    for label, values in (("", sums), ("WRONG: by prompt only, ", differences)):
        yield record(scenario, study, f"{label}sign flips", p=flips(values))
        covered, failed = by_method(values, 0.0, "studentized")
        yield record(
            scenario,
            study,
            f"{label}difference, studentized interval",
            covered=covered,
            failed=failed,
        )


def crossed(
    scenario: str, study: SimulatedStudy, n: int, rng: np.random.Generator
) -> Iterator[Record]:
    """Calibrate two-way errors (prompt, lemma), and a test that ignores the lemmas."""
    overlaps, lemmas = study.draw(n, rng)
    differences = overlaps[0].mean(axis=(2, 3)) - overlaps[1].mean(axis=(2, 3))
    prompt = np.concatenate([np.indices(side.shape[1:])[0].ravel() for side in overlaps])
    weights = np.concatenate([np.full(side[0].size, 1 / side[0].size) for side in overlaps])
    errors, fewest = np.empty(n), np.empty(n)
    for i in range(n):
        # The contributions of `estimate_difference` when every prompt has the same number of images and pairs.
        parts = [
            sign * (side[i] - side[i].mean()).ravel() / side[i].size
            for sign, side in zip((1, -1), overlaps, strict=True)
        ]
        lemma = np.concatenate([side[i].ravel() for side in lemmas])
        errors[i] = two_way_error(np.concatenate(parts), prompt, lemma, weights)
        fewest[i] = min(effective_clusters(weights, codes) for codes in (prompt, lemma))
    t = np.abs(differences.mean(axis=1)) / errors
    p = 2 * stats.t.sf(t, fewest - 1)
    yield record(scenario, study, "two ways (prompt, lemma), t", p=p, covered=p > 1 - LEVEL)
    if study.lemma:
        yield record(scenario, study, "WRONG: by prompt only, sign flips", p=flips(differences))


def corrections(
    scenario: str, study: SimulatedStudy, n: int, rng: np.random.Generator
) -> Iterator[Record]:
    """Calibrate corrections for multiplicity: eight relations without an effect, one control."""
    control = study.draw(n, rng)[0][1].mean(axis=(2, 3))
    p = np.stack(
        [flips(study.draw(n, rng)[0][0].mean(axis=(2, 3)) - control) for _ in range(8)], axis=1
    )
    for correction in ("holm", "bh", "none"):
        least = p.min(axis=1)
        # Adjusting never lowers a p-value, so only small ones need it.
        small = least <= 1 - LEVEL
        least[small] = [adjust_p(values, correction).min() for values in p[small]]
        name = "WRONG: no correction" if correction == "none" else correction
        yield record(scenario, study, f"any of 8 relations, {name}", p=least)


def scenarios(n: int) -> dict[str, Callable[[str, np.random.Generator], Iterator[Record]]]:
    """Return the scenarios by name, `n` studies each."""
    designs = {
        "8 prompts x 2 seeds": SimulatedStudy(n_prompts=8),
        "10 prompts x 4 seeds": SimulatedStudy(n_prompts=10, n_seeds=4),
        "20 prompts x 2 seeds": SimulatedStudy(n_prompts=20),
        "20 prompts x 4 seeds": SimulatedStudy(n_prompts=20, n_seeds=4),
        "60 prompts x 2 seeds": SimulatedStudy(n_prompts=60),
    }
    twenty = designs["20 prompts x 2 seeds"]
    found: dict[str, Callable[[str, np.random.Generator], Iterator[Record]]] = {}

    def add(
        name: str,
        kind: Callable[..., Iterator[Record]],
        study: SimulatedStudy,
        size: int,
        *more: Any,
    ) -> None:
        found[name] = lambda label, rng: kind(label, study, size, rng, *more)

    for name, study in designs.items():
        add(f"{name}, sides alike", prompts, study, n)
        shape = replace(study, pair=(1.5, 0.6), n_pairs=(1, 6)).with_equal_means()
        add(f"{name}, sides of unlike shape", prompts, shape, n)
    templated = SimulatedStudy(n_prompts=60, n_templates=12, template=0.4)
    add("60 prompts of 12 templates x 2 seeds", templates, templated, n)
    add("20 prompts x 2 seeds, 8 relations", corrections, twenty, n)
    lemmas = "lemmas with effects"
    add(f"20 prompts x 2 seeds, 10 {lemmas}", crossed, SimulatedStudy(lemma=0.5), n)
    add(
        f"60 prompts x 2 seeds, 20 {lemmas}", crossed, SimulatedStudy(60, n_lemmas=20, lemma=0.5), n
    )
    add("20 prompts x 2 seeds, 10 lemmas without effects", crossed, twenty, n)
    return found


def as_text(rate: dict[str, float] | None) -> str:
    """Format a rate in percent with its interval; bold if the interval misses the nominal rate."""
    if rate is None:
        return ""
    promised = LEVEL if rate["rate"] > 0.5 else 1 - LEVEL
    text = f"{100 * rate['rate']:.1f} [{100 * rate['low']:.1f}, {100 * rate['high']:.1f}]"
    return text if rate["low"] <= promised <= rate["high"] else f"**{text}**"


def read() -> list[Record]:
    """Return the results so far."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []


def section(records: list[Record]) -> str:
    """Return the results as a section of Markdown."""
    lines = [
        "## Simulated prompts without words",
        "",
        "These simulations have numbers instead of words. They test the tests and intervals themselves, in studies "
        "without an effect that are nested like real ones: pairs in images and images in prompts, each with an "
        "effect of its own. Overlaps are bounded and skewed, and 9 to 29% of them are 0. *Sides alike*: relation and "
        "control have the same distribution. *Sides of unlike shape*: they have the same mean, but the relation is "
        "more skewed and noisier.",
        "",
        "False positives should be at most 5%, and coverage should be 95%. Rates are percentages with exact binomial "
        "95% intervals. **Bold**: the interval does not contain the nominal rate, which happens by chance in one row "
        "of twenty. *Failed* studies gave a reason instead of an interval and are not counted in the rates. Rows "
        "marked WRONG show the consequences of ignoring the nesting.",
        "",
        f"`python -m benchmarks.calibration` makes this section, with {N_RESAMPLES} resamples per study (the default "
        "is 9999).",
    ]
    frame = pd.DataFrame(records)
    for scenario, rows in frame.groupby("scenario", sort=False):
        lines += [
            "",
            f"### {scenario}",
            "",
            "| test | studies | failed | false positives, % | coverage, % |",
            "|---|---:|---:|---:|---:|",
        ]
        for row in rows.to_dict("records"):
            cells = [
                row["test"],
                str(row["n_simulations"]),
                str(row["n_failed"]),
                *(
                    as_text(row[key] if isinstance(row.get(key), dict) else None)
                    for key in ("false_positives", "coverage")
                ),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    lines += [f"\nNot run yet: {name}." for name in missing_from(records)]
    return "\n".join(lines) + "\n"


def missing_from(records: Iterable[Record]) -> list[str]:
    """Return the names of the scenarios that have no results."""
    finished = {entry["scenario"] for entry in records}
    return [name for name in scenarios(1) if name not in finished]


def main() -> None:
    """Simulate, and save the results after every scenario."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument(
        "--resume", action="store_true", help="keep the scenarios that are finished"
    )
    options = parser.parse_args()
    records = read() if options.resume else []
    done = {entry["scenario"] for entry in records}
    for number, (name, simulate) in enumerate(scenarios(options.simulations).items()):
        if name in done:
            continue
        start = time.process_time()
        # Each scenario has its own generator and does not depend on the others.
        records += simulate(name, np.random.default_rng([0, number]))
        print(f"{name}: {time.process_time() - start:.0f} s", flush=True)
        RESULTS.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
