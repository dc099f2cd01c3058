"""The setup of a study: a pipeline, parsed prompts, and drawing settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch

from daam_syntax.attention import trace
from daam_syntax.attention.families import family_of
from daam_syntax.attention.pipeline_call.provenance import provenance_of
from daam_syntax.drawing.seeds import generator_seed
from daam_syntax.drawing.traced_images import TracedImage
from daam_syntax.drawing.traced_images import draw as draw_traced
from daam_syntax.language import Sentence, parse_many
from daam_syntax.maps import HeatMaps
from daam_syntax.pipelines.devices import execution_device
from daam_syntax.pipelines.identity import identify
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.util.progress import Progress, show_progress

Item = TypeVar("Item")


@dataclass(frozen=True)
class Setup:
    """A pipeline, prompts, and drawing settings.

    Attributes
    ----------
    pipe
        A pipeline that can be traced.
    prompts
        Prompts, at least one and all different.
    seeds
        Number of images per prompt.
    settings
        Drawing settings.
    parser
        Dependency parser, as for `daam_syntax.trace`.
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
        """Yield each item with each seed, and show the progress over them on stderr."""
        with self._progress(len(items)) as bar:
            for item in items:
                for seed in range(self.seeds):
                    yield item, seed
                    bar.advance()

    def draw(
        self, prompt: str, seed: int, *, copies: int = 1, noise_of: str | None = None
    ) -> np.ndarray:
        """Draw a prompt once, or several times from the same noise.

        Parameters
        ----------
        prompt
            The prompt.
        seed
            Seed index, see `generator_seed`.
        copies
            Number of images.
        noise_of
            Another prompt whose noise is used, which makes the images comparable; None for the prompt's own noise.

        Returns
        -------
        numpy.ndarray
            RGB in [0, 1], *shape* (image, y, x, 3)
        """
        number = generator_seed(noise_of or prompt, seed)
        images = self.pipe(
            prompt,
            num_images_per_prompt=copies,
            generator=[
                torch.Generator(execution_device(self.pipe)).manual_seed(number)
                for _ in range(copies)
            ],
            output_type="np",
            **self.settings.as_arguments(),
        ).images
        return np.asarray(images, dtype=np.float64)

    def trace(
        self, sentence: Sentence, seed: int, *, noise_of: str | None = None, padding: bool = False
    ) -> tuple[np.ndarray, HeatMaps]:
        """Draw a sentence once; return the image, *shape* (y, x, 3), and its maps, including those of `padding`."""
        with trace(self.pipe, padding=padding) as recording:
            (image,) = self.draw(sentence.text, seed, noise_of=noise_of)
        return image, recording.heat_maps(sentences=sentence)[0]

    def traced_images(self) -> Iterator[TracedImage]:
        """Draw every prompt once per seed with its maps, prompt by prompt, and show the progress on stderr."""
        seeds = range(self.seeds)
        with self._progress(len(self.sentences)) as bar:
            for each in draw_traced(self.sentences, self.pipe, seeds=seeds, settings=self.settings):
                yield each
                bar.advance()

    def provenance(self) -> dict[str, Any]:
        """Return model, settings, seeds, parser and versions."""
        return {
            **provenance_of(self.pipe, family_of(self.pipe)),
            **identify(self.pipe),
            **self.settings.as_dict(),
            "seeds": self.seeds,
            "parser": self.sentences[0].parser,
        }

    def _progress(self, n_items: int) -> Progress:
        return show_progress(self.progress, n_items * self.seeds)
