"""Update the tables of docs/measures.md from the code: ``python -m tools.measures_page``.

The tables come from the declarations of the measures and the threshold rules; the text around them is written by hand.
Each generated table is the first one below its heading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from daam_syntax.maps.measures import (
    BINDING_MEASURES,
    BREADTH_MEASURES,
    MASK_MEASURES,
    PAIR_MEASURES,
    Measure,
)
from daam_syntax.maps.thresholds import RULES, parse_threshold

PAGE = Path(__file__).parents[1] / "docs" / "measures.md"


def updated(page: str) -> str:
    """Return the text of the page with every generated part made again."""
    tables = {
        "Masks": rule_table(),
        "Measures of a pair": measure_table(PAIR_MEASURES),
        "Measures of one map": measure_table(BREADTH_MEASURES),
        "Binding of modifiers": measure_table(BINDING_MEASURES),
        "Maps against masks": measure_table(MASK_MEASURES),
    }
    for heading, table in tables.items():
        page = _with_table(page, heading, table)
    return page


def measure_table(measures: Mapping[str, Measure]) -> list[str]:
    """Return the lines of a table with one row per measure."""
    titles = ["Column", "Formula", "Range", "Unit", "Higher means", "By chance", "Roles exchanged"]
    titles += ["Invariant to", "NaN where", "Zero mass", "Use", "Source"]
    rows = [
        [
            f"`{measure.name}`",
            measure.formula,
            measure.range,
            measure.unit,
            measure.higher,
            measure.chance_text,
            measure.mirror_text,
            _invariances(measure.invariant),
            measure.undefined,
            measure.zero_mass_text,
            measure.use,
            measure.source,
        ]
        for measure in measures.values()
    ]
    compared = [measure for measure in measures.values() if measure.mirror is not None]
    chance = [measure for measure in measures.values() if measure.area_free]
    unused = {"By chance": not chance, "Roles exchanged": not compared}
    kept = [place for place, title in enumerate(titles) if not unused.get(title, False)]
    titles, *rows = [[row[place] for place in kept] for row in (titles, *rows)]
    return _lines(titles, rows)


def rule_table() -> list[str]:
    """Return the lines of the table of threshold rules and of the conventions that are names for one."""
    rows = [
        [
            f"`{rule.example}`",
            rule.formula,
            _invariances({how for how in ("scale", "shift") if getattr(rule, how)}),
            rule.source,
        ]
        for rule in RULES.values()
    ]
    paper, notebook = parse_threshold("paper"), parse_threshold("notebook")
    rows.append(["`paper`", f"the same as `{paper}`", "scale", "Tang et al. 2023"])
    rows.append(["`notebook`", f"the same as `{notebook}`: 0.15 / 30", "-", "their notebook"])
    return _lines(["Rule", "Cut of a map h", "Masks do not change with", "Source"], rows)


def _invariances(claimed: set[str] | frozenset[str]) -> str:
    return ", ".join(how for how in ("scale", "shift", "pixels") if how in claimed) or "-"


def _lines(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    first, *others = [f"| {' | '.join(row)} |" for row in (titles, *escaped)]
    return [first, "|" + "---|" * len(titles), *others]


def _with_table(page: str, heading: str, table: Sequence[str]) -> str:
    """Replace the first table below a heading."""
    lines = page.split("\n")
    start = lines.index(f"## {heading}")
    first = next(i for i in range(start, len(lines)) if lines[i].startswith("| "))
    last = next(i for i in range(first, len(lines)) if not lines[i].startswith("|"))
    return "\n".join([*lines[:first], *table, *lines[last:]])


def main() -> None:
    """Update the page."""
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
