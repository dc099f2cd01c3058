"""Sixty-four prompts as the model draws them, and the curves of its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.emoji_model.drawing import draw

_COLUMNS: Final = 8

SHEET: Final = """a cat|a red car|a blue house in the snow|a big yellow duck on a beach|a green apple|a purple robot at night|a zebra in a field|a pink guitar
a cat and a dog|a red apple next to a blue car|a giraffe and a zebra in a field|a green hat and a yellow shirt|a robot riding a bicycle in a city|a cow wearing a hat|a small owl above a big house|a red crab and a fish on a beach
a black cat chasing a white mouse in a room|a dog to the left of a tree|an orange fish and a blue whale|a ghost holding a drum at night|a tiger on a bed|a pizza and a burger|a castle in the desert|a penguin next to a snowman in the snow
a strawberry|a bicycle|a church at night|a violin|a sunflower in a field|a chair|an alien|a dress
an elephant|a horse in a field|a rooster|an octopus|a pear|a bus in a city|a cake|a tent in a forest
a trumpet|a cactus in the desert|a couch in a room|a snowman in the snow|a shoe|a rabbit|a pig|a penguin
a sheep riding a truck|a dog holding a banana|a cat wearing a dress|a mouse chasing a cow|a blue cat is chasing a red owl|there is a donut at night|a picture of a mirror|a beach scene with a crab
a cat, a dog and an owl|a bird next to a fruit|a red bed and a green chair|a tulip to the right of a cactus|a purple castle below a yellow whale|a huge tiger in a forest|a tiny elephant|the house is pink"""
"""The prompts, row by row."""


def contact_sheet(pipe: Any) -> Image.Image:
    """Generate the prompts of `SHEET`, in order, at 128 pixels each or their own size if that is larger."""
    prompts = SHEET.replace("\n", "|").split("|")
    images = [image for batch in draw(pipe, prompts, range(len(prompts))) for image in batch]
    side = max(128, images[0].width)
    rows = -(-len(images) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * side, rows * side))
    for i, image in enumerate(images):
        place = (i % _COLUMNS * side, i // _COLUMNS * side)
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
