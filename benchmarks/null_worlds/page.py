"""The page ``docs/calibration.md``: worlds and recipes, then simulated prompts without words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import calibration
from benchmarks.null_worlds.catalog import every_recipe
from benchmarks.null_worlds.claims import Recipe
from benchmarks.null_worlds.pair_worlds import MEASURES
from benchmarks.null_worlds.running import CRASH, read
from benchmarks.null_worlds.scoring import ALPHA, Counts, add, coverage, limits
from benchmarks.null_worlds.study_pages import SENTENCES
from benchmarks.null_worlds.worlds import NULLS, TRUE, World

PAGE: Final = Path(__file__).parents[2] / "docs" / "calibration.md"

MANY: Final = 50
"""Fewer studies of a world are shown only together with those of the other worlds."""

_SHORT: Final = {"iou": "IoU", "phi": "phi", "iod": "IoD", "log_area_ratio": "log area ratio"}
_ORACLES: Final = ("oracle", "oracle, by kind")
_COLUMNS: Final = 6


@dataclass(frozen=True)
class Cell:
    """The results of one recipe by one measure in one world."""

    world: World
    recipe: str
    measure: str
    counts: Counts

    @property
    def column(self) -> str:
        """Heading of the column."""
        measure = _SHORT.get(self.measure, self.measure)
        named = self.measure == SENTENCES or self.recipe.endswith(measure)
        return self.recipe if named else f"{self.recipe}, {measure}"

    @property
    def judged(self) -> bool:
        """Whether the recipe is one that the documentation recommends for such prompts."""
        recipe = every_recipe().get(self.recipe)
        return recipe is None or recipe.clustered

    @property
    def error(self) -> float:
        """Share of studies with an error."""
        return float(self.counts["errors"] / self.counts["studies"])


def markdown() -> str:
    """Return the page, from the results of both benchmarks."""
    head = [
        "# Do the ways to a claim hold?",
        "",
        "Every recipe of [From a pair table to a claim](inference.md) was tried in simulated worlds whose truth is "
        "known. In null worlds, overlap depends on anything except how words are related, so every finding is an "
        "error. In true worlds, relations have an effect, and recipes should find it.",
        "",
        "Made by `python -m benchmarks.null_worlds`.",
        "",
    ]
    return "\n".join(head) + "\n" + tables(read()) + "\n" + calibration.section(calibration.read())


def cells(results: Mapping[str, Any]) -> list[Cell]:
    """Return the cells that have results, in the order of worlds and recipes."""
    order = [*every_recipe(), *_ORACLES]
    found = []
    for world in (*NULLS, *TRUE):
        kept = results.get(world.name, {}).get("cells", {})
        named = [(key.split(" | "), counts) for key, counts in kept.items()]
        named = [item for item in named if item[0][0] in order and item[0][1] != CRASH]
        named.sort(key=lambda item: (order.index(item[0][0]), _place(item[0][1])))
        found += [Cell(world, *names, counts) for names, counts in named]
    return found


def _place(measure: str) -> int:
    return MEASURES.index(measure) if measure in MEASURES else len(MEASURES)


def failures(found: Sequence[Cell]) -> list[Cell]:
    """Return the cells whose error rate is above 5 %, or whose coverage is below 95 %, beyond chance."""
    # The oracle is not a recipe: in worlds of maps it finds effects that an exchange does not estimate.
    judged = [cell for cell in found if cell.judged and cell.recipe not in _ORACLES]
    return [
        cell
        for cell in judged
        if _too_many(cell, len(judged)) or coverage(cell.counts, len(judged))[2] < 1 - ALPHA
    ]


def _too_many(cell: Cell, n_cells: int) -> bool:
    return limits(cell.counts["errors"], cell.counts["studies"], n_cells)[0] > ALPHA


def pooled(found: Sequence[Cell], name: str) -> list[Cell]:
    """Return one cell per recipe and measure, over the worlds of all cells."""
    sums: dict[tuple[str, str], Counts] = {}
    for cell in found:
        key = (cell.recipe, cell.measure)
        sums[key] = add(sums.get(key, {}), cell.counts)
    return [Cell(World(name, name), *key, counts) for key, counts in sums.items()]


def tables(results: Mapping[str, Any]) -> str:
    """Return the part of the page about worlds and recipes, as Markdown."""
    found = cells(results)
    nulls = [cell for cell in found if not cell.world.effect]
    true = [cell for cell in found if cell.world.effect]
    of_all = pooled([c for c in nulls if c.judged], "all null worlds")
    of_true = pooled([c for c in true if c.judged], "all true worlds")
    judged = [
        cell for cell in (*found, *of_all, *of_true) if cell.judged and cell.recipe not in _ORACLES
    ]
    n = len(judged)
    wrong = failures(judged)
    lines = [
        f"A family is all rows of one table for one measure, or all sentences of a study page; an error is an adjusted "
        f"p-value of at most {ALPHA:g} in a row without an effect, or a found effect of the wrong sign. A recipe that "
        "withholds its p-values, because the sides of the comparison differ in something else, makes no claim. "
        f"Of {n} cells, "
        + (
            f"{len(wrong)} fail: "
            + "; ".join(f"{cell.column} in *{cell.world.name}*" for cell in wrong)
            if wrong
            else "none fails"
        )
        + ". A cell fails if the lower 95% limit of its error rate is above 5%, or the upper limit of its coverage is "
        f"below 95%; limits are exact (Clopper and Pearson 1934) and corrected for {n} cells.",
        *_crashes(results),
        "",
        "## Worlds",
        "",
        "Worlds are drawn over real prompts (`data/prompts`). In worlds of maps, random maps on a grid of 16 x 16 are "
        "measured as recorded maps are. In the others, areas of words and the overlap of pairs are drawn as numbers.",
        "",
        "| World | Overlap depends on | Prompts x images |",
        "|---|---|---:|",
        *(f"| {w.name} | {w.about} | {w.n_prompts} x {w.n_images} |" for w in NULLS),
        "",
        "Each world, except *random trees* and those of studies, has a twin in which relations have an effect, too: a "
        "world's name after *true*.",
        "",
        "## Recipes over all worlds",
        "",
        "Percent of studies with an error in null worlds, with 95% limits; percent of tests that were withheld there; "
        "percent of true effects that are found in true worlds; percent of 95% intervals that include the true "
        "difference, in all worlds. **Bold**: fails. Worlds for whose prompts the documentation does not recommend a "
        "recipe are left out.",
        "",
        "| Recipe | Studies | Errors | Withheld | Found | Coverage |",
        "|---|---:|---:|---:|---:|---:|",
        *_summary_rows(of_all, of_true, n),
        "",
        "## Errors in null worlds",
        "",
        f"Percent of studies with an error, where there are at least {MANY} studies. In parentheses: "
        "percent of tests that were withheld. **Bold**: fails. "
        "*Italics*: not what the documentation recommends for such prompts, and not judged. A dash: nothing to test. "
        "With five prompts no p-value of sign flips can be below 0.0625, so nothing can be found. Elsewhere rates "
        "below 5% have three reasons: tests that are withheld, few prompts (p-values are discrete), and Holm's "
        "correction of tests that depend on each other.",
        *_matrix(_often(nulls), lambda cell: _error_text(cell, n)),
        "",
        "## Errors and power in true worlds",
        "",
        "Percent of studies with an error, then the percent of true effects that are found. The oracle compares each "
        "pair with pairs that are alike in everything except the relation.",
        *_matrix(_often(true), lambda cell: f"{_error_text(cell, n)}, {_power_text(cell)}"),
        "",
        "## Coverage of 95% intervals",
        "",
        "Percent of intervals that include the true difference, where the recipe gives a p-value. **Bold**: fails.",
        "",
        "In true worlds of maps, a dependent copies a part of its head's map, so the dependents of one head resemble "
        "each other, although they are not related, and they are near. Adjusted for what distance does among such "
        "pairs, a relation adds less than its whole effect. The true difference is therefore that of the same exchange "
        "and adjustment of the effects: each pair's value minus that of its twins, which share everything except the "
        "effect, averaged over simulated studies.",
        *_matrix(
            _often([c for c in found if c.counts["intervals"]]),
            lambda cell: _coverage_text(cell, n),
        ),
        "",
        "## Warnings without an imbalance",
        "",
        "Percent of studies in which a recipe withholds a test although its sides differ by chance only.",
        "",
        "| Recipe | Studies | Warned, % |",
        "|---|---:|---:|",
        *_warnings(found),
    ]
    return "\n".join(lines) + "\n"


def _often(found: Sequence[Cell]) -> list[Cell]:
    """Return the cells with at least `MANY` studies."""
    return [cell for cell in found if cell.counts["studies"] >= MANY]


def _crashes(results: Mapping[str, Any]) -> list[str]:
    """Return a paragraph about recipes that raised an exception; nothing if none did."""
    found = [
        f"*{key.split(' | ')[0]}* in *{world}* ({counts['studies']}: {'; '.join(counts['problems'])})"
        for world, kept in results.items()
        for key, counts in kept.get("cells", {}).items()
        if key.endswith(f" | {CRASH}")
    ]
    return (
        ["", f"Studies in which a recipe raised an exception: {'; '.join(found)}."] if found else []
    )


def _summary_rows(of_nulls: Sequence[Cell], of_true: Sequence[Cell], n_cells: int) -> Iterator[str]:
    true = {cell.column: cell for cell in of_true}
    for cell in of_nulls:
        counts, other = cell.counts, true.get(cell.column)
        low, high = limits(counts["errors"], counts["studies"])
        errors = f"{100 * cell.error:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        if not counts["tests"]:
            errors = "-"
        elif _too_many(cell, n_cells):
            errors = f"**{errors}**"
        withheld = 100 * counts["withheld"] / max(counts["rows"], 1)
        both = counts if other is None else add(counts, other.counts)
        covered = Cell(cell.world, cell.recipe, cell.measure, both)
        texts = (
            f"{counts['studies']}",
            errors,
            f"{withheld:.0f}",
            "-" if other is None else _power_text(other),
            _coverage_text(covered, n_cells) if both["intervals"] else "-",
        )
        yield f"| {cell.column} | " + " | ".join(texts) + " |"


def _matrix(found: Sequence[Cell], text: Callable[[Cell], str]) -> Iterator[str]:
    """Yield tables of worlds by recipes, a few columns each."""
    columns = list(dict.fromkeys(cell.column for cell in found))
    by_place = {(cell.world.name, cell.column): cell for cell in found}
    worlds = list(dict.fromkeys(cell.world.name for cell in found))
    for start in range(0, len(columns), _COLUMNS):
        some = columns[start : start + _COLUMNS]
        rows = [w for w in worlds if any((w, column) in by_place for column in some)]
        yield from ("", "| World | " + " | ".join(some) + " |", "|---" + "|---:" * len(some) + "|")
        for world in rows:
            shown = [
                text(by_place[world, column]) if (world, column) in by_place else "-"
                for column in some
            ]
            yield f"| {world} | " + " | ".join(shown) + " |"


def _error_text(cell: Cell, n_cells: int) -> str:
    counts = cell.counts
    text = f"{100 * cell.error:.1f}"
    if not counts["tests"]:
        text = "-"
    elif not cell.judged:
        text = f"*{text}*"
    elif _too_many(cell, n_cells):
        text = f"**{text}**"
    withheld = counts["withheld"] / max(counts["rows"], 1)
    return text + (f" ({100 * withheld:.0f})" if withheld >= 0.005 else "")


def _power_text(cell: Cell) -> str:
    counts = cell.counts
    if not counts["true_rows"]:
        return "-"
    return f"{100 * counts['true_found'] / counts['true_rows']:.0f}"


def _coverage_text(cell: Cell, n_cells: int) -> str:
    rate, _, high = coverage(cell.counts, n_cells)
    text = f"{100 * rate:.1f}"
    return f"**{text}**" if cell.judged and high < 1 - ALPHA else text


def _warnings(found: Sequence[Cell]) -> Iterator[str]:
    balanced: dict[str, Recipe] = {name: r for name, r in every_recipe().items() if r.balanced}
    shown = [cell for cell in found if cell.recipe in balanced]
    for name in dict.fromkeys(cell.column for cell in shown):
        of_name = [cell.counts for cell in shown if cell.column == name]
        yield _warning_row(f"{name}, all worlds", of_name)
    for cell in found:
        if cell.world.permute and cell.recipe.startswith("summarize"):
            yield _warning_row(f"{cell.column}, in *{cell.world.name}*", [cell.counts])


def _warning_row(name: str, counts: Sequence[Counts]) -> str:
    n = int(np.sum([c["studies"] for c in counts]))
    rate = np.sum([c["studies_warned"] for c in counts]) / max(n, 1)
    return f"| {name} | {n} | {100 * rate:.1f} |"
