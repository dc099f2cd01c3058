"""What must be known of a model before the plan of a run is made; found out where the model is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from daam_syntax.attention.text_limits import Overflow, TextLimit, find_overflow, text_limits
from daam_syntax.drawing.traced_images import DrawingSettings
from daam_syntax.language import Sentence, prompt_id
from daam_syntax.runs.drawing.batch_size import choose_batch_size
from daam_syntax.runs.problems import Problem
from daam_syntax.runs.run_settings import describe_model

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
    limits
        How much of a prompt its text encoders read.
    overflow
        Prompts that they do not read to the end.
    unchecked
        Why limits are not known; "" where they are.
    """

    drawing: DrawingSettings
    model: Mapping[str, Any]
    batch_size: int
    limits: tuple[TextLimit, ...] = ()
    overflow: tuple[Overflow, ...] = ()
    unchecked: str = ""

    def problems(self) -> list[Problem]:
        """Return what is to be said of the prompts before anything is drawn."""
        if self.unchecked:
            message = f"Whether prompts are too long is not known: {self.unchecked}"
            consequence = "The table of words says of each whether it was read."
            return [Problem("prompts", "length not checked", message, consequence)]
        return [
            Problem(
                "prompts",
                "too long",
                str(found),
                "It is drawn; the words that are not read have no map.",
                prompt=found.prompt,
                prompt_id=prompt_id(found.prompt),
            )
            for found in self.overflow
        ]


def prepare(
    pipe: DiffusionPipeline,
    drawing: DrawingSettings,
    sentences: Sequence[Sentence],
    revision: str | None,
    batch_size: int | None,
) -> Prepared:
    """Check settings and prompts, identify the model, and find out how many images fit unless that is given."""
    checked = drawing.for_pipeline(pipe)
    if batch_size is None:
        batch_size = choose_batch_size(pipe, checked, sentences)
    known = Prepared(checked, describe_model(pipe, revision), batch_size)
    try:
        limits = text_limits(pipe)
        tokenizers = {limit: getattr(pipe, limit.tokenizer) for limit in limits}
        found = find_overflow([sentence.text for sentence in sentences], tokenizers)
    except Exception as error:  # the pipeline itself may call its encoders in another way
        return replace(known, unchecked=" ".join(str(error).split()) or type(error).__name__)
    return replace(known, limits=limits, overflow=found)
