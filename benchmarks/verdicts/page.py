"""The results in ``docs/verdicts.md``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from daam_syntax.studies.verdicts.evaluation import ALL, PROMPT, SETS, with_prompt
from daam_syntax.studies.verdicts.findings import COMPARED
from daam_syntax.studies.verdicts.judging.failures import FAILURES, KINDS
from daam_syntax.studies.verdicts.map_measures import DESCRIPTIONS

RESULTS = Path(__file__).parents[1] / "results" / "verdicts.json"
PAGE = Path(__file__).parents[2] / "docs" / "verdicts.md"
START, END = "<!-- results of benchmarks.verdicts -->", "<!-- end of the results -->"


def page(text: str, results: dict[str, Any]) -> str:
    """Return the page with the results."""
    before, _, rest = text.partition(START)
    return f"{before}{START}\n\n{section(results)}\n\n{END}{rest.partition(END)[2]}"


def section(results: dict[str, Any]) -> str:
    """Return the tables and sentences of the results."""
    tested = [name for name in FAILURES if name in results["scores"]]
    heads = ["", *(FAILURES[name] for name in tested)]
    some = results["failures"]["any"]["failed"]
    lines = [
        f"{results['images']} images of {results['prompts']} prompts, {results['settings']['steps']} steps, judged by "
        f"the annotator. At least one failure is in {some} of them.",
        *_table(["kind of prompt", "images", *KINDS.values()], _kinds(results)),
        "In the next tables, brackets are 95% intervals over prompts; bold says that the adjusted p-value is at most "
        "0.05.",
        *_table(heads, _scores(results, tested)),
        "*Images of the same prompt*: share of the pairs of a failed and a right image in which the failed one has the "
        "worse value (more overlap, a smaller binding margin, more neglect), minus the share in which it has the "
        "better one.",
        *_table(heads, _within(results, tested)),
        "What the study itself answers:",
        *(f"- {line}" for line in results["answers"]),
        "How often the annotator finds failures, and calls right images right, on rendered scenes of the same prompts; "
        "and the AUC of the prompt and all maps, corrected for its errors:",
        *_table(["", "finds", "calls right", "AUC", "corrected"], _judge(results, tested)),
    ]
    return "\n".join(_spaced(lines))


def _spaced(lines: Sequence[str]) -> Iterator[str]:
    """Put an empty line between paragraphs, lists, and tables."""
    for before, line in zip(["", *lines], lines, strict=False):
        is_inside = before[:2] in ("| ", "- ") and line[:2] == before[:2]
        if before and not is_inside:
            yield ""
        yield line


def _table(heads: Sequence[str], rows: Iterator[list[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _kinds(results: dict[str, Any]) -> Iterator[list[str]]:
    for kind, counts in results["kinds"].items():
        found = [counts[name] for name in ("images", *KINDS)]
        yield [kind, *("not judged" if each is None else str(each) for each in found)]


def _scores(results: dict[str, Any], tested: Sequence[str]) -> Iterator[list[str]]:
    counts, scores = results["failures"], results["scores"]
    yield [
        "failures",
        *(f"{counts[each]['failed']} of {counts[each]['judged']}" for each in tested),
    ]
    named = {PROMPT: "AUC of the prompt alone"}
    named |= {name: f"{name} alone" for name in SETS}
    named |= {with_prompt(ALL): f"prompt and {ALL}"}
    for name, words in named.items():
        yield [words, *(_interval(scores[each][name]) for each in tested)]
    for name in SETS:
        gains = (results["gains"][each].get(name) for each in tested)
        yield [f"{name} added to the prompt", *map(_estimate, gains)]


def _within(results: dict[str, Any], tested: Sequence[str]) -> Iterator[list[str]]:
    found = results["within prompts"]
    for measure in COMPARED:
        name = DESCRIPTIONS[measure]
        yield [name, *(_estimate(found.get(each, {}).get(name)) for each in tested)]
    prompts = [
        max((row["prompts"] for row in found.get(each, {}).values()), default=0) for each in tested
    ]
    yield ["prompts with both kinds of images", *(str(n) if n else "too few" for n in prompts)]


def _judge(results: dict[str, Any], tested: Sequence[str]) -> Iterator[list[str]]:
    for failure in tested:
        known = results["judge"].get(failure)
        if known is None:
            continue
        rates = [f"{100 * known[name]:.1f}%" for name in ("sensitivity", "specificity")]
        values = (results["scores"][failure][with_prompt(ALL)], known["corrected"])
        yield [FAILURES[failure], *rates, *map(_interval, values)]


def _estimate(row: dict[str, Any] | None) -> str:
    """Return a difference with its interval, bold if it is a finding."""
    if row is None:
        return "not tested"
    text = _interval(row["value"], "+")
    value, _, interval = text.partition(" ")
    return f"**{value}** {interval}" if row["found"] else text


def _interval(values: Sequence[float], sign: str = "") -> str:
    value, low, high = (f"{each:{sign}.3f}".replace("-", "\N{MINUS SIGN}") for each in values)
    return f"{value} [{low}, {high}]"
