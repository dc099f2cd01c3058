"""The setup of a study of a stored run: nothing is drawn, and no model is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps
from daam_syntax.runs.stored_run import Run


@dataclass(frozen=True)
class StoredImage:
    """The heat maps of one image of a stored run.

    Attributes
    ----------
    prompt_id, seed
        Identify the image.
    maps
        Its heat maps.
    """

    prompt_id: str
    seed: int
    maps: HeatMaps


@dataclass(frozen=True)
class StoredSetup:
    """A stored run, in place of a `Setup` for studies that need only the maps.

    Attributes
    ----------
    run
        The run, as `daam_syntax.runs.open_run` returns it.
    """

    run: Run

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts of the run."""
        return tuple(sentence.text for sentence in self.run.sentences)

    @cached_property
    def sentences(self) -> list[Sentence]:
        """The prompts as the run parsed them."""
        return list(self.run.sentences)

    def traced_images(self) -> Iterator[StoredImage]:
        """Yield the maps of every stored image, prompt by prompt."""
        for maps in self.run.maps():
            known = maps.provenance
            yield StoredImage(known["prompt_id"], known["seed"], maps)

    def provenance(self) -> dict[str, Any]:
        """Return model, settings, seeds, parser, and the folder and sessions of the run."""
        return {
            **self.run.settings.model,
            **self.run.settings.drawing.as_dict(),
            "seeds": self.run.plan.n_seeds,
            "parser": self.run.settings.parser,
            "run": str(self.run.path),
            "sessions": self.run.sessions,
        }
