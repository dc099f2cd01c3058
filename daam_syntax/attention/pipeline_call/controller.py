"""Following a pipeline to intervene on it: whose attention a call is, when, and over which keys."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from torch import Tensor, nn

from daam_syntax.attention.families import TokenLayout
from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.pipeline_call.observer import PipelineObserver
from daam_syntax.attention.pipeline_call.provenance import INTERVENTIONS
from daam_syntax.attention.pipeline_call.recording_spec import RecordingSpec
from daam_syntax.attention.softmax.probabilities import AttentionCall

_CHANGED: WeakSet[nn.Module] = WeakSet()


@dataclass(frozen=True)
class CallSite:
    """Where and when an attention call is made.

    Attributes
    ----------
    path
        The module's path in the denoiser.
    grid
        Rows and columns (y, x) of its pixels; None for attention that is not to the text.
    drawing
        What is being drawn.
    step
        Number of the step, from 0: a step is a call of the denoiser with the prompts.
    progress
        Share of the drawing's steps that are over; NaN if it is not known how many there will be.
    timestep
        The timestep.
    rows
        The rows of the batch that are drawn from the prompts, one per image.
    splits
        For each image, which queries are pixels and which keys are text; empty for attention that
        is not to the text.
    """

    path: str
    grid: tuple[int, int] | None
    drawing: PipelineCall
    step: int
    progress: float
    timestep: float
    rows: slice
    splits: tuple[TokenLayout, ...]

    def prompt_of(self, image: int) -> int:
        """Return the number of the prompt that an image is drawn from."""
        return image // self.drawing.images_per_prompt


AttentionOverride = Callable[[CallSite, AttentionCall, Tensor, Tensor], Tensor]
"""A function of the site, the call, its values and its output, which returns what to use instead."""


class AttentionController(PipelineObserver):
    """Answers the attention calls of a pipeline.

    Parameters
    ----------
    pipe
        A pipeline of a known family.
    respond
        Asked at every attention call of the rows that are drawn from the prompts.
    begun, ended
        Told of each drawing, before its first step and after its last.
    self_attention
        Whether attention that is not to the text is answered, too.
    does
        What `respond` does to the model, for the provenance of what is recorded meanwhile (values for JSON); None if
        it changes nothing. Only one such that does may be at work on a model.
    """

    refusal = (
        "Expected a model whose attention is not being changed, but an intervention on it is "
        "open already: end that one first, or pass all edits in one list."
    )

    def __init__(
        self,
        pipe: Any,
        *,
        respond: AttentionOverride,
        begun: Callable[[PipelineCall], None],
        ended: Callable[[PipelineCall], None],
        self_attention: bool = False,
        does: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(pipe, RecordingSpec(), self._answer_call)
        self.busy = None if does is None else _CHANGED
        self._respond = respond
        self._begun = begun
        self._ended = ended
        self._does = does
        self._step = -1
        if self_attention:
            self.others = tuple(
                path
                for path, module in self.denoiser.named_modules()
                if hasattr(module, "get_processor") and path not in self.attentions
            )

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Follow the pipeline inside a ``with`` block, and say meanwhile what is done to it."""
        with super().at_work():
            if self._does is not None:
                INTERVENTIONS[self.denoiser] = dict(self._does)
            try:
                yield
            finally:
                if self._does is not None:
                    INTERVENTIONS.pop(self.denoiser, None)

    def denoiser_called(self, inputs: Mapping[str, Any]) -> None:
        """Count the steps."""
        drawing = self._drawing()
        if not drawing.timesteps:
            self._step = -1
            self._begun(drawing)
        super().denoiser_called(inputs)
        if self._rows.prompts is not None:
            self._step += 1

    def attention_ran(self, path: str, module: nn.Module, calls: Sequence[AttentionCall]) -> None:
        """Check that text attentions made a call with the text."""
        if path in self.attentions and self._rows.prompts is not None:
            self._text_call(path, module, calls, self._drawing())

    def finished_drawing(self, drawing: PipelineCall) -> None:
        """Tell that a drawing has come to its end."""
        self._ended(drawing)

    def _answer_call(self, path: str, call: AttentionCall, value: Tensor, output: Tensor) -> Tensor:
        rows = self._rows.prompts
        if rows is None:
            return output
        drawing = self._drawing()
        self._check_rows(call)
        grid: tuple[int, int] | None = None
        splits: tuple[TokenLayout, ...] = ()
        if path in self.attentions:
            split = self._split(call, drawing)
            if split is None:
                return output  # to the image of an IP-Adapter; or it is refused afterwards
            splits = tuple(split[rows] if isinstance(split, list) else [split] * drawing.n_images)
            grid = self._grid(path, splits[0].pixels.stop - splits[0].pixels.start)
        site = CallSite(
            path, grid, drawing, self._step, self._progress(), self._timestep, rows, splits
        )
        return self._respond(site, call, value, output)

    def _progress(self) -> float:
        expected = self._drawing().expected
        return self._step / len(expected) if expected else math.nan
