"""Check the settings and the prompts of a run against its model, where the model is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from daam_syntax.attention import trace
from daam_syntax.attention.families import family_of
from daam_syntax.attention.prompt_overflow import Overflow, TextLimit, find_overflow, text_limits
from daam_syntax.attention.text_encoders.components import encoders_of
from daam_syntax.language import Sentence, prompt_id
from daam_syntax.pipelines.identity import identify_on_device
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.runs.drawing.batch_size import choose_batch_size
from daam_syntax.runs.problems import Problem
from daam_syntax.util.wording import one_line

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline


@dataclass(frozen=True)
class PreparedModel:
    """A model and the settings with which it will draw.

    Attributes
    ----------
    settings
        Settings of the pipeline calls, checked for the pipeline.
    model
        Identity of the model, see `identify_on_device`.
    batch_size
        Images that are drawn together.
    limits
        How much of a prompt each text encoder reads.
    overflow
        Prompts that the text encoders do not read to the end.
    unchecked
        Why the limits are unknown; "" if they are known.
    """

    settings: DrawingSettings
    model: Mapping[str, Any]
    batch_size: int
    limits: tuple[TextLimit, ...] = ()
    overflow: tuple[Overflow, ...] = ()
    unchecked: str = ""

    def problems(self) -> list[Problem]:
        """Return the problems with the prompts that are known before anything is drawn."""
        if self.unchecked:
            message = f"Prompt lengths could not be checked: {self.unchecked}"
            consequence = "The table of words has a status for each word."
            return [Problem("prompts", "length not checked", message, consequence)]
        return [
            Problem(
                "prompts",
                "too long",
                str(found),
                "It is drawn; words that are not read have no map.",
                prompt=found.prompt,
                prompt_id=prompt_id(found.prompt),
            )
            for found in self.overflow
        ]


def prepare(
    pipe: DiffusionPipeline,
    settings: DrawingSettings,
    texts: Sequence[str],
    longest: Sentence,
    revision: str | None,
    batch_size: int | None,
    relations: Sequence[str] = (),
    relation_axes: Sequence[str] = (),
) -> PreparedModel:
    """Check settings, relations, and prompts, identify the model, and choose the batch size if it is None.

    The batch size depends on the longest prompt.

    Raises
    ------
    ModelError, TraceError
        If the pipeline does not take the settings, or its attention lacks a relation.
    """
    checked = settings.for_pipeline(pipe)
    if relations:
        trace(pipe, relations=relations)  # refuses relations that the model does not have
    if "encoder" in relations:
        encoders_of(pipe, family_of(pipe))
    if batch_size is None:
        batch_size = choose_batch_size(pipe, checked, longest, relations, relation_axes)
    prepared = PreparedModel(checked, identify_on_device(pipe, revision), batch_size)
    try:
        limits = text_limits(pipe)
        tokenizers = {limit: getattr(pipe, limit.tokenizer) for limit in limits}
        found = find_overflow(texts, tokenizers)
    except Exception as error:  # only a check: the pipeline may still be able to encode the prompts
        return replace(prepared, unchecked=one_line(error))
    return replace(prepared, limits=limits, overflow=found)
