"""Which rows of the denoiser's batch are drawn from the prompts."""

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
    """The rows of one call of the denoiser.

    Attributes
    ----------
    n
        How many there are; 0 in a call that is left out.
    prompts
        Those drawn from the prompts, one per image; None if there are none.
    negative
        Those drawn from the negative prompts, one per image; None if there are none.
    is_guided
        Whether the call, or another one of the same step, has unconditional rows.
    """

    n: int
    prompts: slice | None
    negative: slice | None
    is_guided: bool


NO_ROWS: Final = Rows(0, None, None, is_guided=False)


def rows_of(family: Family, drawing: PipelineCall, inputs: Mapping[str, Any]) -> Rows:
    """Tell the rows of a call of the denoiser.

    Parameters
    ----------
    family
        The denoiser's family.
    drawing
        What is being drawn.
    inputs
        The denoiser's inputs by name.

    Raises
    ------
    TraceError
        If they cannot be told.
    """
    if family.is_extra_call(inputs):
        return NO_ROWS
    text = inputs.get(family.text)
    if text is None:
        raise TraceError(
            f"Expected the {family.denoiser} to be given the text as {family.text}, but "
            f"it was given {', '.join(inputs)}: this model needs a Family of its own."
        )
    text = text[0] if isinstance(text, tuple) else text  # with the images of an IP-Adapter
    if family.guidance == "by-text":
        return _by_text(family, drawing, text)
    rows = family.conditional_rows(len(text), drawing.n_images)
    is_guided = len(text) > drawing.n_images
    if rows is None or (is_guided and drawing.asked_guidance is False):
        refuse_rows(family, drawing, len(text))
    return Rows(len(text), rows, _other_half(rows, len(text)), is_guided)


def _by_text(family: Family, drawing: PipelineCall, text: Any) -> Rows:
    n, n_rows = drawing.n_images, len(text)
    halves = [slice(start, start + n) for start in range(0, n_rows, n)]
    # Where prompt and negative prompt are the same, it does not matter which is taken.
    found = next((rows for rows in halves if is_same_text(text[rows], drawing.embedded)), None)
    if n_rows not in (n, 2 * n) and (n_rows > n or found):
        refuse_rows(family, drawing, n_rows)
    if found is None and not any(is_same_text(text, each) for each in drawing.embedded_otherwise):
        raise TraceError(
            f"Expected the {family.denoiser} to be given the text as encode_prompt embedded "
            "it, but it was given another: so prompts cannot be told from negative prompts. Do "
            "not change the embeddings while the pipeline draws, and in a loop of your own "
            "encode the prompts before the negative ones."
        )
    negative = slice(0, n) if found is None else _other_half(found, n_rows)
    return Rows(n_rows, found, negative, is_guided=n_rows > n or found is None)


def _other_half(rows: slice, n_rows: int) -> slice | None:
    n = rows.stop - rows.start
    if n_rows == n:
        return None
    return slice(0, n) if rows.start else slice(n, n_rows)


def refuse_rows(family: Family, drawing: PipelineCall, n_rows: int) -> NoReturn:
    """Raise a `TraceError` for a batch that is neither of the prompts nor with ordinary guidance."""
    with_guidance = (
        "" if drawing.asked_guidance is False else f", or {2 * drawing.n_images} with guidance"
    )
    raise TraceError(
        f"Expected a batch of {drawing.n_images} rows{with_guidance}, one per image, but "
        f"the {family.denoiser} got {n_rows}: this kind of guidance (perturbed "
        "attention, image guidance) is not supported; switch it off."
    )


def is_same_text(given: Any, embedded: Any) -> bool:
    """Whether the denoiser's text is what was embedded (perhaps in another number format)."""
    return given.shape == embedded.shape and torch.equal(given, embedded.to(given))
