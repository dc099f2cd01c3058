"""Write ``docs/benchmarks.md`` from the results of the benchmarks: ``python benchmarks/report.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent
PAGE = ROOT.parent / "docs" / "benchmarks.md"


def interval(value: dict[str, Any], scale: float = 1.0) -> str:
    """Format a mean with its interval."""
    return f"{scale * value['mean']:.2f} [{scale * value['low']:.2f}, {scale * value['high']:.2f}]"


def load(name: str) -> Any:
    """Read a benchmark's results."""
    return json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))


def attribution() -> str:
    """Tabulate how well maps lie on things."""
    results = load("attribution")
    columns = (
        "exact masks, nouns",
        "exact masks, colour words",
        "drawn pictures, annotator's masks",
    )
    rows = list(results[columns[0]])
    lines = [
        "| | " + " | ".join(columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for row in rows:
        cells = [interval(results[c][row]) if row in results[c] else "" for c in columns]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    counts = [
        f"{c}: {results[c]['whole image']['n_objects']} in "
        f"{results[c]['whole image']['n_scenes']} scenes"
        for c in columns
    ]
    chosen = results["chosen on other scenes"]
    drawn = results[columns[2]]
    return "\n".join(
        [
            *lines,
            "",
            f"Numbers of words: {'; '.join(counts)}. Of {drawn['nouns in the prompts']} nouns that were asked for in "
            f"drawn pictures, the annotator finds {drawn['nouns that the annotator finds']}; only these are scored.",
            "",
            f"Layers and threshold chosen on other scenes: {chosen['layers']}, relative:{chosen['tau']}; noun mIoU with "
            f"them {interval(chosen['miou'])}.",
        ]
    )


def refined() -> str:
    """Tabulate what refined maps gain."""
    results = load("refined")
    kinds = {
        "plain": "plain",
        "finest grid": "finest grid",
        "weighted": "weighted layers and heads",
        "refined": "finest grid, refined",
    }
    compared = (
        "weighted - plain",
        "weighted - finest grid",
        "refined - plain",
        "refined - finest grid",
    )
    chosen = results["each as chosen on other scenes"]
    same = results["at the same rule"]
    lines = [
        "| | " + " | ".join([*kinds.values(), *compared]) + " |",
        "|---|" + "---|" * (len(kinds) + len(compared)),
    ]
    rows = {"each at its best of other scenes": chosen, **same}
    for name, row in rows.items():
        means = [interval(row[kind].get("miou", row[kind])) for kind in kinds]
        gains = [interval(row[difference]) for difference in compared]
        lines.append(f"| {name} | " + " | ".join([*means, *gains]) + " |")
    best = "; ".join(
        f"{name}: {chosen[kind]['timesteps']}, relative:{chosen[kind]['tau']}"
        for kind, name in kinds.items()
    )
    return "\n".join([*lines, "", f"Best on other scenes: {best}."])


def cell(value: dict[str, Any]) -> str:
    """Format a ratio with its interval."""
    return f"{value['ratio']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def costs(rows: dict[str, dict[str, Any]], memory: dict[str, dict[str, float]]) -> str:
    """Tabulate time ratios and extra peaks of memory."""
    named = (
        way for row in rows.values() for way in (*row["time ratios"], *row.get("could not run", {}))
    )
    ways = sorted(dict.fromkeys(named), key=lambda way: not way.startswith("traced"))
    lines = ["| | untraced | " + " | ".join(ways) + " |", "|---|---|" + "---|" * len(ways)]
    for name, row in rows.items():
        given = row["time ratios"]
        failed = row.get("could not run", {})
        cells = [
            cell(given[way]) if way in given else "could not run" if way in failed else ""
            for way in ways
        ]
        lines.append(f"| {name} | {row['untraced, seconds']:.2f} s | " + " | ".join(cells) + " |")
        if peaks := memory.get(name):
            cells = [f"{peaks[way]:+.0f} MB" if way in peaks else "" for way in ways]
            lines.append("| - extra peak memory | | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def said_of(results: dict[str, Any]) -> str:
    """Say how a run was made."""
    return (
        f"{results['threads']} of {results['processors']} processors, load before it "
        f"{results['load before (1 minute)']}"
    )


def tracing() -> str:
    """Tabulate what tracing costs."""
    cross, joint = load("tracing"), load("joint_tracing")
    unet, model = cross["unet"], joint["model"]
    rows = {
        unet["shape"]: unet,
        **{name: row for name, row in cross["blocks"].items() if name.startswith("SDXL")},
        **{name: row for name, row in joint["blocks"].items() if name.startswith("Flux")},
        model["shape"]: model,
    }
    peaks = cross["memory"]["extra peak memory, MB"] | joint["memory"]["extra peak memory, MB"]
    share = unet["share of the traced time that is spent on attention"]
    parts = {"UNet": unet, "SDXL": cross["blocks"], "Flux": joint["blocks"], "SD3": model}
    return "\n".join(
        [
            costs(rows, peaks),
            "",
            f"The trace of the first row spends {100 * share:.1f} % of its processor time on attention. That was timed by "
            "itself and hardly scatters: by what the ratio differs from it, the machine was at work.",
            "",
            "Runs: " + "; ".join(f"{name}: {said_of(part)}" for name, part in parts.items()) + ".",
        ]
    )


def batches() -> str:
    """Tabulate what batches gain."""
    parts = []
    for run in load("batches"):
        sizes = list(run["traced"])
        lines = [
            f"{run['images']} prompts, {run['steps']} steps, {said_of(run)}:",
            "",
            "| | " + " | ".join(sizes) + " |",
            "|---|" + "---|" * len(sizes),
        ]
        for name in ("untraced", "traced"):
            rows = [run[name][size] for size in sizes]
            lines.append(
                f"| {name}, per image | "
                + " | ".join(f"{row['ms per image']:.0f} ms" for row in rows)
                + " |"
            )
            gains = [cell(row["times faster than one by one"]) for row in rows[1:]]
            lines.append("| - times faster than one by one | | " + " | ".join(gains) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def page() -> str:
    """Return the page."""
    return f"""# Benchmarks

Made by `python benchmarks/report.py` from the results in `benchmarks/results/`.

## Do the maps lie on the things they name?

`python benchmarks/attribution.py`, on the embedded model. Fresh scenes have exact masks; of pictures that the model drew, the
annotator says where things are. IoU of thresholded maps with masks; the scene is the sample, intervals are 95 %
(bootstrap over scenes). "Whole image" is what a map that covers everything would get, "mask on the grid" what the exact mask itself
reaches once it is averaged down to the grid of the attention and upscaled as maps are. "Stronger on its own object" is a share: how often a word's map is stronger
there, on average, than on every other object.

{attribution()}

## Are weighted or refined maps better?

`python benchmarks/refined.py`: mIoU of nouns on fresh scenes with exact masks. Beside plain maps, those of the finest grid alone; those in which
layers and heads count as was learned on other scenes (`maps.weighted(MapWeights.load())`); and those carried along
self-attention (`trace(refine=True)`). Differences are of the same scenes, with 95 % intervals over scenes.

{refined()}

## What does tracing cost?

`python benchmarks/tracing.py --daam FOLDER --maps CHECKOUT` and `python benchmarks/joint_tracing.py --maps CHECKOUT`, all ways in turn
in one run; random weights, since cost does not depend on them. Ratios of processor time to the untraced time: median over the rounds
[95 % bootstrap interval]. Peaks of resident memory are each measured in a process of its own, in which freed blocks are given back at
once, against the untraced peak of the same process. Only the rows of the prompt are recomputed, not those of the guidance.
The others are the released `daam` 0.2.0 and the processors of attention-map-diffusers (`benchmarks/peers.py` says which); these put
a softmax of their own in the place of the model's attention, so that pictures are not the same to the bit.

{tracing()}

## What do batches gain?

`python benchmarks/batches.py --threads 1 2`, the embedded model with guidance: many small products keep a processor almost as busy
as few large ones, so that a batch gains what the untraced model gains by it, and little more.

{batches()}

## How good is the embedded model?

`python benchmarks/emoji_model.py`: see [its card](../data/emoji-model/README.md). Sixty-four prompts that it drew:

![Contact sheet](../benchmarks/results/contact_sheet.png)
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
