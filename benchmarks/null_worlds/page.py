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
from benchmarks.null_worlds.studies import World
from benchmarks.null_worlds.study_pages import SENTENCES
from benchmarks.null_worlds.worlds import NULLS, TRUE

PAGE: Final = Path(__file__).parents[2] / "docs" / "calibration.md"

MANY: Final = 50
"""Fewer studies of a world are shown only together with those of the other worlds."""

_OFTEN: Final = 200  # studies of a world, or intervals, among which the weakest world is looked for
_DEFAULTS: Final = (
    "summarize, IoU",
    "summarize, phi",
    "summarize, by kind, IoU",
    "summarize, by kind, phi",
)

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
        "# Calibration",
        "",
        "How often does each recipe of [From a pair table to a claim](inference.md) find something that is not "
        "there, and how often does it miss something that is? We applied every recipe to simulated studies whose "
        "true effects are known:",
        "",
        "- In **null worlds**, the overlap of two words depends on such things as their areas, their places in the "
        "sentence, their distance, or the image, but not on whether they are related. Every finding is a false "
        "positive.",
        "- In **true worlds**, related words overlap more, by a known amount. A good recipe finds it.",
        "",
        "`python -m benchmarks.null_worlds` makes this page.",
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
    pages = [cell for cell in found if cell.measure == SENTENCES]
    nulls = [cell for cell in found if not cell.world.effect and cell.measure != SENTENCES]
    true = [cell for cell in found if cell.world.effect]
    of_all = pooled([c for c in nulls if c.judged], "all null worlds")
    of_true = pooled([c for c in true if c.judged], "all true worlds")
    judged = [
        cell
        for cell in (*found, *of_all, *of_true, *_of_pages(pages))
        if cell.judged and cell.recipe not in _ORACLES
    ]
    n = len(judged)
    wrong = failures(judged)
    lines = [
        *_in_short(of_all, of_true, _weakest(judged)),
        "## How to read the tables",
        "",
        "- **Study**: one simulated data set, with the prompts, words, and dependencies of real prompts.",
        "- **Family**: all rows of one table for one measure, or all sentences on a study's page. P-values are "
        "adjusted within a family, so a study counts as one error however many of its rows are wrong.",
        f"- **Error**: an adjusted p-value of at most {ALPHA:g} for a row without an effect, or a finding with the "
        "wrong sign.",
        "- **Withheld**: the recipe gave no p-value, because the sides of the comparison differ in something else, "
        "and therefore makes no claim.",
        "- **Coverage**: the percentage of 95% intervals that contain the true difference.",
        "- **Fails**: the lower 95% limit of the error rate is above 5%, or the upper limit of the coverage is below "
        f"95%. Limits are exact (Clopper and Pearson 1934) and corrected for the {n} cells of these tables.",
        "- **Oracle**: not a recipe. It compares each pair with simulated twins that are alike in everything except "
        "the relation, and shows what the best possible control would find.",
        "",
        f"Of {n} cells, "
        + (
            f"{len(wrong)} fail: "
            + "; ".join(f"{cell.column} in *{cell.world.name}*" for cell in wrong)
            if wrong
            else "none fails"
        )
        + ".",
        *_crashes(results),
        "",
        "## Worlds",
        "",
        "All worlds use the shipped prompts (`data/prompts`) and their parses. Worlds with *maps* in the name draw "
        "random maps on a grid of 16 x 16, which are then measured like recorded maps. The others draw the areas of "
        "words and the overlap of pairs as numbers.",
        "",
        "| World | Overlap depends on | Prompts x images |",
        "|---|---|---:|",
        *(f"| {w.name} | {w.about} | {w.n_prompts} x {w.n_images} |" for w in NULLS if not w.study),
        "",
        "Each world, except *random trees*, also exists with an effect of relations; its name then begins with "
        "*true*.",
        "",
        "## Recipes over all worlds",
        "",
        "Errors: percentage of studies of null worlds with an error, with 95% limits. Withheld: percentage of tests "
        "there. Found: percentage of the true effects that the recipe finds in true worlds. Coverage: in all worlds. "
        "**Bold**: fails. Worlds with too few or too similar prompts for a recipe, by the documentation, are left "
        "out of its row.",
        "",
        "| Recipe | Studies | Errors | Withheld | Found | Coverage |",
        "|---|---:|---:|---:|---:|---:|",
        *_summary_rows(of_all, of_true, n),
        "",
        "## Errors in null worlds",
        "",
        f"Percentage of studies with an error, for worlds with at least {MANY} studies of a recipe. In parentheses: "
        "the percentage of tests that were withheld. **Bold**: fails. *Italics*: the documentation advises against "
        "the recipe for such prompts, so it is not judged. A dash: too few studies, or nothing to test. With five "
        "prompts, no p-value of sign flips can be below 0.0625, so nothing can be found. Elsewhere, rates below 5% "
        "have three causes: withheld tests, few prompts (p-values are discrete), and Holm's correction of tests that "
        "depend on each other.",
        *_matrix(_often(nulls), lambda cell: _error_text(cell, n)),
        "",
        "## Errors and power in true worlds",
        "",
        "Percentage of studies with an error, then percentage of the true effects that were found. In some worlds of "
        "maps, the oracle finds differences that the exchange of partners does not estimate; these count as its "
        "errors.",
        *_matrix(_often(true), lambda cell: f"{_error_text(cell, n)}, {_power_text(cell)}"),
        "",
        "## Coverage of 95% intervals",
        "",
        "Percentage of 95% intervals that contain the true difference, among rows with a p-value. **Bold**: fails.",
        "",
        "In true worlds of maps, a dependent copies part of its head's map. The dependents of one head then resemble "
        "each other without being related, and they stand close together, so the adjustment for distance removes "
        "part of the effect. The true difference therefore comes from the same exchange and the same adjustment, "
        "applied to the effects alone: each pair's value minus that of its twins, which share everything except the "
        "effect, averaged over simulated studies.",
        *_matrix(
            _often([c for c in found if c.counts["intervals"]]),
            lambda cell: _coverage_text(cell, n),
        ),
        "",
        "## Warnings without an imbalance",
        "",
        "Percentage of studies in which a recipe withholds a test although its sides differ only by chance.",
        "",
        "| Recipe | Studies | Warned, % |",
        "|---|---:|---:|",
        *_warnings(found),
        "",
        "## Pages of studies",
        "",
        "Percentage of simulated pages without a true difference that claim one, with 95% limits. All sentences of a "
        "page are one family. Pages about maps are made from the pair tables or the maps of a world. Pages about "
        "images are made from tables in which prompts, images, and classes of words have effects of their own, "
        "values are skewed or bounded, and some are missing, but what the page compares differs only by chance. The "
        "page of *modes* reports no difference.",
        "",
        "| Page | World | Its values depend on | Prompts x images | Studies | Errors |",
        "|---|---|---|---:|---:|---:|",
        *_page_rows(pages, n),
    ]
    return "\n".join(lines) + "\n"


