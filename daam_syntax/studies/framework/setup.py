"""What every study starts from: a pipeline, parsed prompts, and how they are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TimeRemainingColumn

from daam_syntax.attention import trace
from daam_syntax.attention.families import family_of
from daam_syntax.attention.pipeline_call.provenance import describe_pipeline
from daam_syntax.drawing.traced_images import DrawingSettings, TracedImage, generator_seed, identify
from daam_syntax.drawing.traced_images import draw as draw_traced
from daam_syntax.language import Sentence, parse_many
from daam_syntax.maps import HeatMaps

Item = TypeVar("Item")


@dataclass(frozen=True)
class Setup:
    """A pipeline, prompts, and how they are drawn.

    Attributes
    ----------
    pipe
        A pipeline that can be traced.
    prompts
        At least one, all different.
    seeds
        Images per prompt.
    settings
        How to draw.
    parser
        As for `daam_syntax.trace`.
    progress
        Whether to show a progress bar.
    """

    pipe: Any
    prompts: tuple[str, ...]
    seeds: int
    settings: DrawingSettings
    parser: Any = None
    progress: bool = False

    @cached_property
    def sentences(self) -> list[Sentence]:
        """The parsed prompts."""
        return parse_many(self.prompts, self.parser)

    def images_of(self, items: Sequence[Item]) -> Iterator[tuple[Item, int]]:
        """Yield each item with each seed, under a progress bar on stderr that moves on with every one."""
        with self._bar(len(items) * self.seeds) as (bar, task):
            for item in items:
                for seed in range(self.seeds):
                    yield item, seed
                    bar.advance(task)

    def draw(
        self, prompt: str, seed: int, *, copies: int = 1, noise_of: str | None = None
    ) -> np.ndarray:
        """Draw a prompt, perhaps several times from the same noise.

        Parameters
        ----------
        prompt
            The prompt.
        seed
            Number of the seed, see `generator_seed`.
        copies
            How many pictures.
        noise_of
            Another prompt whose noise is used, so that the pictures can be compared; None for the prompt's own.

        Returns
        -------
        numpy.ndarray
            RGB in [0, 1], *shape* (picture, y, x, 3)
        """
        number = generator_seed(noise_of or prompt, seed)
        images = self.pipe(
            prompt,
            num_images_per_prompt=copies,
            generator=[
                torch.Generator(self.pipe.device).manual_seed(number) for _ in range(copies)
            ],
            output_type="np",
            **self.settings.as_arguments(),
        ).images
        return np.asarray(images, dtype=np.float64)

    def trace(
        self, sentence: Sentence, seed: int, *, noise_of: str | None = None, padding: bool = False
    ) -> tuple[np.ndarray, HeatMaps]:
        """Draw a sentence once; return the picture, *shape* (y, x, 3), and its maps, if wanted those of padding too."""
        with trace(self.pipe, padding=padding) as recording:
            (picture,) = self.draw(sentence.text, seed, noise_of=noise_of)
        return picture, recording.heat_maps(sentences=sentence)[0]

    def drawings(self) -> Iterator[TracedImage]:
        """Draw every prompt once per seed with its maps, prompt by prompt, under a progress bar."""
        seeds = range(self.seeds)
        with self._bar(len(self.sentences) * self.seeds) as (bar, task):
            for each in draw_traced(self.sentences, self.pipe, seeds=seeds, settings=self.settings):
                yield each
                bar.advance(task)

    def provenance(self) -> dict[str, Any]:
        """Return model, settings, seeds, parser and versions."""
        return {
            **describe_pipeline(self.pipe, family_of(self.pipe)),
            **identify(self.pipe),
            **self.settings.as_dict(),
            "seeds": self.seeds,
            "parser": self.sentences[0].parser,
        }

    @contextmanager
    def _bar(self, total: int) -> Iterator[tuple[Progress, TaskID]]:
        columns = ("Drawing", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        with Progress(*columns, console=console, disable=not self.progress, transient=True) as bar:
            yield bar, bar.add_task("Drawing", total=total)
