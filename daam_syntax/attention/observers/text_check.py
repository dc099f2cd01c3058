"""Checking in each step that the denoiser receives the text that its maps are reported for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from daam_syntax.attention.families import Family
from daam_syntax.attention.pipeline_call.call import EncodedText, PipelineCall
from daam_syntax.attention.pipeline_call.refusals import refuse_other_text
from daam_syntax.attention.pipeline_call.rows import Rows, text_differs


class TextCheck:
    """Compares the text of denoiser calls with the reported text; see `DrawnTexts`.

    Parameters
    ----------
    family
        The pipeline's family.
    selects_steps
        Whether the user can choose which steps to record.
    """

    def __init__(self, family: Family, *, selects_steps: bool) -> None:
        self._family = family
        self._selects_steps = selects_steps
        self._differs: dict[bool, Tensor] = {}  # by whether it is of the negative prompts
        self._timestep: Any = 0.0

    def compare(self, pipeline_call: PipelineCall, inputs: Mapping[str, Any], rows: Rows) -> None:
        """Compare the text of a denoiser call that begins."""
        texts: dict[bool, tuple[EncodedText, slice | None]] = {False: (pipeline_call, rows.prompts)}
        if pipeline_call.negative is not None:
            texts[True] = pipeline_call.negative, rows.negative
        self._timestep = inputs[self._family.timestep]
        pipeline_call.drawn.n_steps += rows.prompts is not None
        self._differs = {
            is_negative: text_differs(self._family, pipeline_call, inputs, own, of=text)
            for is_negative, (text, own) in texts.items()
            if own is not None
        }

    def end_step(self, pipeline_call: PipelineCall, *, is_reported: bool) -> None:
        """Pass the comparison on to those that `check` reads if the step is reported, and keep nothing of it."""
        if is_reported:
            for is_negative, differs in self._differs.items():
                pipeline_call.drawn.add(self._timestep, differs, is_negative=is_negative)
        self._timestep, self._differs = 0.0, {}

    def check(self, pipeline_call: PipelineCall, *, may_wait: bool = False) -> None:
        """Raise a `TraceError` if a reported step was drawn from another text.

        Parameters
        ----------
        pipeline_call
            The pipeline call.
        may_wait
            Whether to wait for results on an accelerator.
        """
        other = pipeline_call.drawn.first_other(may_wait=may_wait)
        if other is None:
            return
        text = pipeline_call.negative if other.is_negative else pipeline_call
        assert text is not None, "only texts that are recorded are compared"
        refuse_other_text(
            self._family.denoiser, other, text.prompts, selects_steps=self._selects_steps
        )
