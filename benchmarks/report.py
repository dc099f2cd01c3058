"""Write ``docs/benchmarks.md`` from the results in ``benchmarks/results/``: ``python -m benchmarks.report``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import corpus_tables, device_tables, first_command
from benchmarks.attribution import tables as attribution
from benchmarks.corpus_tables import spread
from benchmarks.survival.page import table as survival_table

ROOT = Path(__file__).parent
PAGE = ROOT.parent / "docs" / "benchmarks.md"


def interval(value: dict[str, Any], scale: float = 1.0) -> str:
    """Format a mean with its interval."""
    return f"{scale * value['mean']:.2f} [{scale * value['low']:.2f}, {scale * value['high']:.2f}]"


def load(name: str) -> Any:
    """Read a benchmark's results."""
    return json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))


def cell(value: dict[str, Any]) -> str:
    """Format a ratio with its interval."""
    return f"{value['ratio']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def costs(rows: dict[str, dict[str, Any]], memory: dict[str, dict[str, float]]) -> str:
    """Tabulate time ratios and extra peak memory."""
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


def conditions(results: dict[str, Any]) -> str:
    """Describe the conditions of a run."""
    return (
        f"{results['threads']} of {results['processors']} processors, load before it "
        f"{results['load before (1 minute)']}"
    )


def tracing() -> str:
    """Tabulate the cost of tracing."""
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
            f"The trace of the first row spends {100 * share:.1f}% of its processor time on attention. That was timed "
            "separately and hardly varies; the rest of the ratio's distance from 1 is noise of the machine.",
            "",
            "Runs: "
            + "; ".join(f"{name}: {conditions(part)}" for name, part in parts.items())
            + ".",
        ]
    )


def relations() -> str:
    """Tabulate the exactness and the cost of all relations of attention, as far as they were measured."""
    results = load("relations")
    time, memory = results.get("time"), results.get("memory")
    columns = ["", "recorded by", "blocks", "largest relative error", "image"]
    columns += ["text-text, time", "all relations, time"] if time else []
    columns += ["all relations, extra peak"] if memory else []
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for model, errors in results["exactness"].items():
        for way, found in errors.items():
            worst = max(value for name, value in found.items() if "-" in name)
            cells = [
                model,
                "this package" if way == "traced" else way,
                f"{found['blocks']} of {errors['traced']['blocks']}",
                f"{worst:.0e}",
                "identical" if found["same latents"] else "different",
            ]
            if time:
                own = time[model]["time ratios"]
                cells += [cell(own[f"{way}, {what}"]) for what in ("text-text", "all relations")]
            if memory:
                peaks = memory["extra peak memory, MB"][model][f"{way}, all relations"]
                cells.append(
                    "; ".join(f"{size:+.0f} MB (steps: {steps})" for steps, size in peaks.items())
                )
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, *(["", f"Run: {conditions(time)}."] if time else [])])


