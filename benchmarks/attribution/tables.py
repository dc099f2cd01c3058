"""Write what was found: tables for the documentation and the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.attribution.mapping.methods import METHODS
from benchmarks.attribution.scenes import BELOW, FALLS, KEPT, LOST, OTHER, WITH, WITHOUT
from benchmarks.attribution.scoring import AGAINST_MASKS, AT_BEST, MIOU, OWN, POINTING, PRECISION

RESULTS: Final = Path(__file__).parents[1] / "results" / "attribution.json"
README: Final = Path(__file__).parents[2] / "README.md"

_HEADING: Final = "| Maps without masks "
_README_SCORES: Final = {
    MIOU: "mIoU over thresholds",
    PRECISION: "average precision",
    POINTING: "pointing game",
    OWN: "own object is stronger",
    LOST: "loses its mass without the object",
    OTHER: "loses it to another object",
}
_WITHOUT, _WITH_OTHER = KEPT


def read_results() -> dict[str, Any]:
    """Return the results in the embedded world."""
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return results


def interval(value: Mapping[str, float] | None) -> str:
    """Format a mean with its interval; nothing if there is none."""
    if value is None or math.isnan(value["mean"]):
        return ""
    if math.isnan(value["low"]):
        return f"{value['mean']:.2f}"
    return f"{value['mean']:.2f} [{value['low']:.2f}, {value['high']:.2f}]"


def signed(value: Mapping[str, float]) -> str:
    """Format a difference with its interval, with more digits where a bound would be rounded to 0."""
    digits = 2 if abs(value["mean"]) >= 0.1 else 3
    bounds = (value["low"], value["high"])
    while digits < 6 and any(bound and not round(bound, digits) for bound in bounds):
        digits += 1
    return f"{value['mean']:+.{digits}f} [{bounds[0]:+.{digits}f}, {bounds[1]:+.{digits}f}]"


def _ordered(methods: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the methods that learned from masks last."""
    yield from ((name, m) for name, m in methods.items() if not m["learned from masks"])
    yield from ((name, m) for name, m in methods.items() if m["learned from masks"])


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in (titles, *rows)]
    return [lines[0], "|" + "---|" * len(titles), *lines[1:]]


def _label(name: str, method: Mapping[str, Any]) -> str:
    if method["learned from masks"]:
        return f"*{name}* (learned from masks)"
    return f"{name} (ignores the word)" if method["ignores the word"] else name


def mask_table(results: Mapping[str, Any]) -> list[str]:
    """Return the lines of the table of scores against masks."""
    rows = []
    for name, method in _ordered(results["methods"]):
        scores = method["scores"]
        gain = method["minus plain"].get(MIOU)
        rows.append(
            [
                _label(name, method),
                str(method["reads of an image with two words"]),
                *(interval(scores.get(each)) for each in AGAINST_MASKS),
                "" if gain is None else signed(gain),
            ]
        )
    return _table(["", "reads", *AGAINST_MASKS, f"{MIOU}, minus plain"], rows)


def counterfactual_table(results: Mapping[str, Any]) -> list[str]:
    """Return the lines of the table of scenes without the thing, and with another thing in its place."""
    rows = []
    for name, method in _ordered(results["methods"]):
        scores = method["scores"]
        rows.append(
            [
                _label(name, method),
                *(interval(scores[each]) for each in (WITH, WITHOUT, LOST, FALLS)),
                interval(method["kept"][_WITHOUT]),
                *(interval(scores[each]) for each in (OTHER, BELOW)),
                interval(method["kept"][_WITH_OTHER]),
            ]
        )
    titles = ["", WITH, WITHOUT, LOST, FALLS, f"value kept {_WITHOUT}", OTHER, BELOW]
    return _table([*titles, f"value kept {_WITH_OTHER}"], rows)


