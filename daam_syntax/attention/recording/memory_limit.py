"""The limit on the memory of a trace, checked after the first step of each pipeline call."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.pipeline_call.memory import (
    default_max_bytes,
    predict_bytes,
    predict_relation_bytes,
    refuse_size,
)
from daam_syntax.attention.pipeline_call.recording_spec import RecordingSpec


class MemoryLimit:
    """Predicts the size of recordings, and refuses those that are too large.

    Parameters
    ----------
    spec
        What is recorded.

    Attributes
    ----------
    predicted_bytes
        Predicted size of the recording of the last pipeline call; None before its first step is over.
    """

    def __init__(self, spec: RecordingSpec) -> None:
        self.predicted_bytes: int | None = None
        self._spec = spec
        self._limit = math.inf

    def check(self, pipeline_call: PipelineCall, n_bytes_before: int) -> None:
        """Refuse a pipeline call whose recording would be too large, as soon as its first step is over.

        If the number of steps is unknown, the steps so far are counted, after each of them.

        Parameters
        ----------
        pipeline_call
            The current call.
        n_bytes_before
            Size of the recordings of earlier calls of the trace.

        Raises
        ------
        MemoryLimitError
            If the recording would be too large.
        """
        if not pipeline_call.layers:
            return
        if len(pipeline_call.steps) == 1:
            available = default_max_bytes(self._device(pipeline_call)) + n_bytes_before
            limit = self._spec.max_bytes
            self._limit = available if limit is None else limit
        elif pipeline_call.expected is not None:
            return
        sizes = self._sizes(pipeline_call)
        self.predicted_bytes = predict_bytes(
            pipeline_call.layers.values(), keep=self._spec.keep, **sizes
        ) + self._bytes_of_references(pipeline_call, sizes)
        own = {name: size for name, size in sizes.items() if name != "refine"}
        n_output_tokens = pipeline_call.n_output_tokens if self._spec.outputs else 0
        self.predicted_bytes += predict_bytes(
            pipeline_call.layers.values(),
            keep=self._spec.keep,
            **own | {"n_tokens": n_output_tokens},
        )
        self.predicted_bytes += predict_relation_bytes(
            pipeline_call.layers.values(),
            relations=self._spec.relations,
            keep=self._spec.axes_of_relations,
            **own,
        )
        if n_bytes_before + self.predicted_bytes > self._limit:
            limit = int(self._limit) - n_bytes_before
            raise refuse_size(
                self.predicted_bytes,
                limit,
                pipeline_call.layers,
                keep=self._spec.keep,
                relations=self._spec.relations,
                relation_axes=self._spec.relation_axes,
                n_output_tokens=n_output_tokens,
                **sizes,
            )

    def _bytes_of_references(self, pipeline_call: PipelineCall, sizes: dict[str, Any]) -> int:
        own = sizes | {"n_tokens": len(pipeline_call.positions), "refine": False}
        return sum(
            predict_bytes(
                [replace(layer, grid=each.grid) for layer in pipeline_call.layers.values()],
                keep=self._spec.keep,
                **own,
            )
            for each in pipeline_call.references
        )

    def _device(self, pipeline_call: PipelineCall) -> torch.device | None:
        """Return the device that holds sums; None if all are in main memory, because axes are kept."""
        if self._spec.keep and not self._spec.refine:
            return None
        return pipeline_call.self_attention.device or pipeline_call.sums.device

    def _sizes(self, pipeline_call: PipelineCall) -> dict[str, Any]:
        expected = pipeline_call.expected
        return {
            "n_images": pipeline_call.n_images * pipeline_call.n_frames,
            "n_tokens": pipeline_call.n_tokens,
            "n_steps": self._spec.n_recorded(pipeline_call.steps if expected is None else expected),
            "refine": self._spec.refine,
        }
