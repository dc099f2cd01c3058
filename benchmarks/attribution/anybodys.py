"""Measure the methods on a folder of anybody's images, captions, and masks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.attribution.cases import Maps, Scored
from benchmarks.attribution.folder import Target, read_folder
from benchmarks.attribution.mapping.methods import LEARNED, METHODS
from benchmarks.attribution.mapping.reading import Reader
from benchmarks.attribution.mapping.relevance import relevance
from benchmarks.attribution.running import Runner, parts_of_one_size, score_masks, summarized
from benchmarks.attribution.scoring import AGAINST_MASKS
from daam_syntax.attention.families import family_of
from daam_syntax.attention.given_images import DEFAULT_TIMESTEPS
from daam_syntax.attention.given_images.pixels import fitted_size, size_factor
from daam_syntax.maps import HeatMaps, MapWeights, learn_weights
from daam_syntax.util.images.fitting import Fit
from daam_syntax.util.progress import Progress, show_progress
from daam_syntax.util.wording import one_line

LEAST: Final = 4
"""Images from which weights are learned on each half, and scored on the other."""


@dataclass(frozen=True)
class Options:
    """How a folder is measured.

    Attributes
    ----------
    fit, size
        How images get the size that the model reads, see `daam_syntax.attention.trace_image`.
    voting, voting_steps, guidance
        Captions whose images let attention heads vote, the denoising steps of these images, and the guidance scale.
    timesteps
        Training timesteps at which images are read.
    batch
        Images in one denoiser call; the gradient of a large model needs much memory.
    progress
        Whether to show progress.
    """

    fit: Fit | None = None
    size: tuple[int, int] | None = None
    voting: int = 32
    voting_steps: int = 10
    guidance: float = 5.0
    timesteps: Sequence[int] = DEFAULT_TIMESTEPS
    batch: int = 1
    progress: bool = True


def measure_folder(pipe: Any, folder: Path, options: Options) -> dict[str, Any]:
    """Measure all methods that the model supports on the images of a folder.

    Weights are learned from masks on each half of the images, and scored on the other half.

    Raises
    ------
    FileError
        If the folder has a problem, see `read_folder`.
    TraceError
        If the model cannot read images of this size.
    """
    started, processor = time.monotonic(), time.process_time()
    family = family_of(pipe)
    factor = size_factor(pipe, family)
    target = Target(
        factor, options.fit, fitted_size(pipe, family, factor, options.fit, options.size)
    )
    scored = read_folder(folder, target)
    halves = [list(range(half, len(scored), 2)) for half in (0, 1)]
    learns = len(scored) >= LEAST
    total = options.voting + len(scored) * (2 if learns else 1)
    with show_progress(options.progress, total, label="Voting", unit="images") as bar:
        weights = relevance(
            pipe,
            options.voting,
            steps=options.voting_steps,
            guidance=options.guidance,
            bar=bar,
            batch=options.batch,
        )
        reader = Reader(pipe, weights, timesteps=options.timesteps, batch=options.batch)
        bar.describe("Learning")
        learned, problem = _learned(reader, scored, halves, bar) if learns else (None, _TOO_FEW)
        bar.describe("Reading")
        runner = Runner([each for each in METHODS if not each.from_masks or learned], bar)
        maps = _maps(runner, reader, scored, halves, learned)
    problems = dict(runner.problems) | ({} if learned else {LEARNED: problem})
    scores, thresholds = score_masks(scored, maps)
    result = summarized(
        scores,
        METHODS,
        AGAINST_MASKS,
        lambda name: {
            "thresholds": thresholds[name],
            "processor seconds": round(runner.seconds[name], 1),
        },
    )
    return {
        "images": str(folder),
        "model": type(pipe).__name__,
        "scenes": len(scored),
        "words": sum(len(each.things) for each in scored),
        "timesteps": list(reader.timesteps),
        "captions that voted": options.voting,
        "threads": torch.get_num_threads(),
        "seconds": round(time.monotonic() - started),
        "processor seconds": round(time.process_time() - processor),
        "not scored": problems,
        **result,
    }


_TOO_FEW: Final = f"fewer than {LEAST} images, so no half to learn from"


def _learned(
    reader: Reader, scored: Sequence[Scored], halves: Sequence[Sequence[int]], bar: Progress
) -> tuple[list[MapWeights] | None, str]:
    """Return the weights that the other half teaches each half, or why there are none."""

    def recorded(part: Sequence[Scored]) -> Iterator[HeatMaps]:
        for cases in parts_of_one_size([each.case for each in part], reader.batch):
            yield from reader.read(cases, keep=("layer", "head"))
            bar.advance(len(cases))

    weights = []
    for half in halves[::-1]:
        part = [scored[number] for number in half]
        masks = [{thing.word: thing.mask for thing in each.things} for each in part]
        try:
            weights.append(learn_weights(recorded(part), masks))
        except ValueError as error:  # no map is stronger inside
            return None, one_line(error)
    return weights, ""


def _maps(
    runner: Runner,
    reader: Reader,
    scored: Sequence[Scored],
    halves: Sequence[Sequence[int]],
    learned: Sequence[MapWeights] | None,
) -> dict[str, list[Maps]]:
    """Return the maps of all images, by method, in the order of the images."""
    found = []
    for place, half in enumerate(halves):
        own = replace(reader, learned=None if learned is None else learned[place])
        found.append(runner.maps(own, [scored[number].case for number in half]))
    order = np.argsort([number for half in halves for number in half])
    return {
        method.name: [(found[0][method.name] + found[1][method.name])[place] for place in order]
        for method in runner.methods
    }
