"""Predicting the memory of a recording by running only the first step of a pipeline call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from daam_syntax.attention.tracing import trace
from daam_syntax.errors import MemoryLimitError, PromptError
from daam_syntax.language import check_prompt
from daam_syntax.maps.kept_maps import AXES
from daam_syntax.maps.selection import LayerSelection, StepSelection
from daam_syntax.util.arguments.checks import checked


@checked
def predict_memory(
    pipe: Any,
    prompt: str | Sequence[str],
    *,
    keep: Iterable[str] | str = AXES,
    layers: LayerSelection = None,
    steps: StepSelection = None,
    refine: bool = False,
    padding: bool = False,
    relations: Iterable[str] | str = ("image-text",),
    relation_axes: Iterable[str] | str | None = None,
    also: Iterable[str] | str = (),
    outputs: bool = False,
    **options: Any,
) -> int:
    """Return how many bytes a recording would take, by running only its first step.

    Parameters
    ----------
    pipe
        A diffusers pipeline.
    prompt
        The prompt or prompts.
    keep, layers, steps, refine, padding, relations, relation_axes, also, outputs
        As for `trace`.
    **options
        Further arguments of the pipeline call: ``num_inference_steps``, ``height``, ``width``,
        ``num_images_per_prompt``, ...

    Returns
    -------
    int
        Bytes of the recording, in main memory (without `keep`, in the accelerator's memory). Heat maps made from it
        take the same amount again.

    Raises
    ------
    TraceError
        If the pipeline cannot be traced.

    Examples
    --------
    >>> predict_memory(pipe, "a red cat", keep=("step", "head"), num_inference_steps=50)  # doctest: +SKIP
    """
    prompts = [check_prompt(each) for each in ([prompt] if isinstance(prompt, str) else prompt)]
    if not prompts:
        raise PromptError("Expected at least one prompt, but got none.")
    recording = trace(
        pipe,
        keep=keep,
        layers=layers,
        steps=steps,
        refine=refine,
        padding=padding,
        relations=relations,
        relation_axes=relation_axes,
        also=also,
        outputs=outputs,
        max_bytes=-1,  # refuses any recording after its first step
    )
    try:
        with recording:
            pipe(prompts[0] if isinstance(prompt, str) else prompts, **options)
    except MemoryLimitError as stopped:
        return stopped.predicted_bytes
    finally:
        pipe.maybe_free_model_hooks()
    raise AssertionError("a recording is larger than -1 bytes")  # pragma: no cover
