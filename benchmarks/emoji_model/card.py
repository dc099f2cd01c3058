"""The model card, ``data/emoji-model/README.md``, from the measured results."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np

from benchmarks.emoji_model.intervals import corrected
from benchmarks.emoji_model.prompts import KINDS
from benchmarks.emoji_model.results import READING, RESULTS
from daam_syntax.emoji.scenes import IMAGE_SIZE
from daam_syntax.util.data_files import data_path

CARD: Final = data_path("emoji-model") / "README.md"
"""The file of the card."""

NOT_MEASURED: Final = (
    "Not measured yet for these weights: `python -m benchmarks.emoji_model` does it."
)

TRAINING: Final = """The stages of `python -m daam_syntax.emoji.training` (`dataset`, `autoencoder`, `latents`, `annotator`, `denoiser`, `ship`), on 260,000
scenes of the seeds from 1,000,000 on. On one NVIDIA H200 with 16 processors, everything but the autoencoder's first steps took 490 seconds,
composing the scenes included (14 processes beside the training):

| Stage | steps | scenes in a step | seconds | starts from |
|---|---|---|---|---|
| autoencoder, on one CPU thread | 9,000 | 12 crops of 64 x 64 pixels or 3 whole scenes | 9,960 | the autoencoder of 64 x 64 pixels of earlier versions, whose six channels are kept; ten are new |
| autoencoder | 3,214 | 64 | 85 | those weights; the first 73,500 scenes |
| latents | | | 30 | |
| annotator | 3,750 | 64 | 35 | random weights |
| text encoder and UNet | 10,000 | 256 | 310 | those of the model of 64 x 64 pixels (14,600 steps of 32), with new channels at zero |

| text encoder and UNet, further, on one NVIDIA H100 | 15,712 | 256 | 503 | those weights; 250,000 new scenes (seeds from 3,000,000 on), composed meanwhile |

The learning rate falls along a cosine to 2 % of its peak (1e-3 for the UNet, 5e-4 when it was trained further). In the new scenes, kinds that the model drew badly are more frequent:
three objects, "and", "next to", "on", sizes, categories, and bicycles (the weights are in `daam_syntax/emoji/training/__init__.py`). Right of 200 images each before and after this, with seeds that the table above does not use
(the same for both): three objects 112 and 149, size 177 and 192, category noun 191 and 197, "next to" 190 and 196, "and" 195 and 196, "on" 193 and 193,
two colored objects 199 and 196; all others differ by at most 3. **What cannot be repeated exactly**: the autoencoder's first 9,000 steps were made with an earlier state
of its stage (`curves/autoencoder-on-cpu.csv`): the learning rate had reached its end after 3,500 steps (29.6 dB), rose again, and fell until the
last one (31.2 dB). The stage as it is now starts from the model of 64 x 64 pixels (in the history of the repository); whether that alone reaches the same
PSNR in the same minutes was not tried. The optimizer's state was not kept, so more training starts anew from these weights.

Tried, and given up:

- The latents of the model of 64 x 64 pixels, with a decoder that has one more level: 28.6 dB at 128 x 128 pixels. Its encoder had lost stripes,
  eyes, and spokes, so drawn objects got sharper outlines and nothing else.
- An autoencoder of twelve channels from random weights: 24.0 dB after 1,776 steps of 8, and slow.
- New outer levels and old inner levels, all trained at once with a learning rate of 1.5e-3: colors stayed wrong, because the inner levels were
  spoiled before the outer ones fitted them (23.4 dB after 500 steps). The outer levels are fitted alone first now.
