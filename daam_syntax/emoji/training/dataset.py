"""Training scenes as arrays on disk: ``python -m daam_syntax.emoji.training dataset``.

A scene takes milliseconds; composing all of them once lets all trainings share them. Scenes come in shards, each with
its own seeds. A shard is complete when its captions are there, so trainings can start while more are composed.
Kinds of scenes that a model draws badly can be made more frequent by weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch

from daam_syntax.emoji.grammar import SceneSpec
from daam_syntax.emoji.scenes import (
    IMAGE_SIZE,
    Scene,
    draw_scene,
    is_reserved,
    sample_spec,
    scene,
)
from daam_syntax.emoji.vocabulary import (
    BACKGROUNDS,
    COLORS,
    NOUNS,
    PREPOSITIONS,
    SIZES,
    VERB_FORMS,
)
from daam_syntax.errors import FileError
from daam_syntax.util.progress import show_progress
from daam_syntax.util.whole_files import whole_file

OWN_COLOR: Final = 1
"""Color class of an object in its own color; 0 is the background, and ``2 + i`` the i-th of `COLORS`."""

FIRST_TRAINING_SEED: Final = 1_000_000
"""First seed of the training scenes; smaller seeds are reserved for tests and evaluation."""

SHARD: Final = 500
"""Number of scenes in a shard, which is named after its first seed."""

_NUMBERS: Final = ("one object", "two objects", "three objects")

KINDS_OF_SCENES: Final = (
    *_NUMBERS,
    "and",
    *PREPOSITIONS,
    *VERB_FORMS,
    *NOUNS,
    "category",
    *COLORS,
    *SIZES,
    *BACKGROUNDS,
    "plain",
)
"""What weights can be given to; a scene is of several kinds (see `kinds_of`)."""


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


def kinds_of(spec: SceneSpec) -> set[str]:
    """Return the kinds of a scene: number and nouns of its objects, relation, colors, sizes, and background."""
    kinds = {_NUMBERS[len(spec.objects) - 1], spec.background or "plain"}
    if len(spec.objects) > 1:
        kinds.add(spec.relation)
    for obj in spec.objects:
        kinds |= {said for said in (obj.noun, obj.color, obj.size) if said}
        if obj.by_category:
            kinds.add("category")
    return kinds


def weighted_scene(seed: int, weights: Mapping[str, float]) -> Scene:
    """Compose the training scene of a seed, with some kinds of scenes more frequent than others.

    Parameters
    ----------
    seed
        Any non-negative integer; the same seed and weights give the same scene.
    weights
        Kinds (of `KINDS_OF_SCENES`) to weights of at least 1; other kinds have 1. The heaviest kind of a scene decides
        how frequent it is beside its frequency without weights. If empty, this is `scene` of the training split.
    """
    if not weights:
        return scene(seed, split="train")
    rng = np.random.default_rng(seed)
    heaviest = max(weights.values())
    while True:
        spec = sample_spec(rng)
        weight = max(weights.get(kind, 1.0) for kind in kinds_of(spec))
        if not is_reserved(spec) and rng.random() * heaviest < weight:
            return draw_scene(spec, rng)


def check_weights(weights: Mapping[str, float]) -> None:
    """Raise `ValueError` if weights are given to unknown kinds, or are below 1 or not finite."""
    unknown = [kind for kind in weights if kind not in KINDS_OF_SCENES]
    if unknown:
        raise ValueError(
            f"Expected weights of kinds of scenes, but {unknown[0]!r} is none of them: "
            f"{', '.join(KINDS_OF_SCENES)}."
        )
    for kind, weight in weights.items():
        if not 1 <= weight < float("inf"):
            raise ValueError(
                f"Expected weights of at least 1, but that of {kind!r} is {weight}. "
                "Give more weight to the other kinds instead."
            )


def write_shard(folder: Path, first_seed: int, weights: Mapping[str, float] | None = None) -> None:
    """Compose the scenes of one shard and write its arrays, then its captions."""
    seeds = range(first_seed, first_seed + SHARD)
    drawn = [weighted_scene(seed, weights or {}) for seed in seeds]
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


def write_dataset(
    folder: Path,
    n_scenes: int,
    workers: int = 2,
    *,
    first_seed: int = FIRST_TRAINING_SEED,
    weights: Mapping[str, float] | None = None,
) -> None:
    """Write training scenes to a folder until those of `n_scenes` seeds are there, rounded up to whole shards.

    Parameters
    ----------
    folder
        Folder of the scenes.
    n_scenes
        Number of scenes.
    workers
        Number of processes.
    first_seed
        Seed of the first scene, at least `FIRST_TRAINING_SEED`. Scenes that are there already stay as they are, so
        scenes with other weights need other seeds.
    weights
        Weights of kinds of scenes (see `weighted_scene`).

    Raises
    ------
    ValueError
        If the seed is reserved for evaluation, or a weight is wrong.
    """
    if first_seed < FIRST_TRAINING_SEED:
        raise ValueError(
            f"Expected a first seed of at least {FIRST_TRAINING_SEED:,}, but got {first_seed:,}. "
            "Smaller seeds are reserved for evaluation."
        )
    check_weights(weights or {})
    folder.mkdir(parents=True, exist_ok=True)
    seeds = range(first_seed, first_seed + n_scenes, SHARD)
    there = set(complete_shards(folder))
    missing = [seed for seed in seeds if seed not in there]
    total, done = len(seeds) * SHARD, (len(seeds) - len(missing)) * SHARD
    with (
        ProcessPoolExecutor(workers) as pool,
        show_progress(True, total, done, label="Composing", unit="scenes") as bar,
    ):
        for _ in pool.map(partial(write_shard, folder, weights=weights), missing):
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
