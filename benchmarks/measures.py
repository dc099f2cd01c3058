"""How fast are the measures? ``OMP_NUM_THREADS=1 python -m benchmarks.measures --daam FOLDER``.

Computes IoU, IoD, and IoH of all pairs of 12 words in 100 images, with masks at one absolute threshold, and compares
with the loop over pairs that the released ``daam`` 0.2.0 requires: two masks and three calls per pair. Install that
package without its pinned dependencies::

    pip install --no-deps --target daam-released daam==0.2.0

Both start from word maps on a 64 x 64 grid and return the same numbers (checked). The released loop neither finds words
nor makes a table; ours makes the whole pair table except where the row says "arrays". Rounds alternate in one run, on
one thread, and processor time is compared, since other programs may be running. The loop costs the same for every
image, so it may run on a subset (``--released-images``). Writes ``benchmarks/results/measures.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import xarray as xr

from daam_syntax.analysis import measure_pairs
from daam_syntax.language import Edge, Sentence, Token
from daam_syntax.maps import HeatMaps, Subword, parse_threshold
from daam_syntax.maps.measures import PAIR_MEASURES, PackedMasks, choose, measure_masks

RESULTS = Path(__file__).parent / "results" / "measures.json"
WORDS, GRID, IMAGE = 12, 64, 512
CUT = 0.005
MEASURES = ("iou", "iod", "ioh")
PAIRS = tuple(combinations(range(WORDS), 2))
EDGES = tuple((number // 2, number) for number in range(1, WORDS))


def make_images(n: int) -> list[HeatMaps]:
    """Return maps of `n` images, smooth and random; about a third of the pixels pass the threshold."""
    generator = np.random.default_rng(0)
    texts = [f"w{number:02d}" for number in range(WORDS)]
    tokens = tuple(Token(i, t, t, "NOUN", "", 4 * i, 4 * i + 3) for i, t in enumerate(texts))
    edges = tuple(Edge(head, dependent, "dep") for head, dependent in EDGES)
    subwords = [Subword(i + 1, t.text, t.start, t.end) for i, t in enumerate(tokens)]
    y, x = np.mgrid[:GRID, :GRID]
    images = []
    for _ in range(n):
        centres = generator.uniform(0, GRID, (2, WORDS, 1, 1))
        distance = (y - centres[0]) ** 2 + (x - centres[1]) ** 2
        maps = 0.012 * np.exp(-distance / 900) * generator.uniform(0.8, 1.2, distance.shape)
        data = xr.DataArray(maps.astype(np.float32), dims=("token", "y", "x"))
        # A separate parse for each image: a parse shared by seeds of one prompt would be processed only once.
        sentence = Sentence(" ".join(texts), tokens, {"ud": edges}, (), "made up")
        images.append(HeatMaps(data, subwords, sentence, (IMAGE, IMAGE)))
    return images


def released(
    images: list[HeatMaps], pairs: tuple[tuple[int, int], ...], upscale: bool
) -> list[Any]:
    """Measure one pair after another with the released functions."""
    from daam.evaluate import compute_ioa, compute_iou
    from daam.heatmap import WordHeatMap

    target = SimpleNamespace(size=(IMAGE, IMAGE))
    found = []
    for image in images:
        words = [WordHeatMap(torch.from_numpy(m.copy())) for m in image.stack()]

        def mask(word: Any) -> torch.Tensor:
            if upscale:
                return word.expand_as(target, absolute=True, threshold=CUT)
            return (word.value > CUT).float()

        for head, dependent in pairs:
            a, b = mask(words[head]), mask(words[dependent])
            found.append((compute_iou(a, b), compute_ioa(b, a), compute_ioa(a, b)))
    return found


def arrays(images: list[HeatMaps]) -> np.ndarray:
    """Measure all pairs on the grid without making a table."""
    words = np.concatenate([image.stack() for image in images])
    masks = PackedMasks(parse_threshold(f"absolute:{CUT}").apply(words))
    head, dependent = (
        (np.arange(len(images))[:, None] * WORDS + np.array(PAIRS)[:, side]).ravel()
        for side in (0, 1)
    )
    found = measure_masks(masks, head, dependent, choose(MEASURES, PAIR_MEASURES))
    return np.stack([found[name] for name in MEASURES], axis=1)


def table(images: list[HeatMaps], size: str, unrelated: bool) -> np.ndarray:
    """Make the pair table and return its measures."""
    pairs = measure_pairs(
        images, threshold=f"absolute:{CUT}", measures=MEASURES, size=size, unrelated=unrelated
    )
    pairs = pairs.sort_values(["image", "head_index", "dependent_index"])
    return pairs[list(MEASURES)].to_numpy()


def seconds(work: Callable[[list[HeatMaps]], Any], images: list[HeatMaps]) -> float:
    """Return the processor time per image."""
    start = time.process_time()
    work(images)
    return (time.process_time() - start) / len(images)


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--daam", required=True, help="folder with the released package")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--released-images", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        parser.error("set OMP_NUM_THREADS=1 in the environment: NumPy reads it when it is imported")
    sys.path.insert(0, options.daam)
    torch.set_num_threads(1)
    images = make_images(options.images)
    some = images[: options.released_images]
    edges = tuple(sorted(EDGES))
    ways: dict[str, tuple[Callable[[list[HeatMaps]], Any], Callable[[list[HeatMaps]], Any]]] = {
        f"{IMAGE} x {IMAGE}, all {len(PAIRS)} pairs, table": (
            lambda of: released(of, PAIRS, True),
            lambda of: table(of, "image", True),
        ),
        f"{IMAGE} x {IMAGE}, {len(EDGES)} dependency pairs, table": (
            lambda of: released(of, edges, True),
            lambda of: table(of, "image", False),
        ),
        f"{GRID} x {GRID}, all {len(PAIRS)} pairs, table": (
            lambda of: released(of, PAIRS, False),
            lambda of: table(of, "grid", True),
        ),
        f"{GRID} x {GRID}, all {len(PAIRS)} pairs, arrays": (
            lambda of: released(of, PAIRS, False),
            arrays,
        ),
    }
    results: dict[str, Any] = {
        "compared": "IoU, IoD, IoH; processor time of one thread, per image",
        "words": WORDS,
        "images": len(images),
        "images of the released loop": len(some),
        "rounds": options.rounds,
    }
    for name, (theirs, ours) in ways.items():
        # Rounding decides single pixels at the threshold. This also warms up both.
        np.testing.assert_allclose(ours(some), np.array(theirs(some)), atol=1e-4)
        rounds = []
        for _ in range(options.rounds):
            rounds.append((seconds(theirs, some), seconds(ours, images)))
        ratios = sorted(their / our for their, our in rounds)
        results[name] = {
            "released, ms": 1e3 * statistics.median(their for their, _ in rounds),
            "ours, ms": 1e3 * statistics.median(our for _, our in rounds),
            "ratio": {"median": statistics.median(ratios), "min": ratios[0], "max": ratios[-1]},
        }
        print(name, json.dumps(results[name]), flush=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
