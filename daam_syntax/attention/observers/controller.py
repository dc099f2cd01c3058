"""Observing or changing every attention call of a pipeline, with its step, rows and layout known."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from daam_syntax.attention.families import TokenLayout
from daam_syntax.attention.families.video import require_images
from daam_syntax.attention.observers.attachable import Attached
from daam_syntax.attention.observers.observer import PipelineObserver
from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.pipeline_call.provenance import INTERVENTIONS
from daam_syntax.attention.pipeline_call.recording_spec import RecordingSpec
from daam_syntax.attention.pipeline_call.state_editing import STATE_CHANGERS, StateChanger
from daam_syntax.attention.softmax.probabilities import AttentionCall
from daam_syntax.errors import TraceError
from daam_syntax.maps.selection import Grid

_CHANGED: Attached = WeakKeyDictionary()


@dataclass(frozen=True)
class CallSite:
    """Where and when an attention call is made.

    Attributes
    ----------
    path
        Path of the attention module in the denoiser.
    grid
        Rows and columns ``(y, x)`` of its pixels; None for attention that is not to text.
    pipeline_call
        The current pipeline call.
    step
        Number of the step, from 0. A step is a denoiser call with the prompts.
    progress
        Fraction of the steps that are over; NaN if the number of steps is unknown.
    rows
        The conditional rows of the batch, one per image.
    layouts
        For each image, which queries are pixels and which keys are text; empty for attention that is not to text.
    """

    path: str
    grid: Grid | None
    pipeline_call: PipelineCall
    step: int
    progress: float
    rows: slice
    layouts: tuple[TokenLayout, ...]

    @property
    def timestep(self) -> float:
        """The timestep of the current denoiser call."""
        return self.pipeline_call.timesteps[-1]


AttentionOverride = Callable[[CallSite, AttentionCall, Tensor, Tensor], Tensor]
"""A function of an attention call's site, the call, its values and its output, which returns the output to use.

It differs from the `OutputOverride` of the hooks, which knows only the module's path.
"""


class AttentionController(PipelineObserver):
    """Passes every attention call with conditional rows to a function, which may replace its output.

    Parameters
    ----------
    pipe
        A pipeline of a known family.
    override
        The function.
    on_start, on_end
        Functions of the pipeline call, called before its first step and after its last.
    self_attention
        Whether to include attention that is not to text.
    change
        Description of the change that `override` makes to the model, for the provenance of recordings
        (JSON-compatible values); None if it changes nothing. Only one controller that changes attention may be
        attached to a model.
    states
        Changes the states of the text, too; None to leave them.
    """

    refusal = (
        "Expected a model whose attention is not being changed, but another intervention on it is open: end that "
        "intervention first, or pass all edits in one list."
    )

    def __init__(
        self,
        pipe: Any,
        *,
        override: AttentionOverride,
        on_start: Callable[[PipelineCall], None],
        on_end: Callable[[PipelineCall], None],
        self_attention: bool = False,
        change: Mapping[str, Any] | None = None,
        states: StateChanger | None = None,
    ) -> None:
        require_images(pipe, "observe or change attention")
        super().__init__(pipe, RecordingSpec(), self._override_output)
        self.exclusive = None if change is None else _CHANGED
        self._override_call = override
        self._on_start = on_start
        self._on_end = on_end
        self._change = None if change is None else dict(change)
        self._states = states
        self._step = -1
        if self_attention:
            self.others = tuple(
                path
                for path, module in self.denoiser.named_modules()
                if hasattr(module, "get_processor") and path not in self.attentions
            )

    def _attach(self) -> None:
        """Follow the pipeline; recordings made meanwhile describe the change."""
        super()._attach()
        if self._change is not None:
            INTERVENTIONS[self.denoiser] = self._change
        if self._states is not None:
            STATE_CHANGERS[self.denoiser] = weakref.ref(self._states)

    def _restore(self) -> None:
        if self._states is not None:
            reference = STATE_CHANGERS.get(self.denoiser)
            if reference is not None and reference() is self._states:
                STATE_CHANGERS.pop(self.denoiser, None)
            self._states.stop()
        if INTERVENTIONS.get(self.denoiser) is self._change:
            INTERVENTIONS.pop(self.denoiser, None)
        super()._restore()

    def denoiser_called(self, inputs: Mapping[str, Any]) -> None:
        """Count the steps."""
        pipeline_call = self._pipeline_call()
        if not pipeline_call.timesteps:
            self._step = -1
            self._on_start(pipeline_call)
        super().denoiser_called(inputs)
        if self._rows.prompts is not None:
            self._step += 1

    def attention_ran(self, path: str, module: nn.Module, calls: Sequence[AttentionCall]) -> None:
        """Check that a text attention made a call with the text."""
        if path in self.attentions and self._rows.prompts is not None:
            self._text_call(path, module, calls, self._pipeline_call())

    def call_finished(self, pipeline_call: PipelineCall) -> None:
        """Report that a pipeline call has finished."""
        self._on_end(pipeline_call)
        pipeline_call.free_device()

    def _override_output(
        self, path: str, call: AttentionCall, value: Tensor, output: Tensor
    ) -> Tensor:
        rows = self._rows.prompts
        if rows is None:
            return output
        pipeline_call = self._pipeline_call()
        if self._is_perturbed(call):
            return output
        self._check_rows(call)
        grid: Grid | None = None
        layouts: tuple[TokenLayout, ...] = ()
        if path in self.attentions:
            layout = self._layout(call, pipeline_call)
            if layout is None:
                return output  # to the image of an IP-Adapter; otherwise `attention_ran` refuses it
            layouts = tuple(
                layout[rows] if isinstance(layout, list) else [layout] * pipeline_call.n_images
            )
            grid = self._grid(path, layouts[0].pixels.stop - layouts[0].pixels.start)
        site = CallSite(path, grid, pipeline_call, self._step, self._progress(), rows, layouts)
        return self._override_call(site, call, value, output)

    def _is_perturbed(self, call: AttentionCall) -> bool:
        """Return whether a call has perturbed rows alone."""
        n_rows, n_perturbed = self._rows.n, self._rows.n_perturbed
        if not n_perturbed or call.query.shape[0] != n_perturbed:
            return False
        if n_rows == 2 * n_perturbed:
            raise TraceError(
                "Expected perturbed-attention guidance together with a guidance scale above 1, but without it "
                "perturbed attention cannot be distinguished from the rest: pass guidance_scale, or pag_scale=0."
            )
        return True

    def _progress(self) -> float:
        expected = self._pipeline_call().expected
        return self._step / len(expected) if expected else math.nan
