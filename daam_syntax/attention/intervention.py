"""Intervening on attention: deleting, scaling or renormalising the attention that words get."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.pipeline_call.controller import AttentionController, CallSite
from daam_syntax.attention.pipeline_call.observer import ObserverContext
from daam_syntax.attention.pipeline_call.sentences import Sentences, SentencesOfPrompts
from daam_syntax.attention.softmax.edited_weights import replace_weights, scaled_columns
from daam_syntax.attention.softmax.layer_sums import LayerSelection, layer_selector
from daam_syntax.attention.softmax.probabilities import AttentionCall
from daam_syntax.errors import TraceError, WordError
from daam_syntax.language import Sentence
from daam_syntax.maps.selection import StepSelection, step_selector
from daam_syntax.maps.subwords import align


@dataclass(frozen=True)
class Edit:
    """A change of the attention that pixels pay to words.

    For a pixel's attention ``p``, a softmax over all keys, the weights of all keys that belong to the words (their
    subwords, of all text encoders) become ``scale * p``, and those of all other keys stay. With `renormalise`, all
    are then divided by their new sum. The output is the new weights times the values. Only the rows of the batch
    that are drawn from the prompts are changed, not the unconditional ones of guidance; in joint attention, only the
    queries of pixels.

    Attributes
    ----------
    words
        Indices in the parse, or texts where they are unambiguous.
    scale
        Factor on the words' weights: 0 deletes them, 1 changes nothing, more than 1 strengthens.
    renormalise
        Whether each pixel's weights shall sum to 1 again. Where nothing is left they stay 0.
    paid_by
        For an equal-mass control: the words' weights stay, and the mass that scaling would take from them is taken
        from these words instead, or from all other keys ("others"), in proportion to their weights and as far as
        they have it (see `daam_syntax.attention.softmax.edited_weights.scaled_columns`).
    steps
        In which steps (see `StepSelection`); None for all.
    layers
        In which text attentions, as for `trace`; None for all.
    heads
        In which heads; None for all. A layer that has none of them is left alone.
    images
        For which images of a call of the pipeline, in its order; None for all.
    where
        In which pixels: a mask of the picture, bool, shape (y, x) in any resolution. On a layer's grid, a cell counts
        if at least half of it lies in the mask. None for all. Comparisons of edits leave it out.

    Raises
    ------
    ValueError
        If there is no word, the scale is negative or not finite, or the steps are no selection.
    """

    words: tuple[int | str, ...]
    scale: float = 0.0
    renormalise: bool = True
    paid_by: tuple[int | str, ...] | Literal["others"] | None = None
    steps: StepSelection = None
    layers: LayerSelection = None
    heads: tuple[int, ...] | None = None
    images: tuple[int, ...] | None = None
    where: NDArray[np.bool_] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.words, int | str):
            object.__setattr__(self, "words", (self.words,))
        for name in ("words", "paid_by", "heads", "images"):
            given = getattr(self, name)
            if given is not None and given != "others":
                object.__setattr__(self, name, tuple(given))
        if not self.words:
            raise ValueError("Expected at least one word to edit, but got none.")
        if not (math.isfinite(self.scale) and self.scale >= 0):
            raise ValueError(f"Expected a scale of 0 or more, but got {self.scale}.")
        if self.where is not None and (self.where.ndim != 2 or self.where.dtype != bool):
            raise ValueError(
                f"Expected a mask of bool of shape (y, x), but got {self.where.dtype} of shape "
                f"{self.where.shape}."
            )
        step_selector(self.steps)

    def with_equal_mass(self, paid_by: Sequence[int | str] | Literal["others"] = "others") -> Edit:
        """Return the control that takes as much attention from others as this takes from its words."""
        return replace(self, paid_by=paid_by if paid_by == "others" else tuple(paid_by))

    def with_random_words(self, among: Iterable[int], *, seed: int) -> Edit:
        """Return the control that does to as many other words what this does to its words.

        Parameters
        ----------
        among
            Indices to choose from; those of this edit's words are left out.
        seed
            Of the choice.

        Raises
        ------
        ValueError
            If the words are not indices, or there are too few others.
        """
        texts = [word for word in self.words if isinstance(word, str)]
        if texts:
            raise ValueError(f"Expected the edit's words as indices in the parse, but got {texts}.")
        others = sorted(set(among) - set(self.words))
        if len(others) < len(self.words):
            raise ValueError(
                f"Expected at least {len(self.words)} other words to choose from, but got {others}."
            )
        chosen = random.Random(seed).sample(others, len(self.words))
        return replace(self, words=tuple(sorted(chosen)))

    def describe(self) -> dict[str, Any]:
        """Return what the edit does, for provenance; all values can be written as JSON."""
        return {
            "words": list(self.words),
            "scale": self.scale,
            "renormalise": self.renormalise,
            "paid_by": list(self.paid_by) if isinstance(self.paid_by, tuple) else self.paid_by,
            "steps": None if self.steps is None else str(self.steps),
            "layers": None if self.layers is None else str(self.layers),
            "heads": None if self.heads is None else list(self.heads),
            "images": None if self.images is None else list(self.images),
            "where": None if self.where is None else f"{self.where.mean():.3f} of the picture",
        }


def intervene(
    pipe: Any,
    edits: Edit | Iterable[Edit],
    *,
    parser: Any = None,
    sentences: Sentences = (),
) -> Intervention:
    """Change the attention that pixels pay to words while a pipeline draws.

    Parameters
    ----------
    pipe
        A diffusers text-to-image pipeline of a known family.
    edits
        The changes. At one attention call they are made one after the other, in this order.
    parser
        The dependency parser for the prompts: a name, a loaded spaCy pipeline, or None for the default.
    sentences
        Prompts that need not be parsed, as for `Trace.heat_maps`.

    Returns
    -------
    Intervention
        To be used in a ``with`` statement.

    Raises
    ------
    TraceError
        If the pipeline's family is not known. While it draws: if the attention cannot be changed, or an edit fits no
        step, layer, head or image of a drawing.
    WordError
        While it draws, if a word is not in a prompt or no key stands for it.

    Examples
    --------
    >>> with intervene(pipe, Edit(words=(2,), steps=slice(0, 0.5))):  # doctest: +SKIP
    ...     images = pipe("a red cat").images
    """
    return Intervention(pipe, edits, parser=parser, sentences=sentences)


class Intervention(ObserverContext):
    """A change of a pipeline's attention inside a ``with`` block; afterwards the pipeline is as it was.

    Images without an edit are the same to the bit, as is a call in which all edits have a scale of 1. Only calls from
    the thread that entered the block are changed. With an open `trace` of the same pipeline, the trace records the
    attention as the model computed it, *before* the edits of that layer and step; in later layers and steps it
    is the attention of a model that has seen the consequences. The trace's provenance says so.

    See Also
    --------
    intervene : Its parameters.
    """

    def __init__(
        self,
        pipe: Any,
        edits: Edit | Iterable[Edit],
        *,
        parser: Any = None,
        sentences: Sentences = (),
    ) -> None:
        self.edits = (edits,) if isinstance(edits, Edit | str) else tuple(edits)
        other = next((edit for edit in self.edits if not isinstance(edit, Edit)), None)
        if other is not None:
            raise TypeError(
                f"Expected edits, such as Edit('cat'), but got {type(other).__name__} {other!r}."
            )
        self._sentences = SentencesOfPrompts(sentences, parser)
        self._places: list[_Place] = []
        super().__init__(
            AttentionController(
                pipe,
                respond=self._respond,
                begun=self._begin,
                ended=self._end,
                does={
                    "edits": [edit.describe() for edit in self.edits],
                    "recorded": "attention before the edits",
                },
            )
        )

    def _begin(self, drawing: PipelineCall) -> None:
        self._places = [_Place(edit, drawing, self._sentences) for edit in self.edits]

    def _end(self, drawing: PipelineCall) -> None:
        unused = [place.edit.describe() for place in self._places if not place.is_used]
        if unused:
            raise TraceError(
                f"Expected every edit to fit some step, layer, head and image of the drawing, but these "
                f"changed nothing: {unused}."
            )

    def _respond(
        self, site: CallSite, call: AttentionCall, value: Tensor, output: Tensor
    ) -> Tensor:
        fitting = [place for place in self._places if place.fits(site, call.query.shape[1])]
        for image, split in enumerate(site.splits):
            own = [place for place in fitting if image in place.keys and place.edit.scale != 1]
            if not own:
                continue

            def change(weights: Tensor, part: slice, image: int = image, own: Any = own) -> Tensor:
                for place in own:
                    weights = place.change(weights, image, site, part)
                return weights

            replace_weights(call, value, output, site.rows.start + image, split.pixels, change)
        return output


class _Place:
    """Where an edit applies in one drawing."""

    def __init__(self, edit: Edit, drawing: PipelineCall, sentences: SentencesOfPrompts) -> None:
        self.edit = edit
        self.is_used = False
        self._selects_layer = layer_selector(edit.layers)
        self._selects_step = step_selector(edit.steps)
        images = range(drawing.n_images) if edit.images is None else edit.images
        self.keys: dict[int, list[int]] = {}  # of each image
        self._payers: dict[int, list[int] | None] = {}
        for image in images:
            if not 0 <= image < drawing.n_images:
                raise TraceError(
                    f"Expected images from 0 to {drawing.n_images - 1}, but an edit is for {image}."
                )
            number = image // drawing.images_per_prompt
            read = sentences[drawing.prompts[number]]
            self.keys[image] = word_keys(drawing, number, read, edit.words)
            named = isinstance(edit.paid_by, tuple)
            self._payers[image] = (
                word_keys(drawing, number, read, edit.paid_by) if named else None  # type: ignore[arg-type]
            )

    def fits(self, site: CallSite, n_heads: int) -> bool:
        """Whether the edit applies at a call; if so, it counts as used."""
        if site.grid is None or not self._selects_layer(site.path, site.grid):
            return False
        if not self._selects_step(site.step, site.progress, site.timestep):
            return False
        if self.edit.heads is not None and not self._heads(n_heads):
            return False
        self.is_used = True
        return True

    def change(self, weights: Tensor, image: int, site: CallSite, part: slice) -> Tensor:
        """Apply the edit to weights of some queries, *shape* (head, query, key)."""
        text, edit = site.splits[image].text, self.edit
        columns = [text.start + key for key in self.keys[image]]
        payers = self._payers[image]
        paid_by: list[int] | None = None
        if payers is not None:
            paid_by = [text.start + key for key in payers if text.start + key not in columns]
        elif edit.paid_by == "others":
            paid_by = [key for key in range(weights.shape[-1]) if key not in columns]
        heads = list(range(weights.shape[0])) if edit.heads is None else self._heads(len(weights))
        queries = self._queries(site, image, part, weights.device)
        chosen = weights[heads][:, queries]
        edited = weights.clone()
        edited[torch.tensor(heads)[:, None], queries] = scaled_columns(
            chosen, columns, edit.scale, paid_by=paid_by, renormalise=edit.renormalise
        )
        return edited

    def _queries(self, site: CallSite, image: int, part: slice, device: torch.device) -> Tensor:
        """Return which of the queries of a part are edited, their numbers in it."""
        if self.edit.where is None:
            return torch.arange(part.stop - part.start, device=device)
        assert site.grid is not None, "edits fit calls with a grid only"
        mask = torch.from_numpy(self.edit.where).float()
        cells = adaptive_avg_pool2d(mask[None], site.grid).flatten() >= 0.5
        first = part.start - site.splits[image].pixels.start
        return cells[first : first + part.stop - part.start].nonzero().flatten().to(device)

    def _heads(self, n_heads: int) -> list[int]:
        return [head for head in self.edit.heads or () if 0 <= head < n_heads]


def word_keys(
    drawing: PipelineCall, prompt: int, sentence: Sentence, words: Iterable[int | str]
) -> list[int]:
    """Return the text keys that stand for words: their subwords, of all text encoders.

    Parameters
    ----------
    drawing
        What is being drawn.
    prompt
        Number of the prompt.
    sentence
        The prompt's parse.
    words
        Indices in the parse, or unambiguous texts.

    Returns
    -------
    list of int
        Positions among the text keys, sorted.

    Raises
    ------
    WordError
        If a word is not in the sentence or no key stands for it.
    """
    keys: set[int] = set()
    for word in words:
        index = sentence.index(word)
        found, reasons = set(), []
        for block in drawing.blocks:
            read = block.prompts[prompt]
            alignment = align(sentence, read.subwords, read.truncated_at)[index]
            found |= {block.start + read.subwords[row].position for row in alignment.subwords}
            reasons.append(f"{alignment.status}: {alignment.reason}")
        if not found:
            raise WordError(
                f"Expected a word that the model attends to, but {sentence[index].text!r} (index "
                f"{index}) of {sentence.text!r} is {'; '.join(reasons)}."
            )
        keys |= found
    return sorted(keys)
