"""The tables of ``docs/diagnosis.md``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results" / "diagnosis.json"
PAGE = Path(__file__).parents[2] / "docs" / "diagnosis.md"


def interval(value: dict[str, float]) -> str:
    """Write a rate as percentages with its interval."""
    low, high = (f"{100 * value[end]:.1f}" for end in ("low", "high"))
    return f"{100 * value['share']:.1f}% [{low}, {high}]"


def tables(results: dict[str, Any]) -> str:
    """Return the tables of the page."""
    good = results["good"]
    size = " x ".join(map(str, results["settings"]["image"]))
    lines = ["| Planted | Finding | Found | n |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {value['kind']} | {interval(value)} | {value['n']} |"
        for name, value in results["planted"].items()
    ]
    lines += [
        "",
        f"Good maps (the embedded model, {size} pixels, {results['settings']['steps']} steps): "
        f"{interval(good['images'])} of {good['images']['n']} images have a finding, and "
        f"{interval(good['words'])} of {good['words']['n']} words.",
        "",
        "| Criterion | Limit | Most extreme good map | 95% of the planted are beyond | Good maps | Planted |",
        "|---|---|---|---|---|---|",
    ]
    for kind, value in results["choosing"].items():
        if isinstance(value, dict) and "limit" in value:
            planted = value.get("planted, 95 % are within")
            lines.append(
                f"| {kind} | {value['limit']:g} | {value['good maps, most extreme']:.3g} | "
                f"{'' if planted is None else f'{planted:.3g}'} | {value['n_good']} | {value.get('n_planted', '')} |"
            )
    return "\n".join([*lines, "", *_of_steps(results)])


def _of_steps(results: dict[str, Any]) -> list[str]:
    """Return what the limits of steps go by."""
    alike = results["correlation with the maps of all steps"]
    fewer = sorted(results["drawn in fewer steps"].items(), key=lambda item: int(item[0]))
    return [
        "Mean correlation of words' maps of some steps with their maps of all 20 steps: "
        + "; ".join(f"{name} {value:.2f}" for name, value in alike.items())
        + ".",
        "",
        "| Drawn in | The annotator finds the noun | Correlation of the maps with those of 20 steps |",
        "|---|---|---|",
        *(
            f"| {n} step{'s' * (n != '1')} | {interval(value['nouns'])} | "
            f"{'' if 'correlation' not in value else format(value['correlation'], '.2f')} |"
            for n, value in fewer
        ),
    ]


START, END = "<!-- tables of benchmarks.diagnosis -->", "<!-- end of the tables -->"


def page(text: str, results: dict[str, Any]) -> str:
    """Return the page with the tables of the results."""
    before, _, rest = text.partition(START)
    return f"{before}{START}\n\n{tables(results)}\n\n{END}{rest.partition(END)[2]}"
