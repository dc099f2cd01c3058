"""Summing up what pixels attend to while a pipeline draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakSet

import torch
from torch import nn

from daam_syntax.attention.families import TokenLayout
from daam_syntax.attention.pipeline_call.call import EncodedText, PipelineCall
from daam_syntax.attention.pipeline_call.memory import Layer
from daam_syntax.attention.pipeline_call.observer import PipelineObserver
from daam_syntax.attention.pipeline_call.other_texts import foreign_probabilities, refuse_family
from daam_syntax.attention.pipeline_call.recording_spec import RecordingSpec
from daam_syntax.attention.pipeline_call.self_attention import (
    self_attention_call,
    self_attentions,
    shares_of_pixels,
)
from daam_syntax.attention.softmax.layer_sums import Grid
from daam_syntax.attention.softmax.probabilities import AttentionCall, text_probabilities
from daam_syntax.errors import TraceError

_TRACED: WeakSet[nn.Module] = WeakSet()


class Recorder(PipelineObserver):
    """Sums up the attention of what a pipeline draws.

    Parameters
    ----------
    pipe
        A pipeline of a known family.
    request
        What to record.

    Attributes
    ----------
    finished
        What was drawn, in order.
    """

    busy = _TRACED
    refusal = (
        "Expected a model that is not being traced, but a trace of it is open already: "
        "end that trace first. One trace can record any number of pipeline calls."
    )

    def __init__(self, pipe: Any, request: RecordingSpec) -> None:
        super().__init__(pipe, request)
        if request.also:
            refuse_family(self.family, self.denoiser)
        self._beside = (
            self_attentions(self.family, self.denoiser, self.attentions) if request.refine else {}
        )
        self._refines_jointly = request.refine and not self._beside
        self.others = tuple(self._beside)
        self._grids: dict[str, Grid] = {}
        self._step_is_counted = False
        self._records_step = True
        self.finished: list[PipelineCall] = []

    def finished_drawing(self, drawing: PipelineCall) -> None:
        """Keep a drawing."""
        if not drawing.layers:
            there = "; ".join(f"{path} {h}x{w}" for path, (h, w) in sorted(self._grids.items()))
            raise TraceError(
                f"Expected layers= to select a text attention, but it fits none of: {there}."
            )
        self._request.check_steps(drawing)
        if drawing.negative is not None and not drawing.negative.sums.grids:
            raise TraceError(
                "Expected rows that are drawn from the negative prompt, but all have the text of the prompt: "
                "where both are the same, or nothing is guided, trace without negative=True."
            )
        self.finished.append(drawing)

    def denoiser_called(self, inputs: Mapping[str, Any]) -> None:
        """Note what is drawn; its step is counted at the first attention that runs in it."""
        super().denoiser_called(inputs)
        if self._request.negative:
            self._check_negative(self._drawing())
        self._step_is_counted = False

    def _check_negative(self, drawing: PipelineCall) -> None:
        """Refuse a drawing without rows of a negative prompt as soon as that is known."""
        rows, ordered = self._rows, self.family.guidance != "by-text"
        if drawing.negative is None or (ordered and rows.prompts and rows.negative is None):
            raise TraceError(
                "Expected a drawing under guidance with a negative prompt, to trace its words (negative=True), "
                f"but {type(self._pipe).__name__} draws "
                f"{'without guidance' if drawing.negative else 'without a negative prompt in words'}: pass "
                "negative_prompt=... and a guidance scale of more than 1 (true_cfg_scale=... with Flux and "
                "Qwen-Image), or trace without negative=True. A scale that is an input of the model has no "
                "such half."
            )
        if rows.prompts is None and rows.negative is not None and not drawing.steps:
            raise TraceError(
                "Expected the denoiser to be called with the prompts first, but it was called with the negative "
                "ones: their steps cannot be counted. Trace without negative=True."
            )

    def attention_ran(self, path: str, module: nn.Module, calls: Sequence[AttentionCall]) -> None:
        """Add what an attention attended to."""
        drawing, rows = self._drawing(), self._rows
        if path in self._beside:
            if rows.prompts is not None:
                self._self_attention_ran(drawing, path, module, calls, rows.prompts)
            return
        if rows.prompts is not None:
            call, split, grid = self._record(drawing, drawing, rows.prompts, path, module, calls)
            if self._records(path, grid):
                if self._refines_jointly and drawing.self_attention.takes(grid):
                    self._refine_jointly(drawing, rows.prompts, path, call, split, grid)
                for text in drawing.also:
                    shares = foreign_probabilities(
                        text, module, call, rows.prompts, by_head="head" in self._request.keep
                    )
                    text.sums.add(path, grid, shares, len(drawing.steps) - 1)
        if rows.negative is not None and drawing.negative is not None:
            self._record(drawing, drawing.negative, rows.negative, path, module, calls)

    def _record(
        self,
        drawing: PipelineCall,
        text: EncodedText,
        rows: slice,
        path: str,
        module: nn.Module,
        calls: Sequence[AttentionCall],
    ) -> tuple[AttentionCall, TokenLayout | list[TokenLayout], Grid]:
        """Add what these rows attended to of the text that they are drawn from."""
        call, split = self._text_call(path, module, calls, text)
        pixels = (split if isinstance(split, TokenLayout) else split[0]).pixels
        grid = self._grids[path] = self._grid(path, pixels.stop - pixels.start)
        if text is drawing:
            self._begin_step(drawing)
        if self._request.records_layer(path, grid):
            self._request.add_layer(drawing, path, Layer(grid, call.query.shape[1]))
        if self._records(path, grid):
            shares = prompt_probabilities(
                call, split, rows, text.positions, by_head="head" in self._request.keep
            )
            text.sums.add(path, grid, shares, len(drawing.steps) - 1)
        return call, split, grid

    def _refine_jointly(
        self,
        drawing: PipelineCall,
        rows: slice,
        path: str,
        call: AttentionCall,
        split: TokenLayout | list[TokenLayout],
        grid: Grid,
    ) -> None:
        """Add what pixels attended to of each other in the attention that is to the text, too."""
        shares = shares_of_pixels(call, split, rows)
        if shares is None:
            raise TraceError(
                f"Expected {path} to attend to pixels, too, to refine maps (refine=True), but it attends "
                f"to text alone, and in {type(self.denoiser).__name__} no self-attention beside it is "
                "known: trace it without refine=True."
            )
        drawing.self_attention.add(path, grid, shares)

    def _records(self, path: str, grid: Grid) -> bool:
        return self._records_step and self._request.records_layer(path, grid)

    def _self_attention_ran(
        self,
        drawing: PipelineCall,
        path: str,
        module: nn.Module,
        calls: Sequence[AttentionCall],
        rows: slice,
    ) -> None:
        """Add what pixels attended to, where the text attention beside it is recorded."""
        call = self_attention_call(path, module, calls, self.family.denoiser)
        self._check_rows(call)
        drawing.heard.add(path)
        grid = self._grid(path, call.query.shape[-2])
        self._begin_step(drawing)
        if self._records(self._beside[path], grid) and drawing.self_attention.takes(grid):
            drawing.self_attention.add(path, grid, text_probabilities(call, rows=rows))

    def _begin_step(self, drawing: PipelineCall) -> None:
        """Count a step at the first attention that runs in it."""
        if self._step_is_counted:
            return
        drawing.steps.append(self._timestep)
        self._step_is_counted = True
        self._records_step = self._request.records_step(drawing)
        if self._records_step:
            drawing.recorded.append(len(drawing.steps) - 1)

    def denoiser_returned(self) -> None:
        """Check that all attentions were heard, and that there is memory enough."""
        super().denoiser_returned()
        self._check_heard(self._beside, "self-attentions")
        drawing = self._drawing()
        for text in drawing.texts:
            text.sums.join_layers()
        self._request.check_memory(drawing, sum(each.nbytes for each in self.finished))


def prompt_probabilities(
    call: AttentionCall,
    split: TokenLayout | list[TokenLayout],
    rows: slice,
    positions: list[int],
    *,
    by_head: bool = False,
) -> torch.Tensor:
    """Return the share of its attention that each pixel gives to each text key of `positions`.

    Returns
    -------
    Tensor
        *Shape:* (row, pixel, position), or (row, head, pixel, position)
    """
    if isinstance(split, TokenLayout):
        return text_probabilities(
            call,
            rows=rows,
            queries=split.pixels,
            keys=split.text,
            tokens=positions,
            by_head=by_head,
        )
    parts = []
    for row in range(rows.start, rows.stop):
        pixels, text = split[row].pixels, split[row].text
        seen = [place for place, position in enumerate(positions) if position < text.stop]
        part = text_probabilities(
            call,
            rows=slice(row, row + 1),
            queries=pixels,
            keys=text,
            tokens=[positions[place] for place in seen],
            by_head=by_head,
        )
        whole = part.new_zeros(*part.shape[:-1], len(positions))  # what is masked gets no attention
        whole[..., seen] = part
        parts.append(whole)
    return torch.cat(parts)
