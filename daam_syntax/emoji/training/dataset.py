"""Training scenes as arrays on disk: ``python -m daam_syntax.emoji.training dataset``.

A scene takes milliseconds; composing all of them once lets three trainings share them.
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from daam_syntax.emoji.scenes import IMAGE_SIZE, Scene, scene
from daam_syntax.emoji.vocabulary import COLORS, NOUNS
from daam_syntax.util.progress import show_progress

OWN_COLOR: Final = 1
"""Color class of an object in its own color; 0 is the background, and ``2 + i`` the i-th of `COLORS`."""

FIRST_TRAINING_SEED: Final = 1_000_000
"""First seed of the training scenes; smaller seeds are reserved for tests and evaluation."""

_SHARD: Final = 500


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

    images: np.ndarray
    nouns: np.ndarray
    colors: np.ndarray
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


def _draw_shard(first_seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    drawn = [scene(seed, split="train") for seed in range(first_seed, first_seed + _SHARD)]
    labels = [label_maps(s) for s in drawn]
    return (
        np.stack([np.asarray(s.image) for s in drawn]),
        np.stack([nouns for nouns, _ in labels]),
        np.stack([colors for _, colors in labels]),
        [s.caption for s in drawn],
    )


def write_dataset(folder: Path, n_scenes: int, workers: int = 2) -> None:
    """Write `n_scenes` training scenes to `folder`, rounded up to whole shards."""
    folder.mkdir(parents=True, exist_ok=True)
    starts = [FIRST_TRAINING_SEED + i for i in range(0, n_scenes, _SHARD)]
    total = len(starts) * _SHARD
    shards = []
    with (
        ProcessPoolExecutor(workers) as pool,
        show_progress(True, total, label="Composing", unit="scenes") as bar,
    ):
        for shard in pool.map(_draw_shard, starts):
            shards.append(shard)
            bar.advance(_SHARD)
    for i, name in enumerate(("images", "nouns", "colors")):
        np.save(folder / f"{name}.npy", np.concatenate([shard[i] for shard in shards]))
    captions = [caption for shard in shards for caption in shard[3]]
    (folder / "captions.json").write_text(json.dumps(captions), encoding="utf-8")


def read_dataset(folder: Path) -> Dataset:
    """Open the dataset that `write_dataset` wrote; arrays are memory-mapped."""
    arrays = {
        name: np.load(folder / f"{name}.npy", mmap_mode="r")
        for name in ("images", "nouns", "colors")
    }
    captions = json.loads((folder / "captions.json").read_text(encoding="utf-8"))
    return Dataset(arrays["images"], arrays["nouns"], arrays["colors"], captions)