def verdict(score: str, found: Mapping[str, Any]) -> str:
    """Say in a line who wins on a score, or that none does."""
    lead, best, second = found["difference"], found["best"], found["runner-up"]
    if found["winner"]:
        return f"- {score}: **{best}** wins, by {signed(lead)} over {second}."
    if lead["mean"] == 0:
        return f"- {score}: none wins; {best} and {second} are equally high."
    return (
        f"- {score}: none wins. {best} is highest, by {signed(lead)} over {second}; these may be as good: "
        f"{', '.join(found['not beaten'])}."
    )


def verdicts(results: Mapping[str, Any]) -> list[str]:
    """Return a line for each score."""
    return [verdict(score, found) for score, found in results["winners"].items()]


def short_table(results: Mapping[str, Any]) -> list[str]:
    """Return the lines of a table of one column per kind of map, for color words and generated images."""
    rows = [
        [_label(name, method), *(interval(method["scores"].get(each)) for each in AGAINST_MASKS)]
        for name, method in _ordered(results["methods"])
    ]
    return _table(["", *AGAINST_MASKS], rows)


def report(results: Mapping[str, Any]) -> str:
    """Return everything about the images of one source, for the terminal and the documentation."""
    parts = [mask_table(results), ["Among methods that learned from no mask:"], verdicts(results)]
    if all("kept" in method for method in results["methods"].values()):
        parts.insert(1, counterfactual_table(results))
    if missing := results.get("not scored"):
        parts.append([f"- Not scored: {name}, because {why}" for name, why in missing.items()])
    return "\n\n".join("\n".join(lines) for lines in parts)


def descriptions() -> str:
    """Return a table that says what each method maps, and how the package does it."""
    rows = [[method.name, method.about, method.how] for method in METHODS]
    return "\n".join(_table(["Method", "Map of a word", "In the package"], rows))


def page() -> str:
    """Return the tables of the documentation."""
    results = read_results()
    colors, drawn = results["color words"], results["generated images"]
    thresholds = "; ".join(
        f"{name} {' and '.join(f'{tau:g}' for tau in method['thresholds'])}"
        for name, method in _ordered(results["methods"])
    )
    return "\n\n".join(
        [
            f"{results['scenes']} scenes, {results['words']} nouns; {results['processor seconds'] / 60:.0f} minutes of "
            f"processor time, {results['seconds'] / 60:.0f} minutes with {results['threads']} "
            f"{'thread' if results['threads'] == 1 else 'threads'} of a shared machine.",
            report(results),
            f"Relative thresholds that each half of the scenes chose for the other ({AT_BEST}): {thresholds}.",
            f"Maps of {colors['words']} color words in {colors['scenes']} of the scenes, against the object of that "
            "color:",
            "\n".join(short_table(colors)),
            f"Maps recorded while {drawn['images']} images were generated, against the masks of the annotator, which "
            f"finds {drawn['nouns that the annotator finds']} of the {drawn['nouns in the captions']} nouns of the "
            "captions; only these are scored:",
            "\n".join(short_table(drawn)),
        ]
    )


def readme_table(results: Mapping[str, Any]) -> list[str]:
    """Return the lines of the README's table: the highest method of each score and its lead; winners are bold."""
    found = {score: results["winners"][score] for score in _README_SCORES}
    best = []
    for score, each in found.items():
        value = results["methods"][each["best"]]["scores"][score]["mean"]
        name = f"**{each['best']}**" if each["winner"] else each["best"]
        best.append(f"{name} {value:.2f}")
    rows = [["highest", *best], ["lead", *map(_lead, found.values())]]
    return _table([_HEADING.strip("| "), *_README_SCORES.values()], rows)


def _lead(found: Mapping[str, Any]) -> str:
    """Say by how much the highest method leads, and over which."""
    if found["difference"]["mean"] == 0:
        return f"none ({found['runner-up']})"
    return f"{signed(found['difference'])} ({found['runner-up']})"


def updated_readme(text: str, results: Mapping[str, Any]) -> str:
    """Return the text of the README with the table made again."""
    lines = text.split("\n")
    first = next(i for i, line in enumerate(lines) if line.startswith(_HEADING))
    last = next(i for i in range(first, len(lines)) if not lines[i].startswith("|"))
    return "\n".join([*lines[:first], *readme_table(results), *lines[last:]])
