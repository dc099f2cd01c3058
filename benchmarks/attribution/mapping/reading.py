"""Reads images with a pipeline, and remembers the reading that several methods share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.attribution.cases import BATCH, Case
from daam_syntax.attention import trace_images, trace_output_maps
from daam_syntax.attention.given_images import DEFAULT_TIMESTEPS
from daam_syntax.maps import HeatMaps, MapWeights, OutputMaps


@dataclass(eq=False)
class Reader:
    """A pipeline that reads images, and what methods have learned from other images.

    Attributes
    ----------
    pipe
        The pipeline.
    relevance
        Weights of attention heads by their relevance for things.
    learned
        Weights that were learned from masks of other images; None if there are none.
    timesteps
        Training timesteps at which images are read.
    seed
        Seed of the noise, which is the same for every image.
    batch
        Images in one denoiser call.
    """

    pipe: Any
    relevance: MapWeights
    learned: MapWeights | None = None
    timesteps: Sequence[int] = DEFAULT_TIMESTEPS
    seed: int = 0
    batch: int = BATCH
    _last: tuple[Sequence[Case], list[HeatMaps]] | None = field(default=None, repr=False)

    def kept(self, cases: Sequence[Case]) -> list[HeatMaps]:
        """Return maps with axes of layers and attention heads; those of the same cases are read once."""
        if self._last is None or self._last[0] is not cases:
            self._last = (cases, self.read(cases, keep=("layer", "head")))
        return self._last[1]

    def read(self, cases: Sequence[Case], **options: Any) -> list[HeatMaps]:
        """Trace the images of some cases, with options of `trace_images`."""
        return trace_images(*self._given(cases), **self._options(cases), **options)

    def read_outputs(self, cases: Sequence[Case]) -> list[OutputMaps]:
        """Trace the similarity of attention outputs."""
        return trace_output_maps(*self._given(cases), **self._options(cases), keep="layer")

    def _given(self, cases: Sequence[Case]) -> tuple[Any, list[Any], list[str]]:
        return (
            self.pipe,
            [case.image for case in cases],
            [case.sentence.text for case in cases],
        )

    def _options(self, cases: Sequence[Case]) -> dict[str, Any]:
        return {
            "sentences": {case.sentence.text: case.sentence for case in cases},
            "timesteps": self.timesteps,
            "seed": self.seed,
            "batch_size": self.batch,
            "progress": False,
        }
