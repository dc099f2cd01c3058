"""Predicting the memory that a recording takes, by generating only its first step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from daam_syntax.attention.tracing import Trace
from daam_syntax.errors import MemoryLimitError
from daam_syntax.maps.kept_maps import AXES
from daam_syntax.maps.selection import LayerSelection, StepSelection


def predict_memory(
    pipe: Any,
    prompt: str | Sequence[str],
    *,
    keep: Iterable[str] | str = AXES,
    layers: LayerSelection = None,
    steps: StepSelection = None,
    refine: bool = False,
    padding: bool = False,
    **options: Any,
) -> int:
    """Find out how many bytes a recording would take, by drawing only its first step.

    Parameters
    ----------
    pipe
        A diffusers pipeline.
    prompt
        The prompt or prompts.
    keep, layers, steps, refine, padding
        As for `trace`.
    **options
        Whatever else the pipeline is to be called with: ``num_inference_steps``, ``height``,
        ``width``, ``num_images_per_prompt``, ...

    Returns
    -------
    int
        Bytes of the recording, in the machine's memory (without `keep`, in the accelerator's). Heat
        maps made from it take the same once more.

    Raises
    ------
    TraceError
        If the pipeline cannot be traced.

    Examples
    --------
    >>> predict_memory(pipe, "a red cat", keep=("step", "head"), num_inference_steps=50)  # doctest: +SKIP
    """
    try:
        with Trace(
            pipe,
            keep=keep,
            layers=layers,
            steps=steps,
            refine=refine,
            padding=padding,
            max_bytes=-1,
        ):
            pipe(prompt, **options)
    except MemoryLimitError as stopped:
        return stopped.predicted_bytes
    finally:
        pipe.maybe_free_model_hooks()
    raise AssertionError("a recording is larger than -1 bytes")  # pragma: no cover