- The denoiser on one CPU thread without instructions for bfloat16: 4.5 seconds for a step of 32, so days.
- The denoiser of 10,000 steps trained further on one CPU thread with such instructions: 1,585 steps of 32 in 92 minutes, with weak kinds more
  frequent and a learning rate of 1.5e-4. Of the first 40 prompts, before and after: "and" 37 and 35, size 38 and 36 right;
  of weights of about step 1,350 "next to" 40 and 39, "on" 38 and 38, three objects 20 and 22. None of this is beyond chance. 51,000 scenes are 2 % of
  what the denoiser had seen."""


def read_results() -> dict[str, Any]:
    """Read the committed results, with the reading of a blind sheet if there is one of the same weights."""
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    if READING.exists():
        reading = json.loads(READING.read_text(encoding="utf-8"))
        if reading["weights"] == results["settings"].get("weights"):
            results["reading"] = reading
    return results


def model_card(results: dict[str, Any]) -> str:
    """Return the model card as Markdown; sections that the results lack are named as not measured."""
    parameters = ", ".join(f"{k} {v / 1e6:.1f} M" for k, v in results["parameters"].items())
    settings = results["settings"]
    return f"""# The embedded model

A latent diffusion model of emoji scenes, {IMAGE_SIZE} x {IMAGE_SIZE} pixels, in the ordinary diffusers format: a `StableDiffusionPipeline`
with `AutoencoderKL`, `CLIPTextModel`, `CLIPTokenizer`, `UNet2DConditionModel` and `DDIMScheduler` ({parameters}; weights
in half precision). It is an instrument for teaching and testing: what it shows about itself is not a claim about larger models.

It knows 56 nouns in 14 categories, nine colors, five sizes, eight backgrounds and eleven relations
(`daam_syntax/emoji/vocabulary.py`). It has no number words: "two cats" is not in its language. Other words can be spelt, but
mean nothing to it.

Everything below is made by `python -m benchmarks.emoji_model` ({settings["steps"]} steps, guidance
{settings["guidance"]}); intervals are 95 % (proportions: Wilson).

## What its images show

{images(results)}

## Read blind

{reading(results)}

## Heat maps on exact scenes

{maps(results)}

## Autoencoder

{autoencoder(results)}

## Annotator

{annotator(results)}

## Training

{TRAINING}

The curves of the shipped weights are in `curves/`
(![curves](../../benchmarks/results/curves.png)). Trained on nothing
but scenes composed from Noto Emoji artwork (see `THIRD_PARTY_NOTICES.md`).
"""


def percent(value: dict[str, float]) -> str:
    """Format a proportion with its interval."""
    if value["share"] != value["share"]:  # NaN
        return ""
    return f"{value['share']:.1%} [{value['low']:.1%}, {value['high']:.1%}]"


def images(results: dict[str, Any]) -> str:
    """Tabulate how often images are right, by kind of prompt."""
    found = results.get("images", {})
    if not found:
        return NOT_MEASURED
    rows = "\n".join(_row(kind, found[kind], results) for kind in KINDS if kind in found)
    groups = "\n\n".join(
        f"Right, {kind}: {_listed(found[kind]['by'])}." for kind in found if "by" in found[kind]
    )
    return f"""The judge is the annotator with rules of geometry (`benchmarks/emoji_model/`). An image is right if every object is there
exactly once, whole, and not mixed with another noun (twins and chimeras are wrong), nothing else is there, and the relation, the
colors, the size or the background are as the prompt says. Where objects must lie is taken from how exact scenes are laid out:
"chasing" has the chaser on the right. "Corrected" allows for the judge's errors, measured on exact scenes of the same prompts and
on scenes spoiled on purpose (Rogan and Gladen 1978; interval of Lang and Reiczigel 2014): it cannot know how lenient the judge is with
generated images, which a blind reading shows. "Relation, color, ..." is among images whose objects are right.

Seeds are new everywhere. Prompts of one object are mostly such as training captions hold too (there are only 56 nouns and 8 places);
prompts of two objects are mostly new; "reserved" prompts combine nouns, or a color and a noun, that no training scene combines.

| Prompts | n | right | corrected | objects right | relation, color, size, or place right | faults |
|---|---|---|---|---|---|---|
{rows}

