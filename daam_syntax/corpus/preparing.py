"""What must be known of a model before the plan of a run is made; found out where the model is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daam_syntax.corpus.batch_size import choose_batch_size
from daam_syntax.corpus.settings import describe_model
from daam_syntax.drawing import DrawingSettings
from daam_syntax.language import Sentence

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline


@dataclass(frozen=True)
class Prepared:
    """A model, and how it will draw.

    Attributes
    ----------
    drawing
        Settings that suit the pipeline.
    model
        What `describe_model` says about it.
    batch_size
        Images that are drawn together.
    """

    drawing: DrawingSettings
    model: Mapping[str, Any]
    batch_size: int


def prepare(
    pipe: DiffusionPipeline,
    drawing: DrawingSettings,
    sentences: Sequence[Sentence],
    revision: str | None,
    batch_size: int | None,
) -> Prepared:
    """Check the settings, identify the model, and find out how many images fit unless that is given."""
    checked = drawing.for_pipeline(pipe)
    if batch_size is None:
        batch_size = choose_batch_size(pipe, checked, sentences)
    return Prepared(checked, describe_model(pipe, revision), batch_size)
