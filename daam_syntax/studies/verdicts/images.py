"""The images of the study with their measures and verdicts, drawn now or stored in a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from PIL.Image import Image

from daam_syntax.emoji.model import NAME, annotator_for
from daam_syntax.emoji.vocabulary import BACKGROUNDS
from daam_syntax.errors import StudyError
from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps
from daam_syntax.studies.framework.stored_setup import StoredSetup
from daam_syntax.studies.framework.word_classes import places_of
from daam_syntax.studies.verdicts.judging.annotated import Asked, verdict
from daam_syntax.studies.verdicts.judging.failures import ANY, KINDS, with_any
from daam_syntax.studies.verdicts.map_measures import measure_image
from daam_syntax.studies.verdicts.prompt_features import describe_prompt

if TYPE_CHECKING:
    from daam_syntax.emoji.annotator import Annotator
    from daam_syntax.studies.framework.setup import Setup

THUMBNAIL: Final = 128
"""Longer side of the images that are kept for the figure of examples, in pixels."""

Key = tuple[str, int]
"""Id of the prompt and seed of an image."""


def first_prompts(setup: Setup | StoredSetup, limit: int | None) -> Setup | StoredSetup:
    """Return the setup with the first prompts only; a stored run is limited when it is read."""
    if limit is not None and limit < 1:
        raise StudyError(f"Expected a limit of at least 1 prompt, but got {limit}.")
    if limit is None or isinstance(setup, StoredSetup):
        return setup
    return replace(setup, prompts=setup.prompts[:limit])


def places_in(setup: Setup | StoredSetup) -> frozenset[str]:
    """Return the nouns that name backgrounds, which are known of the embedded model only."""
    if isinstance(setup, StoredSetup):
        return frozenset(BACKGROUNDS) if _is_embedded(setup) else frozenset()
    return places_of(setup.pipe)


def annotator_of(setup: Setup | StoredSetup) -> Annotator | None:
    """Return the annotator where it can judge: drawn or stored images of the embedded model."""
    if not isinstance(setup, StoredSetup):
        return annotator_for(setup.pipe)
    if not _is_embedded(setup):
        return None
    from daam_syntax.emoji.annotator import Annotator

    return Annotator.load()


def _is_embedded(setup: StoredSetup) -> bool:
    return bool(setup.run.settings.model.get("model") == NAME)


def measured_images(
    setup: Setup | StoredSetup,
    sentences: Sequence[Sentence],
    threshold: str,
    annotator: Annotator | None,
) -> tuple[pd.DataFrame, dict[Key, np.ndarray]]:
    """Measure the images of some prompts, and judge them if there is an annotator.

    Parameters
    ----------
    setup
        The setup, or a stored run.
    sentences
        The prompts.
    threshold
        Threshold rule for masks.
    annotator
        The annotator; None if others judge the images.

    Returns
    -------
    images
        One row per image: its prompt and seed, verdicts (NaN without an annotator), features of the prompt, measures.
    thumbnails
        The images as far as they are known, RGB in [0, 1], by prompt id and seed. *Shape of each:* ``(y, x, 3)``.

    Raises
    ------
    StudyError
        If there are no images, or if the annotator should judge images that a stored run does not have.
    """
    places = places_in(setup)
    asked = {sentence.text: Asked.of(sentence) for sentence in sentences}
    described = {sentence.text: describe_prompt(sentence, places) for sentence in sentences}
    rows: list[dict[str, Any]] = []
    thumbnails: dict[Key, np.ndarray] = {}
    for prompt_id, seed, maps, image in _each(setup, set(asked), annotator is not None):
        prompt = maps.prompt
        row: dict[str, Any] = {"image": f"{prompt_id}-{seed}", "prompt_id": prompt_id}
        row |= {"prompt": prompt, "seed": seed} | dict.fromkeys((*KINDS, ANY), float("nan"))
        if annotator is not None and image is not None:
            (seen,) = annotator([image])
            row |= verdict(seen, asked[prompt])
        if image is not None:
            thumbnails[prompt_id, seed] = _thumbnail(image)
        rows.append(row | described[prompt] | measure_image(maps, places, threshold))
    if not rows:
        raise StudyError(
            "Expected images of the prompts, but the run has none yet: continue it, then repeat this."
        )
    images = pd.DataFrame(rows)
    return with_any(images) if annotator is not None else images, thumbnails


def _each(
    setup: Setup | StoredSetup, prompts: set[str], needs_images: bool
) -> Iterator[tuple[str, int, HeatMaps, Image | None]]:
    """Yield the prompt id, seed, maps, and image of each image of some prompts."""
    if not isinstance(setup, StoredSetup):
        for traced in setup.traced_images():
            yield traced.prompt_id, traced.seed, traced.maps, traced.image
        return
    run = setup.run

    def wanted(row: dict[str, Any]) -> bool:
        return row["prompt"] in prompts

    images = run.pil_images(wanted)
    following = next(images, None)
    for number, maps in run.numbered_maps(wanted):
        image = None
        if following is not None and following[0] == number:
            image, following = following[1], next(images, None)
        if image is None and needs_images:
            raise StudyError(
                f"Expected a run with its images, which the annotator judges, but {run.path} has maps only: pass a "
                "file of verdicts, or draw the run again with its images."
            )
        known = maps.provenance
        yield known["prompt_id"], known["seed"], maps, image


def _thumbnail(image: Image) -> np.ndarray:
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return np.asarray(small, dtype=np.float32) / 255


def require_judge(annotator: Annotator | None, verdicts: str | Path | None) -> None:
    """Check that somebody judges the images.

    Raises
    ------
    StudyError
        If the images are not those of the embedded model, and no file of verdicts is given.
    """
    if annotator is None and verdicts is None:
        raise StudyError(
            "Expected a file of verdicts on the images, because the annotator knows only images of the embedded model, "
            "but got none: give verdicts (--verdicts FILE), such as the results of GenEval, TIFA or VQAScore, or a "
            "table of people's judgments."
        )
