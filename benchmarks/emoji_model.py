"""How good are the embedded model and its annotator? ``python -m benchmarks.emoji_model``.

Measures, on scenes and seeds that no training has used: the autoencoder's reconstruction error; the annotator's mIoU
and its confusions; and, with the annotator as judge, how often an image shows what its prompt asks for. Writes
``benchmarks/results/emoji_model.json``, a contact sheet, and the model card.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from PIL import Image
from rich.progress import track
from scipy.stats import binomtest

from daam_syntax.emoji.annotator import Annotation, Annotator
from daam_syntax.emoji.grammar import ObjectSpec, SceneSpec, write_caption
from daam_syntax.emoji.scenes import Scene, scene
from daam_syntax.emoji.training.dataset import label_maps
from daam_syntax.emoji.vocabulary import (
    BACKGROUNDS,
    CATEGORY_OF,
    COLORS,
    NOUNS,
    PREPOSITIONS,
    is_reserved_color,
    is_reserved_pair,
)
from daam_syntax.pipelines.loading import load_pipeline
from daam_syntax.util.data_files import data_path

ROOT = Path(__file__).parent
RESULTS = ROOT / "results"
STEPS, GUIDANCE, BATCH = 20, 4.0, 20


def reconstruction(pipe: Any, scenes: list[Scene]) -> dict[str, float]:
    """Measure the errors of encoding and decoding fresh scenes; pixel values are in [0, 1]."""
    pixels = np.stack([np.asarray(s.image) for s in scenes])
    target = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        latents = pipe.vae.encode(target * 2 - 1).latent_dist.mean
        output = (pipe.vae.decode(latents).sample / 2 + 0.5).clamp(0, 1)
    error = (output - target).square().mean(dim=(1, 2, 3))
    objects = torch.from_numpy(np.stack([label_maps(s)[0] > 0 for s in scenes]))[:, None]

    def saturation(x: torch.Tensor) -> float:
        spread = (x.amax(1, keepdim=True) - x.amin(1, keepdim=True)) * objects
        return float(spread.sum() / objects.sum())

    return {
        "n_scenes": len(scenes),
        "l1": float((output - target).abs().mean()),
        "psnr_db": float((-10 * torch.log10(error)).mean()),
        "object_l1": float(((output - target).abs() * objects).sum() / objects.sum() / 3),
        "object_saturation_kept": saturation(output) / saturation(target),
    }


def annotator_scores(annotator: Annotator, scenes: list[Scene]) -> dict[str, float]:
    """Measure the annotator on fresh scenes: mIoU of the nouns, and confusions of object pixels."""
    annotations = annotator([s.image for s in scenes])
    n = len(NOUNS) + 1
    confusion = np.zeros((n, n))
    color_right = color_all = 0
    for drawn, seen in zip(scenes, annotations, strict=True):
        truth, colors = label_maps(drawn)
        np.add.at(confusion, (truth.ravel(), seen.nouns.ravel()), 1)
        visible = truth > 0
        color_right += int((colors == seen.colors)[visible].sum())
        color_all += int(visible.sum())
    union = confusion.sum(0) + confusion.sum(1) - np.diag(confusion)
    category = np.array(["", *(CATEGORY_OF[noun] for noun in NOUNS)])
    same = (category[:, None] == category[None, :])[1:, 1:] & ~np.eye(n - 1, dtype=bool)
    wrong = confusion[1:, 1:] * ~np.eye(n - 1, dtype=bool)
    return {
        "n_scenes": len(scenes),
        "noun_miou": float(np.mean(np.diag(confusion)[1:] / union[1:])),
        "background_iou": float(confusion[0, 0] / union[0]),
        "pixels_called_cohyponym": float(wrong[same].sum() / confusion[1:].sum()),
        "pixels_called_other_category": float(wrong[~same].sum() / confusion[1:].sum()),
        "pixels_called_background": float(confusion[1:, 0].sum() / confusion[1:].sum()),
        "color_pixel_accuracy": color_right / color_all,
    }


def held_out_specs(kind: str, n: int, rng: np.random.Generator) -> list[SceneSpec]:
    """Sample `n` different scenes of one kind; "reserved" ones use combinations withheld from training."""
    specs: dict[str, SceneSpec] = {}
    while len(specs) < n:
        count = 1 if kind.startswith("one") else 2
        nouns = [str(noun) for noun in rng.choice(NOUNS, size=count, replace=False)]
        colors: list[str | None] = [None] * count
        if "colored" in kind:
            colors = [str(c) for c in rng.choice(list(COLORS), size=count, replace=False)]
        pair = count == 2 and is_reserved_pair(*nouns)
        tinted = any(c and is_reserved_color(c, x) for c, x in zip(colors, nouns, strict=True))
        if kind.endswith("(reserved nouns)"):
            keep = pair
        elif kind.endswith("(reserved colors)"):
            keep = tinted and not pair
        else:
            keep = not pair and not tinted
        if not keep:
            continue
        objects = tuple(ObjectSpec(x, c) for x, c in zip(nouns, colors, strict=True))
        relation = str(rng.choice(["and", *PREPOSITIONS])) if count == 2 else "and"
        background = str(rng.choice(list(BACKGROUNDS))) if rng.random() < 0.6 else None
        spec = SceneSpec(objects, relation, background)
        specs.setdefault(write_caption(spec)[0].text, spec)
    return list(specs.values())


def draw(pipe: Any, prompts: list[str], seed: int = 0) -> list[Image.Image]:
    """Generate one image of each prompt, in batches."""
    images: list[Image.Image] = []
    for start in track(range(0, len(prompts), BATCH), description=f"Drawing {len(prompts)}"):
        batch = prompts[start : start + BATCH]
        generators = [
            torch.Generator().manual_seed(seed * 100_000 + start + i) for i in range(len(batch))
        ]
        images += pipe(
            batch, generator=generators, num_inference_steps=STEPS, guidance_scale=GUIDANCE
        ).images
    return images


def share(hits: list[bool]) -> dict[str, float]:
    """Return a proportion with its Wilson interval."""
    interval = binomtest(sum(hits), len(hits)).proportion_ci(0.95, method="wilson")
    return {"share": float(np.mean(hits)), "low": float(interval.low), "high": float(interval.high)}


def fidelity(annotations: list[Annotation], specs: list[SceneSpec]) -> dict[str, Any]:
    """Return the share of images with every noun present, and with every noun in its color as well."""
    nouns, colors = [], []
    for seen, spec in zip(annotations, specs, strict=True):
        present = seen.present()
        nouns.append(all(obj.noun in present for obj in spec.objects))
        colors.append(
            nouns[-1] and all(seen.color(o.noun) == o.color for o in spec.objects if o.color)
        )
    result: dict[str, Any] = {"n": len(specs), "every_noun": share(nouns)}
    if any(obj.color for spec in specs for obj in spec.objects):
        result["every_noun_and_color"] = share(colors)
    return result


KINDS = (
    "one object",
    "two objects",
    "two colored objects",
    "two objects (reserved nouns)",
    "two colored objects (reserved colors)",
)

SHEET = """a cat|a red car|a blue house in the snow|a big yellow duck on a beach|a green apple|a purple robot at night|a zebra in a field|a pink guitar
a cat and a dog|a red apple next to a blue car|a giraffe and a zebra in a field|a green hat and a yellow shirt|a robot riding a bicycle in a city|a cow wearing a hat|a small owl above a big house|a red crab and a fish on a beach
a black cat chasing a white mouse in a room|a dog to the left of a tree|an orange fish and a blue whale|a ghost holding a drum at night|a tiger on a bed|a pizza and a burger|a castle in the desert|a penguin next to a snowman in the snow
a strawberry|a bicycle|a church at night|a violin|a sunflower in a field|a chair|an alien|a dress
an elephant|a horse in a field|a rooster|an octopus|a pear|a bus in a city|a cake|a tent in a forest
a trumpet|a cactus in the desert|a couch in a room|a snowman in the snow|a shoe|a rabbit|a pig|a penguin
a sheep riding a truck|a dog holding a banana|a cat wearing a dress|a mouse chasing a cow|a blue cat is chasing a red owl|there is a donut at night|a picture of a mirror|a beach scene with a crab
a cat, a dog and an owl|a bird next to a fruit|a red bed and a green chair|a tulip to the right of a cactus|a purple castle below a yellow whale|a huge tiger in a forest|a tiny elephant|the house is pink"""


def contact_sheet(pipe: Any) -> Image.Image:
    """Generate the sixty-four prompts of `SHEET`, in order, at twice their size."""
    rows = [row.split("|") for row in SHEET.splitlines()]
    images = draw(pipe, [prompt for row in rows for prompt in row], seed=1)
    side = 2 * images[0].width
    sheet = Image.new("RGB", (8 * side, len(rows) * side))
    for i, image in enumerate(images):
        place = (i % 8 * side, i // 8 * side)
        sheet.paste(image.resize((side, side), Image.Resampling.LANCZOS), place)
    return sheet


def training_curves(folder: Path) -> Figure:
    """Plot the logged loss of each training against its steps."""
    curves = sorted(folder.glob("*.csv"))
    figure = Figure(figsize=(3.2 * len(curves), 2.6), layout="constrained")
    for ax, path in zip(np.atleast_1d(figure.subplots(1, len(curves))), curves, strict=True):
        curve = pd.read_csv(path)
        ax.plot(curve["step"], curve["loss"], lw=1)
        ax.set(title=path.stem, xlabel="step", ylabel="loss", yscale="log")
    return figure


def main() -> None:
    """Measure, and write the results, the contact sheet, and the model card."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", default="emoji", help="the pipeline to measure")
    options.add_argument("--annotator", type=Path, default=None, help="folder of an annotator")
    options.add_argument(
        "--prompts",
        type=int,
        default=200,
        help="held-out prompts per kind (half as many of reserved combinations)",
    )
    options.add_argument("--threads", type=int, default=2)
    options.add_argument(
        "--sheet-only", type=Path, help="only write the contact sheet, to this file"
    )
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    pipe = load_pipeline(given.model)
    pipe.set_progress_bar_config(disable=True)
    if given.sheet_only:
        contact_sheet(pipe).save(given.sheet_only)
        return
    annotator = Annotator.load(given.annotator)
    scenes = [scene(seed) for seed in range(500_000, 500_400)]
    results: dict[str, Any] = {
        "settings": {"steps": STEPS, "guidance": GUIDANCE},
        "parameters": {
            name: sum(p.numel() for p in getattr(pipe, name).parameters())
            for name in ("vae", "text_encoder", "unet")
        },
        "reconstruction": reconstruction(pipe, scenes[:200]),
        "annotator": annotator_scores(annotator, scenes),
        "fidelity": {},
    }
    for i, kind in enumerate(KINDS):
        n = given.prompts // 2 if "reserved" in kind else given.prompts
        specs = held_out_specs(kind, n, np.random.default_rng(i))
        images = draw(pipe, [write_caption(spec)[0].text for spec in specs], seed=2 + i)
        results["fidelity"][kind] = fidelity(annotator(images), specs)
        print(kind, results["fidelity"][kind], flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "emoji_model.json").write_text(
        json.dumps(results, indent=2) + "\n", encoding="utf-8"
    )
    contact_sheet(pipe).save(RESULTS / "contact_sheet.png", optimize=True)
    if given.model == "emoji":
        card = model_card(results)
        (data_path("emoji-model") / "README.md").write_text(card, encoding="utf-8")
        training_curves(data_path("emoji-model", "curves")).savefig(RESULTS / "curves.png", dpi=110)
    print(json.dumps(results, indent=2))