def _of_pages(found: Sequence[Cell]) -> list[Cell]:
    """Return one cell per page that was made in several worlds without a name of its own."""
    return pooled([cell for cell in found if not cell.world.study], "all null worlds")


def _page_rows(found: Sequence[Cell], n_cells: int) -> Iterator[str]:
    """Yield a row per page and world of its own, and one for the other worlds together."""
    own = [cell for cell in found if cell.world.study]
    for cell in (*_of_pages(found), *own):
        world, counts = cell.world, cell.counts
        low, high = limits(counts["errors"], counts["studies"])
        errors = f"{100 * cell.error:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        size = f"{world.n_prompts} x {world.n_images}" if world.study else "see above"
        yield (
            f"| {cell.recipe.removeprefix('page of the study ')} | {world.name} | "
            f"{world.about if world.study else 'see above'} | {size} | {counts['studies']} | "
            f"{f'**{errors}**' if _too_many(cell, n_cells) else errors} |"
        )


def _weakest(found: Sequence[Cell]) -> list[str]:
    """Say in which worlds the default comparison has most errors, and least coverage."""
    often = [
        cell
        for cell in found
        if cell.column in _DEFAULTS and not cell.world.name.startswith("all ")
        if cell.counts["studies"] >= _OFTEN
    ]
    tested = [cell for cell in often if not cell.world.effect]
    covered = [cell for cell in often if cell.counts["intervals"] >= _OFTEN]
    if not tested or not covered:
        return []
    worst = max(tested, key=lambda cell: cell.error)
    least = min(covered, key=lambda cell: coverage(cell.counts)[0])
    low, high = limits(worst.counts["errors"], worst.counts["studies"])
    share, *ends = (100 * value for value in coverage(least.counts))
    return [
        f"- Its weakest worlds: most false positives in *{worst.world.name}* ({worst.column}: {100 * worst.error:.1f}% "
        f"[{100 * low:.1f}, {100 * high:.1f}]), and the lowest coverage in *{least.world.name}* ({least.column}: "
        f"{share:.1f}% [{ends[0]:.1f}, {ends[1]:.1f}]). Both are the most extreme of many, which exaggerates."
    ]


def _in_short(
    of_nulls: Sequence[Cell], of_true: Sequence[Cell], weakest: Sequence[str]
) -> list[str]:
    """Return the results of the default comparison as a list; nothing without results of it."""
    null = {cell.column: cell for cell in of_nulls}
    true = {cell.column: cell for cell in of_true}
    lines = []
    for recipe, oracle, named in (
        ("summarize, IoU", "oracle, IoU", 'By relation, `summarize(control="exchanged")`'),
        ("summarize, by kind, IoU", "oracle, by kind, IoU", "With all relations pooled, it"),
    ):
        if recipe not in null or recipe not in true or oracle not in true:
            continue
        counts = null[recipe].counts
        low, high = limits(counts["errors"], counts["studies"])
        covered = coverage(add(counts, true[recipe].counts), 1)[0]
        lines.append(
            f"- {named} has a false positive in {100 * null[recipe].error:.1f}% [{100 * low:.1f}, {100 * high:.1f}] "
            f"of {counts['studies']:,} studies without an effect (at most 5% is allowed). Its intervals contain the "
            f"true difference in {100 * covered:.1f}% of cases. It finds {_power_text(true[recipe])}% of the true "
            f"effects, where the oracle finds {_power_text(true[oracle])}%."
        )
    return ["## In short", "", *lines, *weakest, ""] if lines else []


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
    elif cell.recipe not in _ORACLES and _too_many(cell, n_cells):
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
