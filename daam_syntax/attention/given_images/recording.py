"""Run a pipeline's denoiser on noised given images, and record its attention."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

import torch

from daam_syntax.attention.given_images.pixels import GivenImage, GivenPixels
from daam_syntax.attention.given_images.reading import GivenBatch
from daam_syntax.attention.tracing import Trace, trace
from daam_syntax.util.images.fitting import Fit
from daam_syntax.util.progress import Progress, show_progress

_PATIENCE: Final = 2.0  # seconds of remaining work that a progress display is for


def record_images(
    pipe: Any,
    images: Sequence[GivenImage],
    prompts: Sequence[str],
    *,
    fit: Fit | None,
    size: tuple[int, int] | None,
    timesteps: Sequence[int],
    seed: int,
    batch_size: int,
    progress: bool | None,
    **options: Any,
) -> tuple[Trace, list[GivenPixels]]:
    """Record a pipeline's attention to given images; for the parameters see `calls.trace_images`.

    Parameters
    ----------
    **options
        Options of `trace`.

    Returns
    -------
    recording : Trace
        What was recorded.
    given : list of GivenPixels
        The images as they were traced.
    """
    given = GivenBatch.prepare(pipe, images, prompts, fit=fit, size=size, timesteps=timesteps)
    batches = list(given.batches(batch_size))
    recording = trace(pipe, **options)
    if not given.pixels:
        return recording, []

    def describe(n_images: int) -> None:
        recording.describe_call(
            seeds=[seed] * n_images, settings={"guidance_scale": None, "source": "given image"}
        )

    n_calls = len(batches) * len(given.noising.timesteps)
    with torch.no_grad(), recording, _Bar(progress, n_calls) as bar:
        for rows in batches:
            given.read(rows, seed, on_start=describe, on_prediction=lambda _: bar.advance())
    return recording, given.pixels


class _Bar:
    """A progress display that appears only if the rest will take longer than two seconds.

    Parameters
    ----------
    show
        Whether to show progress; None to decide as the work goes on.
    total
        Number of denoiser calls.
    """

    def __init__(self, show: bool | None, total: int) -> None:
        self._show, self._total = show, total
        self._done = 0
        self._stack = ExitStack()
        self._bar: Progress | None = None

    def __enter__(self) -> _Bar:
        self._started = time.monotonic()
        if self._show:
            self._open()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def advance(self) -> None:
        """Count a denoiser call."""
        self._done += 1
        if self._bar is not None:
            self._bar.advance()
        elif self._show is None:
            left = self._total - self._done
            if (time.monotonic() - self._started) / self._done * left > _PATIENCE:
                self._open()

    def _open(self) -> None:
        self._bar = self._stack.enter_context(
            show_progress(True, self._total, self._done, label="Tracing", unit="denoiser calls")
        )
