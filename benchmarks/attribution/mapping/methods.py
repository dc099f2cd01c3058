"""The methods that are compared: each maps the words of some images.

A method is a function of a `Reader`, which has the pipeline and the seed, and of cases, which have image, caption, and
words. It returns the map of each word of each case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.attribution.cases import Case, Maps
from benchmarks.attribution.mapping.deletion import deleted_attention, removed_word
from benchmarks.attribution.mapping.gradients import gradient_maps
from benchmarks.attribution.mapping.reading import Reader
from benchmarks.attribution.mapping.relevance import most_relevant
from daam_syntax.maps import HeatMaps

PLAIN: Final = "plain"
FINEST: Final = "finest grid"
CHOSEN: Final = "relevant heads"
RELEVANT: Final = "relevance weights"
LEARNED: Final = "learned weights"

Compute = Callable[[Reader, Sequence[Case]], list[Maps]]
"""Returns the maps of cases whose images are of one size."""

BACKWARD: Final = 2
"""A backward pass costs about as much as two denoiser calls."""


@dataclass(frozen=True)
class Method:
    """A way to map words.

    Attributes
    ----------
    name
        As tables show it.
    about
        What it maps, in a few words.
    compute
        The function.
    how
        How the package makes such maps; empty if it has no public function for it.
    reads
        How often the image is read, for an image with so many words.
    from_masks
        Whether it learned from masks of other images.
    ignores_word
        Whether all words of an image get the same map.
    """

    name: str
    about: str
    compute: Compute
    how: str = ""
    reads: Callable[[int], int] = lambda n_words: 1
    from_masks: bool = False
    ignores_word: bool = False


def _words(recorded: Sequence[HeatMaps], cases: Sequence[Case]) -> list[Maps]:
    return [
        {word: maps[word].values for word in case.words}
        for maps, case in zip(recorded, cases, strict=True)
    ]


def plain(reader: Reader, cases: Sequence[Case]) -> list[Maps]:
    """Average over all layers and attention heads."""
    return maps_of_recording(PLAIN, reader, reader.kept(cases), cases)


def finest_grid(reader: Reader, cases: Sequence[Case]) -> list[Maps]:
    """Average over the layers of the finest grid."""
    return maps_of_recording(FINEST, reader, reader.kept(cases), cases)


def relevance_weights(reader: Reader, cases: Sequence[Case]) -> list[Maps]:
    """Weight attention heads by their relevance for words for things."""
    return maps_of_recording(RELEVANT, reader, reader.kept(cases), cases)


def most_relevant_heads(reader: Reader, cases: Sequence[Case]) -> list[Maps]:
    """Average over the quarter of attention heads that are most relevant for words for things."""
    return maps_of_recording(CHOSEN, reader, reader.kept(cases), cases)


def learned_weights(reader: Reader, cases: Sequence[Case]) -> list[Maps]:
    """Weight layers and attention heads as masks of other images taught."""
    return maps_of_recording(LEARNED, reader, reader.kept(cases), cases)


def maps_of_recording(
    name: str, reader: Reader, recorded: Sequence[HeatMaps], cases: Sequence[Case]
) -> list[Maps]:
    """Return the maps of a method that needs no more than a recording by layer and attention head."""
    if name == FINEST:
        recorded = [maps.select(layers=_finest(maps.grid)) for maps in recorded]
    elif name == RELEVANT:
        recorded = [maps.weighted(reader.relevance) for maps in recorded]
    elif name == CHOSEN:
        chosen = most_relevant(reader.relevance)
        recorded = [maps.weighted(chosen) for maps in recorded]
    elif name == LEARNED:
        assert reader.learned is not None, "the caller leaves this method out"
        recorded = [maps.weighted(reader.learned) for maps in recorded]
    return _words(recorded, cases)


def _finest(grid: tuple[int, int]) -> str:
    return f"{grid[0]}x{grid[1]}"


def refined(reader: Reader, cases: Sequence[Case]) -> list[Maps]:
    """Propagate the maps of the finest grid along self-attention."""
    recorded = reader.read(cases, layers=_finest(reader.kept(cases)[0].grid), refined=True)
    return _words(recorded, cases)


def outputs(reader: Reader, cases: Sequence[Case]) -> list[Maps]:
    """Take the positive part of the similarity of attention outputs on the finest grid."""
    found = []
    for maps, case in zip(reader.read_outputs(cases), cases, strict=True):
        finest = maps.select(layers=_finest(maps.grid))
        found.append({word: np.maximum(finest.similarity(word), 0) for word in case.words})
    return found


def gradient(reader: Reader, cases: Sequence[Case]) -> list[Maps]:
    """Multiply attention by the gradient of the denoising loss."""
    return gradient_maps(reader.pipe, cases, reader.timesteps, reader.seed)


def deletion(reader: Reader, cases: Sequence[Case]) -> list[Maps]:
    """Delete the attention to the word."""
    return deleted_attention(reader.pipe, cases, reader.timesteps, reader.seed, reader.batch)


def removal(reader: Reader, cases: Sequence[Case]) -> list[Maps]:
    """Remove the word from the text."""
    return removed_word(reader.pipe, cases, reader.timesteps, reader.seed, reader.batch)


def all_words(reader: Reader, cases: Sequence[Case]) -> list[Maps]:
    """Average the plain maps of all words of the caption."""
    found = []
    for maps, case in zip(reader.kept(cases), cases, strict=True):
        mean = maps.stack().mean(axis=0)
        found.append(dict.fromkeys(case.words, mean))
    return found


def center(reader: Reader, cases: Sequence[Case]) -> list[Maps]:
    """Return a Gaussian in the middle of the image, whose standard deviation is a quarter of each side."""
    y, x = (np.linspace(-2, 2, 32) for _ in range(2))
    values = np.exp(-0.5 * (y[:, None] ** 2 + x[None] ** 2))
    return [dict.fromkeys(case.words, values) for case in cases]


METHODS: Final = (
    Method(
        PLAIN, "mean attention over all layers and heads", plain, "`trace(pipe)`, `trace_image`"
    ),
    Method(
        FINEST,
        "mean attention over the layers of the finest grid",
        finest_grid,
        "`trace(pipe, layers=16)`",
    ),
    Method(
        CHOSEN,
        "the quarter of the heads with most votes for words for things (no masks)",
        most_relevant_heads,
        "`maps.weighted`",
    ),
    Method(
        RELEVANT,
        "heads weighted by these votes (no masks)",
        relevance_weights,
        "`maps.weighted`",
    ),
    Method(
        "refined",
        "finest grid, propagated along self-attention",
        refined,
        "`trace(pipe, refine=True)`",
    ),
    Method(
        "output similarity",
        "similarity of attention outputs, finest grid",
        outputs,
        "`trace_output_maps`",
    ),
    Method(
        "gradient x attention",
        "attention that lowers the denoising loss, to first order",
        gradient,
        reads=lambda n_words: 1 + BACKWARD,
    ),
    Method(
        "attention deleted",
        "change of the prediction without the attention to the word (causal)",
        deletion,
        "`intervene`",
        reads=lambda n_words: 1 + n_words,
    ),
    Method(
        "word removed",
        "change of the prediction without the word in the text (causal)",
        removal,
        reads=lambda n_words: 1 + n_words,
    ),
    Method("all words", "mean of the plain maps of all words", all_words, ignores_word=True),
    Method(
        "center", "a Gaussian in the middle", center, reads=lambda n_words: 0, ignores_word=True
    ),
    Method(
        LEARNED,
        "layers and heads weighted as masks of other images taught",
        learned_weights,
        "`learn_weights`, `maps.weighted(ds.emoji.learned_weights())`",
        from_masks=True,
    ),
)
"""All methods; the plain map is the first."""