{groups}"""


def _row(kind: str, found: dict[str, Any], results: dict[str, Any]) -> str:
    faults = ", ".join(f"{name} {n}" for name, n in found["faults"].items())
    aspect = percent(found["aspect"]) if "aspect" in found else ""
    scenes = results.get("annotation", {}).get("judge")
    fixed = percent(_on_scenes(kind, found["right"], scenes)) if scenes else ""
    right, objects = percent(found["right"]), percent(found["objects"])
    return (
        f"| {kind} | {found['right']['n']} | {right} | {fixed} | {objects} | {aspect} | {faults} |"
    )


def _on_scenes(kind: str, right: dict[str, float], scenes: dict[str, Any]) -> dict[str, float]:
    """Correct a share by the judge's errors on scenes of the same kind."""
    se, sp = scenes["right scenes"][kind], scenes["wrong scenes"][kind]
    return corrected(
        int(right["hits"]), int(right["n"]), (se["hits"], se["n"]), (sp["hits"], sp["n"])
    )


def _listed(counts: dict[str, list[int]]) -> str:
    """List hits and trials; complete ones are only named, so that the others can be seen."""
    missed = [f"{name} {hits} of {n}" for name, (hits, n) in counts.items() if hits < n]
    whole = [name for name, (hits, n) in counts.items() if hits == n]
    parts = [", ".join(missed)] if missed else []
    if whole:
        parts.append(f"all of {', '.join(whole)}")
    return "; ".join(parts)


def reading(results: dict[str, Any]) -> str:
    """Report the reading of a blind sheet."""
    found = results.get("reading")
    if not found:
        return (
            "Nobody has read a blind sheet of these weights yet: `python -m benchmarks.emoji_model sheet --out FOLDER` makes "
            "one, and `score-sheet FOLDER --reader WHO --record` scores it."
        )
    drawn, exact, judge = found["drawn"], found["exact"], found["annotator"]
    lenient = judge["leniency"]
    return f"""Generated images shuffled with exact scenes (seed {found["seed"]}), named from a list of the 56 nouns without the prompts. Reader:
{found["reader"]}.

| | nouns named | images right |
|---|---|---|
| generated | {percent(drawn["nouns named"])} | {percent(drawn["images right"])} |
| exact scenes | {percent(exact["nouns named"])} | {percent(exact["images right"])} |

Generated nouns named: {_listed(found["drawn nouns named"])}.

On the same {judge["n"]} generated images the annotator calls the objects right in {percent(judge["right by annotator"])}, the reader in
{percent(judge["right by reader"])}: the annotator is lenient by {100 * lenient["difference"]:.1f} points [{100 * lenient["low"]:.1f}, {100 * lenient["high"]:.1f}] (Agresti and Min 2005).
{_for_reader(results)}"""


def _for_reader(results: dict[str, Any]) -> str:
    """Score the annotator beside the reader, and correct its shares for its errors, or say why they cannot be."""
    judge = results["reading"]["annotator"]
    se, sp = ((judge[x]["hits"], judge[x]["n"]) for x in ("sensitivity", "specificity"))
    sensitivity = f"With the reader as truth, its sensitivity is {percent(judge['sensitivity'])}"
    if not sp[1]:
        return (
            f"{sensitivity}. The reader calls none of them wrong, so its specificity is not known, and its shares cannot be "
            "corrected for the reader: a longer sheet is needed."
        )
    found = f"{sensitivity}, its specificity {percent(judge['specificity'])}."
    if np.isnan(judge["corrected"]["share"]):
        return (
            f"{found}\nThe annotator agrees about {sp[0]} of the {sp[1]} images that the reader calls wrong, so its shares "
            "cannot be corrected for the reader: a longer sheet is needed."
        )
    rows = [
        found,
        "",
        "Objects right, corrected for both:",
        "",
        "| Prompts | by the annotator | corrected for the reader |",
    ]
    rows.append("|---|---|---|")
    for kind, found in results.get("images", {}).items():
        seen = found["objects"]
        fixed = corrected(int(seen["hits"]), int(seen["n"]), se, sp)
        rows.append(f"| {kind} | {percent(seen)} | {percent(fixed)} |")
    return "\n".join(rows)


