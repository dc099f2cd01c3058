"""Summing attention probabilities while a pipeline generates images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from daam_syntax.attention.families import TokenLayout
from daam_syntax.attention.families.video import require_images
from daam_syntax.attention.observers.attachable import Attached
from daam_syntax.attention.observers.observer import PipelineObserver
from daam_syntax.attention.pipeline_call.call import EncodedText, PipelineCall, Reference
from daam_syntax.attention.pipeline_call.memory import Layer
from daam_syntax.attention.pipeline_call.recording_spec import RecordingSpec
from daam_syntax.attention.recording.frames import pixels_of_frame, split_frames
from daam_syntax.attention.recording.laid_out import (
    is_joint,
    layouts_of_rows,
    prompt_probabilities,
)
from daam_syntax.attention.recording.memory_limit import MemoryLimit
from daam_syntax.attention.recording.other_texts import OtherTexts
from daam_syntax.attention.recording.outputs import similarity_to_text
from daam_syntax.attention.recording.self_attention import (
    pixel_probabilities,
    self_attention_call,
    self_attentions,
)
from daam_syntax.attention.softmax.layer_sums import LayerSums
from daam_syntax.attention.softmax.probabilities import AttentionCall, text_probabilities
from daam_syntax.errors import TraceError
from daam_syntax.maps.selection import Grid

_TRACED: Attached = WeakKeyDictionary()


class Recorder(PipelineObserver):
    """Sums the attention of a pipeline's calls.

    Parameters
    ----------
    pipe
        A pipeline of a known family.
    spec
        What to record.

    Attributes
    ----------
    finished
        The finished pipeline calls, in order.
    memory
        The limit on the size of the recording.
    """

    exclusive = _TRACED
    refusal = (
        "Expected a model that is not being traced, but another trace of it is open already: end that trace first. "
        "One trace can record any number of pipeline calls."
    )
    _selects_steps = True

    def __init__(self, pipe: Any, spec: RecordingSpec) -> None:
        super().__init__(pipe, spec)
        self._other_texts = OtherTexts(self.family, self.denoiser, self.attentions, spec)
        self.keeps_outputs = spec.outputs or self._other_texts.streams is not None
        # The text attention beside each self-attention, by the path of the self-attention.
        self._self_attentions = (
            self_attentions(self.family, self.denoiser, self.attentions) if spec.refine else {}
        )
        if spec.refine and self.family.frames is not None:
            require_images(pipe, "refine maps (refine=True)")
        self._refines_jointly = spec.refine and not self._self_attentions
        self.others = tuple(self._self_attentions)
        self._grids: dict[str, Grid] = {}
        self._step_is_counted = False
        self._records_step = True
        self.finished: list[PipelineCall] = []
        self.memory = MemoryLimit(spec)

    def _attach(self) -> None:
        super()._attach()
        self._other_texts.attach()

    def _restore(self) -> None:
        self._other_texts.detach()
        super()._restore()

    def call_finished(self, pipeline_call: PipelineCall) -> None:
        """Keep a finished pipeline call."""
        if not pipeline_call.layers:
            grids = "; ".join(f"{path} {h}x{w}" for path, (h, w) in sorted(self._grids.items()))
            raise TraceError(
                f"Expected layers= to select a text attention, but it matches none of: {grids}."
            )
        self._spec.check_steps(pipeline_call)
        if pipeline_call.negative is not None and not pipeline_call.negative.sums.grids:
            raise TraceError(
                "Expected rows of the negative prompt, but all rows have the text of the prompt: if both texts are "
                "the same, or there is no guidance, trace without negative=True."
            )
        pipeline_call.free_device()
        self.finished.append(pipeline_call)

    def denoiser_called(self, inputs: Mapping[str, Any]) -> None:
        """Prepare for a step, which counts once an attention runs in it."""
        super().denoiser_called(inputs)
        self._other_texts.begin_step(self._rows)
        if self._spec.negative:
            self._check_negative(self._pipeline_call())
        if self.family.frames is not None:
            self._pipeline_call().frames = tuple(self.family.frames(self._pipe, inputs))
        if self._spec.references and not self._pipeline_call().references:
            self._pipeline_call().references = self._references(inputs)
        self._step_is_counted = False

    def _references(self, inputs: Mapping[str, Any]) -> list[Reference]:
        """Return the reference images of a call, without any attention yet."""
        described = self.family.references(self._pipe, inputs)
        if not described:
            raise TraceError(
                f"Expected reference images, to trace their pixels (references=True), but {type(self._pipe).__name__} "
                "draws without any that attend to the text: pass it reference images, or trace without "
                "references=True."
            )
        return [Reference(grid, size, LayerSums(self._spec.keep)) for grid, size in described]

    def _check_negative(self, pipeline_call: PipelineCall) -> None:
        """Refuse a call without rows of a negative prompt as soon as this is known."""
        rows, ordered = self._rows, self.family.guidance != "by-text"
        if pipeline_call.negative is None or (ordered and rows.prompts and rows.negative is None):
            lacking = "guidance" if pipeline_call.negative else "a negative prompt in words"
            raise TraceError(
                "Expected guidance with a negative prompt, to trace its words (negative=True), but "
                f"{type(self._pipe).__name__} runs without {lacking}: pass negative_prompt=... and a guidance scale "
                "above 1 (true_cfg_scale=... for Flux and Qwen-Image), or trace without negative=True. Models whose "
                "guidance scale is an input have no unconditional rows."
            )
        if rows.prompts is None and rows.negative is not None and not pipeline_call.steps:
            raise TraceError(
                "Expected the first denoiser call to have the prompts, but it had the negative prompts, so their "
                "steps cannot be counted: trace without negative=True."
            )

    def attention_ran(self, path: str, module: nn.Module, calls: Sequence[AttentionCall]) -> None:
        """Add the attention of one module."""
        pipeline_call, rows = self._pipeline_call(), self._rows
        if path in self._self_attentions:
            if rows.prompts is not None:
                self._self_attention_ran(pipeline_call, path, module, calls, rows.prompts)
            return
        if rows.prompts is not None:
            call, layout, grid = self._record(
                pipeline_call, pipeline_call, rows.prompts, path, module, calls
            )
            is_recorded = self._records(path, grid)
            if is_recorded and self._refines_jointly and pipeline_call.self_attention.takes(grid):
                self._refine_jointly(pipeline_call, rows.prompts, path, call, layout, grid)
            if is_recorded and self._spec.outputs:
                similar = similarity_to_text(
                    path,
                    module,
                    call,
                    layouts_of_rows(layout, rows.prompts),
                    rows.prompts,
                    pipeline_call.positions,
                    by_head="head" in self._spec.keep,
                )
                by_frame = split_frames(similar, pipeline_call.n_frames)
                pipeline_call.output_sums.add(path, grid, by_frame, len(pipeline_call.steps) - 1)
            if pipeline_call.also and self._records_step:
                self._other_texts.attention_ran(
                    pipeline_call,
                    path,
                    module,
                    call,
                    layouts_of_rows(layout, rows.prompts),
                    rows.prompts,
                    self._inputs,
                    grid if is_recorded else None,
                )
        if rows.negative is not None and pipeline_call.negative is not None:
            self._record(pipeline_call, pipeline_call.negative, rows.negative, path, module, calls)

    def _record(
        self,
        pipeline_call: PipelineCall,
        text: EncodedText,
        rows: slice,
        path: str,
        module: nn.Module,
        calls: Sequence[AttentionCall],
    ) -> tuple[AttentionCall, TokenLayout | list[TokenLayout], Grid]:
        """Add the attention of some rows to their own text."""
        call, layout = self._text_call(path, module, calls, text)
        pixels = (layout if isinstance(layout, TokenLayout) else layout[0]).pixels
        n_frames = pipeline_call.n_frames
        grid = self._grids[path] = self._grid(
            path, pixels_of_frame(path, pixels.stop - pixels.start, n_frames)
        )
        if text is pipeline_call:
            self._begin_step(pipeline_call)
        if self._spec.records_layer(path, grid):
            self._spec.add_layer(pipeline_call, path, Layer(grid, call.query.shape[1]))
        if is_joint(call, layout):
            known = "recomputed" if call.logsumexp is None else "kernel"
            pipeline_call.denominators.add(known)
        if self._records(path, grid):
            probabilities = prompt_probabilities(
                call, layout, rows, text.positions, by_head="head" in self._spec.keep
            )
            by_frame = split_frames(probabilities, n_frames)
            text.sums.add(path, grid, by_frame, len(pipeline_call.steps) - 1)
            if text is pipeline_call and self._spec.references:
                self._record_references(pipeline_call, rows, path, call, layout)
        return call, layout, grid

    def _record_references(
        self,
        pipeline_call: PipelineCall,
        rows: slice,
        path: str,
        call: AttentionCall,
        layout: TokenLayout | list[TokenLayout],
    ) -> None:
        """Add the attention of the pixels of reference images."""
        assert isinstance(layout, TokenLayout), (
            "families with references have one layout for all rows"
        )
        for reference, pixels in zip(pipeline_call.references, layout.references, strict=True):
            probabilities = prompt_probabilities(
                call,
                replace(layout, pixels=pixels),
                rows,
                pipeline_call.positions,
                by_head="head" in self._spec.keep,
            )
            reference.sums.add(path, reference.grid, probabilities, len(pipeline_call.steps) - 1)

    def _refine_jointly(
        self,
        pipeline_call: PipelineCall,
        rows: slice,
        path: str,
        call: AttentionCall,
        layout: TokenLayout | list[TokenLayout],
        grid: Grid,
    ) -> None:
        """Add the attention between pixels from a joint attention to pixels and text."""
        probabilities = pixel_probabilities(call, layout, rows)
        if probabilities is None:
            raise TraceError(
                f"Expected {path} to attend to pixels, too, to refine maps (refine=True), but it attends to text "
                f"alone, and {type(self.denoiser).__name__} has no known self-attention beside it: trace without "
                "refine=True."
            )
        pipeline_call.self_attention.add(path, grid, probabilities)

    def _records(self, path: str, grid: Grid) -> bool:
        return self._records_step and self._spec.records_layer(path, grid)

    def _self_attention_ran(
        self,
        pipeline_call: PipelineCall,
        path: str,
        module: nn.Module,
        calls: Sequence[AttentionCall],
        rows: slice,
    ) -> None:
        """Add the attention between pixels, if the text attention beside it is recorded."""
        call = self_attention_call(path, module, calls, self.family.denoiser)
        self._check_rows(call)
        self._ran.add(path)
        grid = self._grid(path, call.query.shape[-2])
        self._begin_step(pipeline_call)
        is_recorded = self._records(self._self_attentions[path], grid)
        if is_recorded and pipeline_call.self_attention.takes(grid):
            pipeline_call.self_attention.add(path, grid, text_probabilities(call, rows=rows))

    def _begin_step(self, pipeline_call: PipelineCall) -> None:
        """Count a step when the first attention runs in it."""
        if self._step_is_counted:
            return
        pipeline_call.steps.append(self._inputs[self.family.timestep])
        self._step_is_counted = True
        self._records_step = self._spec.records_step(pipeline_call)
        if self._records_step:
            pipeline_call.recorded.append(len(pipeline_call.steps) - 1)

    def _reports_step(self) -> bool:
        return self._records_step

    def denoiser_returned(self) -> None:
        """Check that all attentions were observed, and that the recording is not too large."""
        super().denoiser_returned()
        self._other_texts.end_step()
        self._check_observed(self._self_attentions, "self-attentions")
        pipeline_call = self._pipeline_call()
        for sums in pipeline_call.all_sums:
            sums.settle()
        self.memory.check(pipeline_call, sum(each.n_bytes for each in self.finished))
