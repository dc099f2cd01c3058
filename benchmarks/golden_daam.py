"""Golden values of the released ``daam`` 0.2.0: ``python -m benchmarks.golden_daam --daam FOLDER``.

Install that package next to the project, without its pinned dependencies; only the numbers enter the project::

    pip install --no-deps --target daam-released daam==0.2.0
    python -m benchmarks.golden_daam --daam daam-released

Writes ``tests/analysis/golden_daam.json``: maps summed over steps (as the released tracer leaves them), and the values
that ``WordHeatMap.expand_as``, ``compute_iou``, and ``compute_ioa`` return for every pair of them. The maps are square
because the released code requires it.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

GOLDEN = Path(__file__).parents[1] / "tests" / "analysis" / "golden_daam.json"
STEPS = 30
GRID, IMAGE = 12, 48


def summed_maps() -> np.ndarray:
    """Return maps (word, y, x) that differ in breadth, strength, and floor; the last has an empty mask."""
    generator = np.random.default_rng(0)
    y, x = np.indices((GRID, GRID))
    maps = []
    for centre, width, peak, floor in [
        ((4, 4), 2.5, 0.9, 0.05),
        ((5, 7), 4.0, 0.5, 0.10),
        ((8, 3), 1.0, 1.5, 0.00),  # sharp: upscaling undershoots around it
        ((6, 6), 9.0, 0.3, 0.08),
        ((2, 9), 3.0, 0.08, 0.02),
    ]:
        distance = (y - centre[0]) ** 2 + (x - centre[1]) ** 2
        bump = floor + peak * np.exp(-distance / (2 * width**2))
        maps.append(bump * (1 + 0.1 * generator.random((GRID, GRID))))
    return np.round(maps, 4)


def measure(first: torch.Tensor, second: torch.Tensor) -> dict[str, float]:
    """Measure the masks of a head and a dependent with the released functions."""
    from daam.evaluate import compute_ioa, compute_iou

    return {
        "iou": compute_iou(first, second),
        "iod": compute_ioa(second, first),
        "ioh": compute_ioa(first, second),
    }


def all_pairs(masks: list[torch.Tensor]) -> list[dict[str, Any]]:
    """Measure every ordered pair of masks."""
    pairs = permutations(range(len(masks)), 2)
    return [{"head": i, "dependent": j, **measure(masks[i], masks[j])} for i, j in pairs]


def main() -> None:
    """Write the file."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--daam", required=True, help="folder with the released package")
    sys.path.insert(0, arguments.parse_args().daam)
    from daam.heatmap import WordHeatMap

    maps = summed_maps()
    words = [WordHeatMap(torch.from_numpy(m).float()) for m in maps]
    image = SimpleNamespace(size=(IMAGE, IMAGE))
    upscaled = [word.expand_as(image, absolute=True) for word in words]
    golden = {
        "made by": "python -m benchmarks.golden_daam, with daam 0.2.0",
        "steps": STEPS,
        "image_size": [IMAGE, IMAGE],
        "summed_maps": maps.tolist(),
        "least upscaled value": [float(m.min()) for m in upscaled],
        "grid, absolute 0.15": all_pairs([(word.value > 0.15).float() for word in words]),
        "image, absolute 0.15": all_pairs(
            [word.expand_as(image, absolute=True, threshold=0.15) for word in words]
        ),
        "image, min-max 0.4": all_pairs([word.expand_as(image, threshold=0.4) for word in words]),
    }
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
