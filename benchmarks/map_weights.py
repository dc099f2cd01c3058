"""Learn weights for the embedded model's layers and attention heads: ``python -m benchmarks.map_weights``.

The weights favor those whose maps lie on the named objects, and are learned on scenes with exact masks that no
benchmark scores. Writes ``data/emoji-model/map_weights.json``, which is shipped. ``python -m benchmarks.attribution``
measures the gain.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.attribution.cases import MIN_VISIBLE
from daam_syntax.attention import trace_images
from daam_syntax.emoji.scenes import Scene, scene
from daam_syntax.maps import HeatMaps, MapWeights, learn_weights
from daam_syntax.pipelines.loading import load_pipeline

TARGET = Path(__file__).parent.parent / "data" / "emoji-model" / "map_weights.json"
FIRST_LEARNING = 500_000  # seed of the first scene
AXES = ("layer", "head")


def read(pipe: Any, scenes: Sequence[Scene], keep: Sequence[str] = AXES) -> list[HeatMaps]:
    """Trace given scenes, with the trees that their captions were written from."""
    return trace_images(
        pipe,
        [s.image for s in scenes],
        [s.caption for s in scenes],
        sentences={s.caption: s.sentence for s in scenes},
        keep=keep,
        batch_size=16,
    )


def learn(maps: Sequence[HeatMaps], scenes: Sequence[Scene]) -> MapWeights:
    """Learn weights from the masks of the scenes' nouns."""
    masks = [
        {obj.word: obj.mask for obj in drawn.objects if obj.mask.mean() >= MIN_VISIBLE}
        for drawn in scenes
    ]
    return learn_weights(maps, masks, axes=AXES)


def main() -> None:
    """Learn the weights and write the file."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--scenes", type=int, default=200)
    options.add_argument("--threads", type=int, default=1)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    pipe = load_pipeline()
    pipe.set_progress_bar_config(disable=True)
    scenes = [scene(FIRST_LEARNING + i) for i in range(given.scenes)]
    weights = learn(read(pipe, scenes), scenes)
    notes = {**weights.notes, "scenes": f"seeds from {FIRST_LEARNING}", "model": "emoji"}
    MapWeights(weights.values, notes).save(TARGET)
    print(weights)


if __name__ == "__main__":
    main()
