"""What studies share: parsing their prompts, drawing again from the same noise, turning rows into findings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from daam_syntax.analysis import Estimate
from daam_syntax.attention.families import family_of
from daam_syntax.attention.provenance import describe_pipeline
from daam_syntax.drawing import DrawingSettings, check_prompts, generator_seed, identify
from daam_syntax.errors import StudyError
from daam_syntax.figures.tables import plural
from daam_syntax.language import Sentence, parse_many, prompt_id

Item = TypeVar("Item")

CONTENT: tuple[str, ...] = ("NOUN", "PROPN", "ADJ", "VERB")
"""Universal parts of speech of content words."""


def parse_prompts(
    prompts: str | Iterable[str] | None, default: Sequence[str], parser: Any = None
) -> list[Sentence]:
    """Parse a study's prompts, or its default ones.

    Raises
    ------
    PromptError
        If there is none, one is empty, or one stands there twice.
    """
    return parse_many(check_prompts(default if prompts is None else prompts), parser)


def content_words(sentence: Sentence, pos: Sequence[str] = CONTENT) -> list[int]:
    """Return the indices of the words of some parts of speech."""
    return [token.index for token in sentence.tokens if token.pos in pos]


def draw(
    pipe: Any,
    prompt: str,
    seed: int,
    settings: DrawingSettings,
    *,
    copies: int = 1,
    noise_of: str | None = None,
) -> np.ndarray:
    """Draw a prompt several times from the same noise.

    Parameters
    ----------
    pipe
        The pipeline.
    prompt
        The prompt.
    seed
        Number of the seed, see `generator_seed`.
    settings
        How to draw.
    copies
        How many pictures.
    noise_of
        Another prompt whose noise is used, so that the pictures can be compared; None for the prompt's own.

    Returns
    -------
    numpy.ndarray
        RGB in [0, 1], *shape* (picture, y, x, 3)
    """
    number = generator_seed(noise_of or prompt, seed)
    images = pipe(
        prompt,
        num_images_per_prompt=copies,
        generator=[torch.Generator(pipe.device).manual_seed(number) for _ in range(copies)],
        output_type="np",
        **settings.as_arguments(),
    ).images
    return np.asarray(images, dtype=np.float64)


def batched(items: Iterable[Item], n: int) -> Iterator[list[Item]]:
    """Yield the items in lists of `n`, the last perhaps shorter."""
    items = list(items)
    for start in range(0, len(items), n):
        yield items[start : start + n]


def image_row(sentence: Sentence, seed: int) -> dict[str, Any]:
    """Return the columns that say which image a row is about."""
    name = prompt_id(sentence.text)
    return {"prompt_id": name, "prompt": sentence.text, "image": f"{name}-{seed}", "seed": seed}


def inside_and_outside(change: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """Return the mean of a change inside and outside a mask.

    Parameters
    ----------
    change, mask
        *Shape:* (y, x)

    Returns
    -------
    dict
        ``inside``, ``outside``, their ``difference``, the ``whole`` picture's mean, the mask's ``area`` (share of the
        picture) and a ``reason`` where the mask leaves one side empty, whose mean is NaN.
    """
    inside = float(change[mask].mean()) if mask.any() else float("nan")
    outside = float(change[~mask].mean()) if not mask.all() else float("nan")
    reason = "" if mask.any() and not mask.all() else "the mask is empty or the whole picture"
    return {
        "inside": inside,
        "outside": outside,
        "difference": inside - outside,
        "whole": float(change.mean()),
        "area": float(mask.mean()),
        "reason": reason,
    }


def require_rows(rows: Sequence[Mapping[str, Any]], what: str) -> pd.DataFrame:
    """Return rows as a table.

    Raises
    ------
    StudyError
        If there is none, because the prompts do not have what the study is about.
    """
    if not rows:
        raise StudyError(f"Expected prompts with {what}, but none has such; choose other prompts.")
    return pd.DataFrame(rows)


def estimates_table(estimates: Iterable[Estimate]) -> pd.DataFrame:
    """Return estimates as a table, one a row."""
    return pd.DataFrame([estimate.as_dict() for estimate in estimates])


def finding(estimate: Estimate, *, digits: int = 3) -> str:
    """Say an estimate in a sentence: effect, interval, p-value, n."""
    if math.isnan(estimate.estimate):
        return f"{estimate.label}: not measured in any prompt."
    if estimate.reason:
        interval = estimate.interval
    else:
        low, high = f"{estimate.low:.{digits}f}", f"{estimate.high:.{digits}f}"
        interval = f"{100 * estimate.level:g} % interval {low} to {high}"
    p = ""
    if not math.isnan(estimate.p):
        p = ", p < 0.001" if estimate.p < 0.001 else f", p = {estimate.p:.3f}"
    n = f"n = {plural(estimate.n_prompts, 'prompt')}, {plural(estimate.n_images, 'image')}"
    return f"{estimate.label}: {estimate.estimate:.{digits}f} ({interval}{p}; {n})."


def provenance(
    pipe: Any, settings: DrawingSettings, seeds: int, sentences: Sequence[Sentence], **more: Any
) -> dict[str, Any]:
    """Return model, settings, seeds, parser and versions of a study."""
    return {
        **describe_pipeline(pipe, family_of(pipe)),
        **identify(pipe),
        **settings.as_dict(),
        "seeds": seeds,
        "parser": sentences[0].parser,
        **more,
    }


@contextmanager
def progress_bar(show: bool, total: int, what: str = "Drawing") -> Iterator[Callable[[], None]]:
    """Show a progress bar on stderr; gives the function that moves it on."""
    columns = (what, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not show, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