def batches() -> str:
    """Tabulate the speedup from batches."""
    parts = []
    for run in load("batches"):
        sizes = list(run["traced"])
        lines = [
            f"{run['images']} prompts, {run['steps']} steps, {conditions(run)}:",
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


def measures() -> str:
    """Tabulate the speed of measuring pairs."""
    results = load("measures")
    lines = ["| | released loop | ours | times faster |", "|---|---|---|---|"]
    for name, row in results.items():
        if isinstance(row, dict):
            times = [f"{row[side]:.2f} ms" for side in ("released, ms", "ours, ms")]
            lines.append(f"| {name} | {' | '.join(times)} | {spread(row['ratio'])} |")
    return "\n".join(
        [
            *lines,
            "",
            f"Processor time per image, {results['images']} images of {results['words']} words (the loop on "
            f"{results['images of the released loop']} of them, since every image costs it the same); median of "
            f"{results['rounds']} rounds [least, most].",
        ]
    )


def percent(value: float) -> str:
    """Format a share without a percent sign."""
    return f"{100 * value:.1f}"


def parsing() -> str:
    """Tabulate how well treebanks and captions are parsed."""
    treebanks, captions = load("parsing_treebanks"), load("parsing")
    lines = [
        "| | words | UAS | LAS | CLAS | LAS with punctuation | ELAS | ELAS of gold trees | recall of `flat` |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in treebanks.items():
        plain, elas = row["without punctuation"], row["elas"]
        shares = [
            *(plain[score] for score in ("uas", "las", "clas")),
            row["with punctuation"]["las"],
            elas["parsed"],
            elas["gold trees"],
            row["relations"]["flat"]["recall"],
        ]
        cells = " | ".join(map(percent, shares))
        lines.append(f"| `{name}` | {plain['words']:,} | {cells} |")
    found = captions["attachment"]
    lines.append(
        f"| captions of the embedded world | {found['n_words']:,} | {percent(found['uas'])} | {percent(found['las'])} "
        "| | | | | |"
    )
    frequent = [
        "| treebank | gold | parsed | head | words |",
        "|---|---|---|---|---|",
        *(
            f"| `{name}` | {c['gold']} | {c['parsed']} | {'right' if c['same head'] else 'wrong'} | {c['n']} |"
            for name, row in treebanks.items()
            for c in row["confusions"][:6]
        ),
    ]
    return "\n".join([*lines, "", "The most frequent confusions:", "", *frequent])


def page() -> str:
    """Return the page as Markdown."""
    return f"""# Benchmarks

Made by `python -m benchmarks.report` from the results in `benchmarks/results/`.

## Which map of a word should one trust?

`python -m benchmarks.attribution` maps the nouns of fresh scenes of the embedded world, whose exact masks are known, with several methods. Only
learned weights saw masks before, those of other scenes, so they stand apart. The scene is the sample: words are averaged within a scene,
and intervals are 95% (bootstrap over scenes; for hits and misses, Wilson intervals with the scenes as trials; for differences, which are
paired by scene, t intervals).

{attribution.descriptions()}

Against masks: the mean IoU over all relative thresholds; the IoU at the relative threshold that is best on the other half of the scenes; average
precision; whether the strongest pixel is on the object (pointing game); and whether the map is stronger on its own object, on average, than
on every other one. "Reads" are denoiser calls per timestep for an image with two words, where a backward pass counts as two.

Against a counterfactual: the same caption is read again on the scene rendered without one of its objects, which is the same elsewhere, pixel by
pixel, and with an object of another category in its place. A map that says where the object is must lose its mass there. Mass is the share
of the map's sum on the object's pixels (or, with another object, on those that both cover); "value kept" is the mean of the map there,
on its own scale, divided by what it was.

{attribution.page()}

A winner beats every other method that learned from no mask: all intervals of its differences, adjusted for their number (Bonferroni), exclude 0.

What these numbers are not: one small UNet with cross-attention was read, and the rule of relevant heads was chosen among six on 24 other scenes
with their masks, although its votes use none. For other models and images, `python -m benchmarks.attribution --folder
FOLDER --model MODEL` makes the tables of masks from a folder with `captions.csv` (`image`, `caption`) and masks of words, which are
`masks/NAME/WORD.png` for the image `NAME.jpg`, or are listed in `masks.csv` (`image`, `word`, `mask`). Several masks of a word are united;
`red#2` is the second "red". Learned weights then come from the other half of the images. `--fit crop` or `--fit resize` fits photos and their
masks to the size that the model reads.

## How well are prompts parsed?

`python -m benchmarks.parsing --treebank FILE.conllu` scores the default parser with the conversion to Universal Dependencies on the
words of a treebank: the test parts of EWT and GUM (May 2025, release 2.16) and PUD (May 2026). Treebanks are not included. The
rules were developed on the dev parts of EWT and GUM. UAS, LAS, and CLAS compare universal relations (in percent, without punctuation
unless the column says otherwise), ELAS the edges of enhanced graphs with their full labels. "ELAS of gold trees" is the enhanced graph
made from the treebank's own tree, so it measures the enhancement alone. GUM rarely marks the role of the antecedent in a relative clause
without a pronoun ("the thing we like"), which lowers the score there. Captions (`python -m benchmarks.parsing`) are compared with the trees
that they were written from. There, most errors are phrases whose attachment is ambiguous ("a picture of a cat on a bed").

{parsing()}

## What does tracing cost?

`python -m benchmarks.tracing --peers FOLDER` and `python -m benchmarks.joint_tracing --peers FOLDER` run all alternatives in turn, in
one process, with random weights, since the cost does not depend on the weights. Times are ratios of processor time to the untraced time: the
median over the rounds [95% bootstrap interval]. Peaks of resident memory are measured against the untraced peak, each in its own
process, in which freed blocks are returned at once. Only the rows of the prompt are recorded, not those of guidance.
The alternatives are two released packages. daam 0.2.0 replaces the model's attention by a softmax of its own, so its images are not
bit-identical. attention-map-diffusers 1.0.0 records whole models only, so it has no column for single blocks.

{tracing()}

### All relations of joint attention

`python -m benchmarks.relations --peers FOLDER`: text to text, text to image, image to image, and image to text of one image of 512 x 512
pixels, in one step, recorded by both packages in one process in turn, results included. A trace adds up what words need (attention between
words and special tokens, maps of words, attention between 16 x 16 cells), while attention-map-diffusers keeps queries and keys of every step
and layer, and returns whole matrices. A trace also records image to text when it is asked for text to text alone. Times are ratios of
processor time to the untraced call, the median over the rounds [95% bootstrap interval]. Errors are relative to a softmax in 64 bits of the
queries and keys of the same calls. In Flux, attention-map-diffusers 1.0.0 recorded the double-stream blocks
alone, half of the blocks here, and is compared and timed on those.

{relations()}

## Is a trace exact on a GPU?

`python -m tools.device_checks` on one NVIDIA H200 with torch 2.11.0 (CUDA 13.0) and diffusers 0.42.1: tiny random pipelines of all
families, each with a non-square image, with guidance, in three steps. "Largest error" is the largest difference of a recorded
mean probability from a softmax in float64; "waits" counts how often the package makes the host wait for the device in one pipeline
call. Tiny models take almost no time, so the ratio of times mostly shows the cost of launching the kernels of the trace; the last
row is a model of real size. `daam-syntax check-gpu` runs the same checks on your device and model.

{device_tables.devices(load("devices"))}

`python -m tools.device_checks --parts relations` on one NVIDIA H100, with the same versions: the largest difference between the device and the
CPU, in relations of attention, in the text encoders, in maps of a text outside the prompt ("concept"), and in output maps. Cells are empty where
a family does not have one.

{device_tables.device_relations(load("devices"))}

## What do batches gain?

`python -m benchmarks.batches --threads 1 2`, the embedded model with guidance. Many small matrix products keep a processor almost as busy
as few large ones, so a batch gains as much as it does for the untraced model, and little more.

{batches()}

## How fast are pairs measured?

`OMP_NUM_THREADS=1 python -m benchmarks.measures --daam FOLDER`: IoU, IoD and IoH at one absolute threshold. The released loop uses the
functions of `daam` 0.2.0 as intended: for each pair of words two masks, by `WordHeatMap.expand_as` with a threshold (on the grid: a plain
comparison, as in its notebook), then one `compute_iou` and two `compute_ioa`. It recomputes a word's mask for each pair, which takes most
of its time. Both start from word maps on a 64 x 64 grid and return the same numbers; the loop does not look up words or make a table. We
upscale each word once, however many pairs it has, so the ratio falls with fewer pairs per word.

{measures()}

## What does the first command take?

`python -m benchmarks.first_command`: processor time of new processes with one thread (median of the rounds [least, most], all rows in turn). The
first command of the README generates two images of 128 x 128 pixels in 20 steps each, measures them, and draws the figures and pages. About half
of its time goes to importing what any Stable Diffusion pipeline needs. Its garbage collector runs after 50,000 new objects instead of 700, and
not at the exit, since what the libraries import lives until then; notebooks and scripts keep Python's settings.

{first_command.table(load("first_command"))}

## What does a corpus take?

`python -m benchmarks.corpus`, the embedded model, 128 x 128 pixels, maps of 16 x 16. Memory, bytes, and pairs are measured on images generated
in one step without guidance, whose sizes are those of any image; batches use 4 steps with guidance. Each process uses one thread. The row of
workers is of an earlier model of 64 x 64 pixels; its ratio is what counts. Summaries exchange partners.
The start of a run (`benchmarks.corpus_start`) is timed for the
command `daam-syntax run` with two seeds. It includes loading the model, reading all prompts, and parsing those of the first shard; a resumed
run also verifies its finished files. The peak is that of the command until it has finished two more shards.

{corpus_tables.table(load("corpus"))}

A resumed run reads all its finished shards and verifies their checksums: file sizes and modification times alone would not show a
corrupted byte. At this rate a run of 100 GB takes about a minute.

## What does the folder of a run survive?

`python -m benchmarks.survival` gives a command (two prompts, two seeds, the embedded model), lets a fault happen, and gives the same command
again. "Identical" counts the trials in which the second command succeeds and every table, heat map, image, and page is that of a command that
nothing happened to. "One line, no traceback" is about the command that the fault met, or a reader of the damaged folder: it ended without a
traceback, and if it failed, it said why in one line. Random moments are uniform over the time that the command takes.

{survival_table(load("survival"))}

## How good is the embedded model?

`python -m benchmarks.emoji_model`: see [its card](embedded-model.md). Images of sixty-four prompts:

![Contact sheet](../benchmarks/results/contact_sheet.png)
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
