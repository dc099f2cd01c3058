"""Training scenes as arrays on disk: ``python -m daam_syntax.emoji.training dataset``.

A scene takes milliseconds; composing all of them once lets all trainings share them. Scenes come in shards, each with
its own seeds. A shard is complete when its captions are there, so trainings can start while more are composed.
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch

from daam_syntax.emoji.scenes import IMAGE_SIZE, Scene, scene
from daam_syntax.emoji.vocabulary import COLORS, NOUNS
from daam_syntax.errors import FileError
from daam_syntax.util.progress import show_progress
from daam_syntax.util.whole_files import whole_file

OWN_COLOR: Final = 1
"""Color class of an object in its own color; 0 is the background, and ``2 + i`` the i-th of `COLORS`."""

FIRST_TRAINING_SEED: Final = 1_000_000
"""First seed of the training scenes; smaller seeds are reserved for tests and evaluation."""

SHARD: Final = 500
"""Number of scenes in a shard, which is named after its first seed."""


@dataclass(frozen=True)
class Dataset:
    """Training scenes.

    Attributes
    ----------
    images
        RGB images, uint8. *Shape:* ``(scene, y, x, 3)``.
    nouns, colors
        Class of every pixel, uint8; 0 is the background (see `label_maps`). *Shape:* ``(scene, y, x)``.
    captions
        One per scene.
    """

    images: torch.Tensor
    nouns: torch.Tensor
    colors: torch.Tensor
    captions: list[str]


def label_maps(drawn: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Return the noun class and the color class of every pixel of a scene, uint8, ``(y, x)``."""
    nouns = np.zeros((IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)
    colors = np.zeros_like(nouns)
    for obj in drawn.objects:
        nouns[obj.mask] = NOUNS.index(obj.spec.noun) + 1
        color = obj.spec.color
        colors[obj.mask] = 2 + list(COLORS).index(color) if color else OWN_COLOR
    return nouns, colors


def write_shard(folder: Path, first_seed: int) -> None:
    """Compose the scenes of one shard and write its arrays, then its captions."""
    drawn = [scene(seed, split="train") for seed in range(first_seed, first_seed + SHARD)]
    labels = [label_maps(s) for s in drawn]
    write_array(folder / f"{first_seed}.images.npy", np.stack([np.asarray(s.image) for s in drawn]))
    write_array(folder / f"{first_seed}.nouns.npy", np.stack([nouns for nouns, _ in labels]))
    write_array(folder / f"{first_seed}.colors.npy", np.stack([colors for _, colors in labels]))
    write_captions(folder / f"{first_seed}.json", [s.caption for s in drawn])


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array whole or not at all."""
    with whole_file(path) as unfinished, unfinished.open("xb") as file:
        np.save(file, array)


def write_captions(path: Path, captions: list[str]) -> None:
    """Write captions whole or not at all."""
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(captions), encoding="utf-8")


def read_captions(path: Path) -> list[str]:
    """Read what `write_captions` wrote."""
    captions: list[str] = json.loads(path.read_text(encoding="utf-8"))
    return captions


def complete_shards(folder: Path) -> list[int]:
    """Return the first seeds of the shards that are complete, in order."""
    return sorted(int(path.stem) for path in folder.glob("[0-9]*.json"))


def write_dataset(folder: Path, n_scenes: int, workers: int = 2) -> None:
    """Write training scenes to `folder` until it holds `n_scenes`, rounded up to whole shards."""
    folder.mkdir(parents=True, exist_ok=True)
    seeds = range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + n_scenes, SHARD)
    there = set(complete_shards(folder))
    missing = [seed for seed in seeds if seed not in there]
    total, done = len(seeds) * SHARD, (len(seeds) - len(missing)) * SHARD
    with (
        ProcessPoolExecutor(workers) as pool,
        show_progress(True, total, done, label="Composing", unit="scenes") as bar,
    ):
        for _ in pool.map(partial(write_shard, folder), missing):
            bar.advance(SHARD)


def read_dataset(
    folder: Path, n_scenes: int | None = None, device: torch.device | str = "cpu"
) -> Dataset:
    """Read the scenes that are there to a device; at most `n_scenes`, rounded up to whole shards."""
    images, nouns, colors = (
        read_arrays(folder, name, n_scenes, device) for name in ("images", "nouns", "colors")
    )
    seeds = _seeds_of_first(folder, n_scenes)
    captions = [caption for seed in seeds for caption in read_captions(folder / f"{seed}.json")]
    return Dataset(images, nouns, colors, captions)


def read_arrays(
    folder: Path, name: str, n_scenes: int | None = None, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Read only the "images", "nouns", or "colors" of a dataset; see `read_dataset`."""
    seeds = _seeds_of_first(folder, n_scenes)
    return torch.cat([read_array(folder / f"{seed}.{name}.npy", device) for seed in seeds])


def _seeds_of_first(folder: Path, n_scenes: int | None) -> list[int]:
    seeds = complete_shards(folder)[: None if n_scenes is None else -(-n_scenes // SHARD)]
    if not seeds:
        raise FileError(
            f"Expected training scenes in {folder}, but there are none. "
            "Compose them first: python -m daam_syntax.emoji.training dataset."
        )
    return seeds


def read_array(path: Path, device: torch.device | str = "cpu") -> torch.Tensor:
    """Read an array to a device."""
    return torch.from_numpy(np.load(path)).to(device)
