"""Which rows of the denoiser's batch are conditional, that is, belong to the prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import torch

from daam_syntax.attention.families import Family
from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.errors import TraceError


@dataclass(frozen=True)
class Rows:
    """The rows of one denoiser call.

    Attributes
    ----------
    n
        Number of rows; 0 for a call that is ignored.
    prompts
        The rows of the prompts, one per image; None if there are none.
    negative
        The rows of the negative prompts, one per image; None if there are none.
    is_guided
        Whether this call, or another call of the same step, has unconditional rows.
    """

    n: int
    prompts: slice | None
    negative: slice | None
    is_guided: bool


NO_ROWS: Final = Rows(0, None, None, is_guided=False)


def rows_of(family: Family, pipeline_call: PipelineCall, inputs: Mapping[str, Any]) -> Rows:
    """Identify the rows of a denoiser call.

    Parameters
    ----------
    family
        The denoiser's family.
    pipeline_call
        The current pipeline call.
    inputs
        The denoiser's inputs by name.

    Raises
    ------
    TraceError
        If the rows cannot be identified.
    """
    if family.is_extra_call(inputs):
        return NO_ROWS
    text = inputs.get(family.text)
    if text is None:
        raise TraceError(
            f"Expected the {family.denoiser} to receive the text as {family.text}, but it received "
            f"{', '.join(inputs)}: register a Family for this model."
        )
    text = text[0] if isinstance(text, tuple) else text  # with the images of an IP-Adapter
    if family.guidance == "by-text":
        return _by_text(family, pipeline_call, text)
    rows = family.conditional_rows(len(text), pipeline_call.n_images)
    is_guided = len(text) > pipeline_call.n_images
    if rows is None or (is_guided and pipeline_call.requested_guidance is False):
        refuse_rows(family, pipeline_call, len(text))
    return Rows(len(text), rows, _other_half(rows, len(text)), is_guided)


def _by_text(family: Family, pipeline_call: PipelineCall, text: Any) -> Rows:
    n, n_rows = pipeline_call.n_images, len(text)
    halves = [slice(start, start + n) for start in range(0, n_rows, n)]
    # If the prompt and the negative prompt are the same, either half will do.
    found = next(
        (rows for rows in halves if is_same_text(text[rows], pipeline_call.embedded)), None
    )
    if n_rows not in (n, 2 * n) and (n_rows > n or found):
        refuse_rows(family, pipeline_call, n_rows)
    if found is None and not any(
        is_same_text(text, each) for each in pipeline_call.other_embeddings
    ):
        raise TraceError(
            f"Expected the {family.denoiser} to receive the text embeddings that encode_prompt returned, but it "
            "received others, so the rows of prompts and negative prompts cannot be distinguished: do not change "
            "the embeddings during the pipeline call, and in your own loop encode the prompts before the negative "
            "prompts."
        )
    negative = slice(0, n) if found is None else _other_half(found, n_rows)
    return Rows(n_rows, found, negative, is_guided=n_rows > n or found is None)


def _other_half(rows: slice, n_rows: int) -> slice | None:
    n = rows.stop - rows.start
    if n_rows == n:
        return None
    return slice(0, n) if rows.start else slice(n, n_rows)


def refuse_rows(family: Family, pipeline_call: PipelineCall, n_rows: int) -> NoReturn:
    """Raise a `TraceError` for a batch that matches neither the prompts alone nor ordinary guidance."""
    n_images = pipeline_call.n_images
    with_guidance = (
        "" if pipeline_call.requested_guidance is False else f", or {2 * n_images} with guidance"
    )
    raise TraceError(
        f"Expected a batch of {n_images} rows{with_guidance}, one per image, but the {family.denoiser} got "
        f"{n_rows}: switch off this kind of guidance (perturbed attention or image guidance), which is not "
        "supported."
    )


def is_same_text(given: Any, embedded: Any) -> bool:
    """Return whether two text embeddings are equal, perhaps in different number formats."""
    return given.shape == embedded.shape and torch.equal(given, embedded.to(given))
