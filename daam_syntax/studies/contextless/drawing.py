"""Drawing the image of each condition, always in one batch with the image that it is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from daam_syntax.attention import intervene
from daam_syntax.errors import TraceError, WordError
from daam_syntax.language import Sentence, parse_many
from daam_syntax.studies.contextless.conditions import Condition
from daam_syntax.studies.framework.setup import Setup


@dataclass(frozen=True)
class Drawn:
    """The image of a condition.

    Attributes
    ----------
    condition
        The condition.
    image
        RGB in [0, 1], *shape* ``(y, x, 3)``; None if the edits are refused.
    change
        Mean absolute difference from the original over the channels, *shape* ``(y, x)``; None likewise.
    reason
        Why there is no image.
    """

    condition: Condition
    image: np.ndarray | None
    change: np.ndarray | None
    reason: str = ""


def draw_conditions(
    setup: Setup, sentence: Sentence, seed: int, conditions: Sequence[Condition], batch_size: int
) -> Iterator[Drawn]:
    """Draw the images of conditions from the noise of their prompt.

    Parameters
    ----------
    setup
        The setup.
    sentence, seed
        The prompt, and the seed of its noise.
    conditions
        The conditions.
    batch_size
        Number of images drawn together.
    """
    contexts = dict.fromkeys(each.text for each in conditions if each.text)
    sentences = [sentence, *parse_many(list(contexts), setup.parser)]
    edited = [each for each in conditions if each.edits]
    n = max(1, batch_size - 1)
    for start in range(0, len(edited), n):
        some = edited[start : start + n]
        try:
            yield from _draw_batch(setup, sentence, seed, some, sentences)
        except (TraceError, WordError):
            for each in some:  # find the one that is refused
                try:
                    yield from _draw_batch(setup, sentence, seed, [each], sentences)
                except (TraceError, WordError) as error:
                    yield Drawn(each, None, None, str(error))
    (original,) = setup.draw(sentence.text, seed)
    for each in conditions:
        if not each.edits:
            (image,) = setup.draw(each.text, seed, noise_of=sentence.text)
            yield _drawn(each, image, original)


def _draw_batch(
    setup: Setup,
    sentence: Sentence,
    seed: int,
    conditions: Sequence[Condition],
    sentences: Sequence[Sentence],
) -> list[Drawn]:
    edits = [
        replace(edit, images=(image,))
        for image, each in enumerate(conditions, start=1)
        for edit in each.edits
    ]
    with intervene(setup.pipe, edits, sentences=sentences):
        original, *others = setup.draw(sentence.text, seed, copies=1 + len(conditions))
    return [_drawn(*pair, original) for pair in zip(conditions, others, strict=True)]


def _drawn(condition: Condition, image: np.ndarray, original: np.ndarray) -> Drawn:
    return Drawn(condition, image, np.abs(image - original).mean(axis=-1))