def model_card(results: dict[str, Any]) -> str:
    """Return the model card as Markdown, from the measured results."""

    def percent(value: dict[str, float]) -> str:
        return f"{value['share']:.1%} [{value['low']:.1%}, {value['high']:.1%}]"

    rows = "\n".join(
        f"| {kind} | {row['n']} | {percent(row['every_noun'])} | "
        + (percent(row["every_noun_and_color"]) if "every_noun_and_color" in row else "")
        + " |"
        for kind, row in results["fidelity"].items()
    )
    parameters = ", ".join(f"{k} {v / 1e6:.1f} M" for k, v in results["parameters"].items())
    recon, judge = results["reconstruction"], results["annotator"]
    return f"""# The embedded model

A latent diffusion model of emoji scenes, 64 x 64 pixels, in the ordinary diffusers format: a `StableDiffusionPipeline`
with `AutoencoderKL`, `CLIPTextModel`, `CLIPTokenizer`, `UNet2DConditionModel` and `DDIMScheduler` ({parameters}; weights
in half precision). It is an instrument for teaching and testing: what it shows about itself is not a claim about larger models.

It knows 56 nouns in 14 categories, nine colors, five sizes, eight backgrounds and eleven relations
(`daam_syntax/emoji/vocabulary.py`). Other words can be spelt, but mean nothing to it.

Everything below is made by `python -m benchmarks.emoji_model` ({results["settings"]["steps"]} steps, guidance
{results["settings"]["guidance"]}); intervals are 95 % (Wilson).

## What its pictures hold

The judge is the annotator, which errs too (below). Seeds are new everywhere. Prompts of one object are mostly such as
training captions hold too (there are only 56 nouns and 8 places); prompts of two objects are mostly new; "reserved" prompts
combine nouns, or a color and a noun, that no training scene combines.

| Prompts | n | every noun present | every noun present in its color |
|---|---|---|---|
{rows}

## Autoencoder

On {recon["n_scenes"]} fresh scenes, values 0 to 1: L1 {recon["l1"]:.4f} (on objects {recon["object_l1"]:.4f}),
PSNR {recon["psnr_db"]:.1f} dB; objects keep {recon["object_saturation_kept"]:.1%} of their saturation.

## Annotator

On {judge["n_scenes"]} fresh scenes: mIoU over the 56 nouns {judge["noun_miou"]:.3f}, background IoU
{judge["background_iou"]:.3f}. Of the pixels of objects, {judge["pixels_called_cohyponym"]:.1%} are called a cohyponym,
{judge["pixels_called_other_category"]:.1%} a noun of another category, {judge["pixels_called_background"]:.1%} background; the
color is right on {judge["color_pixel_accuracy"]:.1%}.

## Training

`python -m daam_syntax.emoji.training STAGE` with the stages `dataset`, `autoencoder`, `denoiser`, `autoencoder --decoder-only
--steps 1000`, `annotator`, `ship`; it resumes from checkpoints. These weights are those after the denoiser's
14,600 steps of 32 scenes. The first 3,250 of them drew all timesteps alike and gave pure noise its full weight, and up to step 9,750
strong noise had less weight than now; the learning rate fell along a cosine whose end was moved twice. They and the annotator saw
scenes in which a single object was a little larger and some stated sizes were not drawn; the figures above are of today's scenes. The curves of the shipped weights are in `curves/`
(![curves](../../benchmarks/results/curves.png)). Trained on nothing
but scenes composed from Noto Emoji artwork (see `THIRD_PARTY_NOTICES.md`).
"""


if __name__ == "__main__":
    main()
