"""Write ``docs/benchmarks.md`` from the results of the benchmarks: ``python benchmarks/report.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent


def interval(value: dict[str, Any], scale: float = 1.0) -> str:
    """Format a mean with its interval."""
    return f"{scale * value['mean']:.2f} [{scale * value['low']:.2f}, {scale * value['high']:.2f}]"


def attribution() -> str:
    """Tabulate how well maps lie on things."""
    results = json.loads((ROOT / "results" / "attribution.json").read_text(encoding="utf-8"))
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


def tracing() -> str:
    """Tabulate what tracing costs."""
    results = json.loads((ROOT / "results" / "tracing.json").read_text(encoding="utf-8"))
    lines = [
        f"{results['shape']}; {results['steps']} steps, {results['threads']} threads; untraced "
        f"{results['untraced seconds (median)']:.1f} s.",
        "",
        "| | time ratio, median [least, most] | extra peak memory |",
        "|---|---|---|",
    ]
    for way in ("traced", "daam"):
        if isinstance(ratio := results.get(f"{way} / untraced"), dict):
            memory = results[f"{way}: extra peak memory, MB"]
            name = "daam 0.2.0" if way == "daam" else way
            cell = f"{ratio['median']:.3f} [{ratio['min']:.3f}, {ratio['max']:.3f}]"
            lines.append(f"| {name} / untraced | {cell} | {memory:.0f} MB |")
    lines += [
        "",
        f"Memory beside {results['untraced: peak memory, MB']:.0f} MB untraced: one measurement each, in a process of its "
        "own and a run of its own. A negative figure is scatter: no difference of this size can be told from none.",
    ]
    if "daam" in results:
        lines += ["", f"The released `daam` 0.2.0 {results['daam']}."]
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    page = f"""# Benchmarks

Made by `python benchmarks/report.py` from the results in `benchmarks/results/`.

## Do the maps lie on the things they name?

`python benchmarks/attribution.py`, on the embedded model. Fresh scenes have exact masks; of pictures that the model drew, the
annotator says where things are. IoU of thresholded maps with masks; the scene is the sample, intervals are 95 %
(bootstrap over scenes). "Whole image" is what a map that covers everything would get, "mask on the grid" what the exact mask itself
reaches once it is averaged down to the grid of the attention and upscaled as maps are. "Stronger on its own object" is a share: how often a word's map is stronger
there, on average, than on every other object.

{attribution()}

## What does tracing cost?

`python benchmarks/tracing.py --daam FOLDER`, side by side in one run; random weights, since cost does not depend on them.

{tracing()}

## How good is the embedded model?

`python benchmarks/emoji_model.py`: see [its card](../data/emoji-model/README.md). Sixty-four prompts that it drew:

![Contact sheet](../benchmarks/results/contact_sheet.png)
"""
    (ROOT.parent / "docs" / "benchmarks.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
