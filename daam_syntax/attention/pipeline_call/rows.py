"""Which rows of the denoiser's batch are conditional, that is, belong to the prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import torch
from torch import Tensor

from daam_syntax.attention.families import Family
from daam_syntax.attention.pipeline_call.call import EncodedText, PipelineCall
from daam_syntax.attention.texts.drawn_text import Embedding
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
    n_perturbed
        Number of rows at the end that have the prompts' text, but perturbed self-attention. Layers that perturb their
        attention make a call of its own for them.
    """

    n: int
    prompts: slice | None
    negative: slice | None
    is_guided: bool
    n_perturbed: int = 0


NO_ROWS: Final = Rows(0, None, None, is_guided=False)


def rows_of(
    family: Family,
    pipeline_call: PipelineCall,
    inputs: Mapping[str, Any],
    *,
    is_perturbed: bool = False,
    has_image_guidance: bool = False,
) -> Rows:
    """Identify the rows of a denoiser call.

    Parameters
    ----------
    family
        The denoiser's family.
    pipeline_call
        The current pipeline call.
    inputs
        The denoiser's inputs by name.
    is_perturbed
        Whether perturbed-attention guidance adds rows at the end of the batch.
    has_image_guidance
        Whether a batch with guidance has the prompts first, and the negative prompts twice, see
        `daam_syntax.attention.pipeline_call.image_guidance`.

    Raises
    ------
    TraceError
        If the rows cannot be identified.
    """
    if family.is_extra_call(inputs):
        return NO_ROWS
    text = text_of(family, inputs)
    if family.guidance == "by-text":
        return _by_text(family, pipeline_call, text)
    n, n_images = len(text), pipeline_call.n_images
    if has_image_guidance and n == 3 * n_images:
        return Rows(n, slice(0, n_images), slice(2 * n_images, n), is_guided=True)
    n_perturbed = n_images if is_perturbed and n > n_images else 0
    rows = family.conditional_rows(n - n_perturbed, n_images)
    is_guided = n - n_perturbed > n_images
    if rows is None or (is_guided and pipeline_call.requested_guidance is False):
        refuse_rows(family, pipeline_call, n)
    return Rows(n, rows, _other_half(rows, n - n_perturbed), is_guided, n_perturbed)


def text_of(family: Family, inputs: Mapping[str, Any]) -> Any:
    """Return the embedded text among the denoiser's inputs, one row for each row of the batch."""
    text = inputs.get(family.text)
    if text is None:
        raise TraceError(
            f"Expected the {family.denoiser} to receive the text as {family.text}, but it received "
            f"{', '.join(inputs)}: register a Family for this model."
        )
    return text[0] if isinstance(text, tuple) else text  # with the images of an IP-Adapter


def text_differs(
    family: Family,
    pipeline_call: PipelineCall,
    inputs: Mapping[str, Any],
    rows: slice,
    *,
    of: EncodedText,
) -> Tensor:
    """Compare the text of some rows with the text that their maps are reported for; see `DrawnTexts.compare`.

    Parameters
    ----------
    family
        The denoiser's family.
    pipeline_call
        The current pipeline call.
    inputs
        The denoiser's inputs by name.
    rows
        Rows of the batch.
    of
        The reported text.

    Raises
    ------
    TraceError
        If the text has another length.
    """
    given = [text_of(family, inputs)[rows]]
    if family.second_text in inputs:
        given.append(inputs[family.second_text][rows])
    for one, known in zip(given, of.embeddings, strict=False):
        lengths = {len(row) for row in one}, {len(row) for row in known.original}
        if lengths[0] - lengths[1]:
            n, expected = (", ".join(map(str, sorted(each))) for each in lengths)
            raise TraceError(
                f"Expected the embeddings of {' | '.join(of.prompts)!r}, {expected} tokens long as encode_prompt "
                f"returned them, but the {family.denoiser} received others, {n} tokens long: do not replace the text "
                "during the pipeline call, or register a Family for this model if its pipeline shortens it."
            )
    return pipeline_call.drawn.compare(given, of.embeddings)


def _by_text(family: Family, pipeline_call: PipelineCall, text: Any) -> Rows:
    n, n_rows = pipeline_call.n_images, len(text)
    halves = [slice(start, start + n) for start in range(0, n_rows, n)]
    # If the prompt and the negative prompt are the same, either half will do.
    found, is_other = _find(text, halves, pipeline_call)
    if n_rows not in (n, 2 * n) and (n_rows > n or found):
        refuse_rows(family, pipeline_call, n_rows)
    if found is None and not is_other:
        if n_rows != n or not pipeline_call.timesteps:
            raise TraceError(
                f"Expected the {family.denoiser} to receive the text embeddings that encode_prompt returned, but it "
                "received others, so the rows of prompts and negative prompts cannot be distinguished: do not change "
                "the embeddings before the first step, and in your own loop encode the prompts before the negative "
                "prompts."
            )
        found = slice(0, n)  # a text in place of the prompts', which `DrawnTexts` reports
    negative = slice(0, n) if found is None else _other_half(found, n_rows)
    return Rows(n_rows, found, negative, is_guided=n_rows > n or found is None)


def _find(text: Any, halves: list[slice], pipeline_call: PipelineCall) -> tuple[slice | None, bool]:
    """Find the rows of the prompts, and whether other known texts have all rows if there are none.

    The device has to be waited for only if the pipeline copied its embeddings.
    """
    prompts, others = pipeline_call.embeddings[0], pipeline_call.other_embeddings
    for rows in halves:
        if prompts.is_held_by(text[rows]):
            return rows, False
    if any(each.is_held_by(text) for each in others):
        return None, True
    known: list[tuple[Any, Embedding]] = [(text[rows], prompts) for rows in halves]
    known += [(text, each) for each in others]
    differs = torch.stack([embedding.differs_from(given) for given, embedding in known]).tolist()
    same = [rows for rows, is_different in zip(halves, differs, strict=False) if not is_different]
    return (same[0] if same else None), not all(differs[len(halves) :])


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
        f"{n_rows}: switch off this kind of guidance (image guidance, for instance), which is not supported."
    )
