"""Drawing the images whose maps count as good, and prompts that are at fault themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image

from daam_syntax.attention import trace
from daam_syntax.emoji.model import GUIDANCE, STEPS
from daam_syntax.emoji.scenes import Scene, scene
from daam_syntax.language import parse
from daam_syntax.maps import HeatMaps
from daam_syntax.util.library_output import quietly

FIRST_SCENE: Final = 820_000
"""First seed of the scenes, which no training has used."""

BATCH: Final = 12
"""Prompts to draw together."""


@dataclass(frozen=True)
class Drawn:
    """A drawn prompt: its scene and seed, its maps with the axis of steps, and its image."""

    seed: int
    scene: Scene
    maps: HeatMaps
    image: Image.Image

    @property
    def mean(self) -> HeatMaps:
        """The maps as a trace without ``keep`` has them."""
        return self.maps.with_values(self.maps.mean)


def draw(pipe: Any, prompts: Sequence[str], seeds: Sequence[int], **options: Any) -> Any:
    """Call the pipeline with one generator for each prompt."""
    return pipe(
        list(prompts),
        guidance_scale=GUIDANCE,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        **{"num_inference_steps": STEPS} | options,
    ).images


def good_maps(pipe: Any, n_prompts: int, folder: Path | None) -> list[Drawn]:
    """Draw scenes that no training used, or read those that were drawn before."""
    drawn = []
    for start in range(0, n_prompts, BATCH):
        seeds = range(FIRST_SCENE + start, FIRST_SCENE + min(start + BATCH, n_prompts))
        scenes = [scene(seed) for seed in seeds]
        stored = [(folder or Path()) / f"{seed - FIRST_SCENE}.npz" for seed in seeds]
        if folder is None or not all(path.exists() for path in stored):
            with trace(pipe, keep="step") as recorded:
                images = draw(pipe, [each.caption for each in scenes], seeds)
            maps = recorded.heat_maps(sentences=[each.sentence for each in scenes])
            for path, each, image in zip(stored, maps, images, strict=True):
                if folder is not None:
                    each.save(path)
                    image.save(path.with_suffix(".png"))
        else:
            maps = [HeatMaps.load(path) for path in stored]
            images = [Image.open(path.with_suffix(".png")).convert("RGB") for path in stored]
        drawn += [Drawn(*each) for each in zip(seeds, scenes, maps, images, strict=True)]
    return drawn


def traced_once(pipe: Any, prompts: Sequence[str]) -> list[HeatMaps]:
    """Trace one step of prompts, which is enough to know their words."""
    maps: list[HeatMaps] = []
    for start in range(0, len(prompts), BATCH):
        batch = prompts[start : start + BATCH]
        with trace(pipe) as recorded, quietly():
            draw(pipe, batch, range(len(batch)), num_inference_steps=1, output_type="latent")
            maps += recorded.heat_maps(sentences=[parse(prompt) for prompt in batch])
    return maps
