"""What the denoiser no longer predicts without a word: a causal map.

The image is read twice with the same noise: as it is, and with the attention to the word deleted (`intervene`), or
with the word removed from the text. The map is the length of the difference of the two predictions at each place of
the latents, over their channels, averaged over timesteps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.attribution.cases import BATCH, Case, Maps, batches, by_case, pairs
from daam_syntax.attention import Edit, intervene
from daam_syntax.attention.given_images.reading import GivenBatch
from daam_syntax.language import Sentence


def deleted_attention(
    pipe: Any, cases: Sequence[Case], timesteps: Sequence[int], seed: int = 0, batch: int = BATCH
) -> list[Maps]:
    """Return how far predictions change without the attention to each word.

    Parameters
    ----------
    pipe
        A pipeline of a known family.
    cases
        The images, all of one size, their captions, and the words.
    timesteps
        Training timesteps at which the images are read.
    seed
        Seed of the noise.
    batch
        Images in one denoiser call.
    """

    def without(part: Sequence[tuple[int, int]]) -> AbstractContextManager[Any]:
        edits = [Edit(words=(word,), images=(row,)) for row, (_, word) in enumerate(part)]
        sentences = {cases[n].sentence.text: cases[n].sentence for n, _ in part}
        return intervene(pipe, edits, sentences=sentences)

    def texts(part: Sequence[tuple[int, int]]) -> list[str]:
        return [cases[number].sentence.text for number, _ in part]

    return _changes(pipe, cases, timesteps, seed, batch, texts, without)


def removed_word(
    pipe: Any, cases: Sequence[Case], timesteps: Sequence[int], seed: int = 0, batch: int = BATCH
) -> list[Maps]:
    """Return how far predictions change if each word is removed from the text; parameters as above."""

    def texts(part: Sequence[tuple[int, int]]) -> list[str]:
        return [text_without(cases[number].sentence, word) for number, word in part]

    return _changes(pipe, cases, timesteps, seed, batch, texts, lambda _: nullcontext())


def text_without(sentence: Sentence, word: int) -> str:
    """Return a text without a word; a text of this word alone becomes a period."""
    token = sentence[word]
    rest = sentence.text[: token.start] + sentence.text[token.end :]
    return " ".join(rest.split()) or "."


def _changes(
    pipe: Any,
    cases: Sequence[Case],
    timesteps: Sequence[int],
    seed: int,
    batch: int,
    texts: Any,
    without: Any,
) -> list[Maps]:
    """Return the changes between predictions for the captions, and for other texts or edited attention."""
    images = [case.image for case in cases]
    before = predictions(pipe, images, [case.sentence.text for case in cases], timesteps, seed)
    maps: list[np.ndarray] = []
    wanted = pairs(cases)
    for part in batches(len(wanted), batch):
        chosen = wanted[part]
        with without(chosen):
            after = predictions(
                pipe, [images[n] for n, _ in chosen], texts(chosen), timesteps, seed
            )
        rows = [number for number, _ in chosen]
        changes = [
            on_grid((late - early[rows]).float(), images[0].size)
            for early, late in zip(before, after, strict=True)
        ]
        maps += list(torch.stack(changes).mean(0).cpu().numpy())
    return by_case(cases, maps)


@torch.no_grad()
def predictions(
    pipe: Any,
    images: Sequence[Image.Image],
    texts: Sequence[str],
    timesteps: Sequence[int],
    seed: int = 0,
) -> list[Tensor]:
    """Return what the denoiser predicts for noised images of one size, at each timestep."""
    found: list[Tensor] = []
    batch = GivenBatch.prepare(pipe, images, texts, timesteps=timesteps)
    batch.read(range(len(images)), seed, on_prediction=lambda each: found.append(each.output))
    return found


def on_grid(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the length of predictions over channels, in the places of the image.

    Parameters
    ----------
    values
        *Shape:* ``(row, channel, y, x)``; ``(row, channel, 1, y, x)``; or ``(row, token, channel)``, whose tokens are
        places row by row.
    size
        Width and height of the image.

    Returns
    -------
    Tensor
        *Shape:* ``(row, y, x)``
    """
    if values.ndim == 3:
        n_places = values.shape[1]
        rows = round(math.sqrt(n_places * size[1] / size[0]))
        return values.norm(dim=-1).reshape(len(values), rows, n_places // rows)
    lengths = values.norm(dim=1)
    return lengths[:, 0] if lengths.ndim == 4 else lengths