def maps(results: dict[str, Any]) -> str:
    """Tabulate where maps lie."""
    found = results.get("maps")
    if not found:
        return NOT_MEASURED
    columns = list(next(iter(next(iter(found.values())).values())))
    lines = [
        f"| weights | words | n | {' | '.join(columns)} |",
        "|---|---|---|" + "---|" * len(columns),
    ]
    for weights, groups in found.items():
        for group, scores in groups.items():
            cells = " | ".join(
                f"{scores[c]['mean']:.2f} [{scores[c]['low']:.2f}, {scores[c]['high']:.2f}]"
                for c in columns
            )
            lines.append(f"| {weights} | {group} | {scores[columns[0]]['n_words']} | {cells} |")
    verdicts = [_size_verdict(found["plain"], size) for size in ("large", "small")]
    return "\n".join(
        [
            "A map is compared with the exact mask of its object, for size words with that of the object they describe. The "
            'scene is the sample: intervals are bootstrapped over scenes, and those of "stronger on its own object", a share, are '
            'Wilson intervals with the scenes as trials. "Mean on the object / mean" is 1 by chance. '
            + " ".join(verdicts),
            "",
            *lines,
        ]
    )


def _size_verdict(groups: dict[str, Any], size: str) -> str:
    value = groups[f"words for {size} sizes"]["mean on the object / mean"]
    if value["low"] > 1:
        return f"Words for {size} sizes lie on their object."
    if value["high"] < 1:
        return f"Words for {size} sizes avoid their object: do not read their maps as a place."
    return f"Words for {size} sizes do not lie on their object more than chance."


def autoencoder(results: dict[str, Any]) -> str:
    """Report what encoding and decoding loses."""
    found = results.get("autoencoder")
    if not found:
        return NOT_MEASURED
    return f"""On {found["n_scenes"]} fresh scenes, values 0 to 1: L1 {found["l1"]:.4f} (on objects {found["object_l1"]:.4f}),
PSNR {found["psnr_db"]:.1f} dB (on objects {found["object_psnr_db"]:.1f} dB); objects keep {found["object_saturation_kept"]:.1%} of their saturation."""


def annotator(results: dict[str, Any]) -> str:
    """Report the errors of the annotator on scenes."""
    found = results.get("annotation")
    if not found:
        return NOT_MEASURED
    pixels, objects, judge = found["pixels"], found["regions"], found["judge"]
    rejected = "\n".join(
        f"| {fault} | {value['n']} | {percent(value)} |"
        for fault, value in judge["rejected"].items()
    )
    right = sum(v["hits"] for v in judge["right scenes"].values())
    n = sum(v["n"] for v in judge["right scenes"].values())
    return f"""On {pixels["n_scenes"]} fresh scenes: mIoU over the 56 nouns {pixels["noun_miou"]:.3f}, background IoU
{pixels["background_iou"]:.3f}. Of the pixels of objects, {pixels["pixels_called_cohyponym"]:.1%} are called a cohyponym,
{pixels["pixels_called_other_category"]:.1%} a noun of another category, {pixels["pixels_called_background"]:.1%} background; the
color is right on {pixels["color_pixel_accuracy"]:.1%}. It names {percent(objects["named"])} of the objects, and counts
{percent(objects["once"])} of those once; it claims a noun that is not there in {percent(objects["false nouns"])} of the scenes, apart from
any object in {percent(objects["extra objects"])}.

Of {n} exact scenes of the prompts above it calls {right / n:.1%} right. Of scenes spoiled on purpose it rejects:

| Fault | n | rejected |
|---|---|---|
{rejected}"""
