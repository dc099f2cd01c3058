"""Whether a pipeline encodes a text for a call that begins, or in a callback of the call that is running."""

from __future__ import annotations

import inspect
from types import FrameType
from typing import Any


class RunningCall:
    """The pipeline's own call that is running.

    Most pipelines check their inputs first. A later call of `encode_prompt` from within the pipeline's `__call__` is
    then one of a callback. Pipelines without such a check are recognized by the frame of their `__call__`.

    Parameters
    ----------
    pipe
        The pipeline.
    """

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self._has_begun = False
        self._frame: FrameType | None = None

    def begin(self) -> None:
        """Remember that the pipeline has checked its inputs."""
        self._has_begun = True

    def encode(self) -> None:
        """Remember the call that encodes its prompts."""
        if not hasattr(self._pipe, "check_inputs"):
            self._frame = self._current_frame()

    def end(self) -> None:
        """Forget the call, which has ended or is given up."""
        self._has_begun, self._frame = False, None

    def is_current(self) -> bool:
        """Return whether the present code runs within the call."""
        frame = self._current_frame()
        return frame is not None and (self._has_begun or frame is self._frame)

    def _current_frame(self) -> FrameType | None:
        frame = inspect.currentframe()
        while frame is not None:
            if frame.f_code.co_name == "__call__" and frame.f_locals.get("self") is self._pipe:
                return frame
            frame = frame.f_back
        return None
