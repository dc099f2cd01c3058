"""Edits of attention weights: what they change, and making them in an attention call."""

from __future__ import annotations

import operator
import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from daam_syntax.attention.observers.controller import CallSite
from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.pipeline_call.word_keys import (
    KINDS,
    columns_of,
    keys_of_kinds,
    keys_of_words,
)
from daam_syntax.attention.softmax.edited_weights import scaled_columns
from daam_syntax.attention.softmax.transfers import indices
from daam_syntax.attention.texts.sentences import PromptSentences
from daam_syntax.errors import TraceError
from daam_syntax.maps.selection import (
    LayerSelection,
    StepSelection,
    layer_selector,
    step_selector,
)
from daam_syntax.util.arguments.annotations import is_number, shown
from daam_syntax.util.arguments.checks import checked

_NAMES: Final = {int: "whole numbers", str: "texts"}
_ITEMS: Final = {
    "words": (int, str),
    "tokens": (str,),
    "paid_by": (int, str),
    "heads": (int,),
    "images": (int,),
}
"""Fields of several values, and what these are."""


@dataclass(frozen=True)
class Edit:
    """A change of the attention from pixels to words, or to kinds of tokens.

    Let ``p`` be a pixel's attention weights, a softmax over all keys. The weights of the edited keys become ``scale *
    p``; those of all other keys stay. The edited keys are the subwords of the words, or the tokens of the given
    kinds, of all text encoders. With `renormalize`, all weights are then divided by their new sum. The output is the
    new weights times the values. Only the conditional rows of the batch are changed, not the unconditional rows of
    guidance; in joint attention, only the queries of pixels.

    Attributes
    ----------
    words
        Indices in the parse, or texts that are unambiguous. Give either words or tokens.
    tokens
        Kinds of tokens: "start", "text", "end", "template" or "padding" (see `daam_syntax.maps.Subword`).
    scale
        Factor on the weights: 0 deletes them, 1 changes nothing, above 1 strengthens them.
    renormalize
        Whether each pixel's weights sum to 1 again. If no weight is left, they stay 0.
    paid_by
        For an equal-mass control: the edited keys keep their weights, and the mass that scaling would take from them
        is taken from the keys of these words instead, or from all other keys ("others"), in proportion to their
        weights and up to the mass they have (see `daam_syntax.attention.softmax.edited_weights.scaled_columns`).
    steps
        In which steps, see `daam_syntax.maps.selection.StepSelection`; None for all.
    layers
        In which text attentions, as for `trace`; None for all.
    heads
        In which attention heads; None for all. A layer without any of them is not changed.
    images
        For which images of a pipeline call, in its order; None for all.
    where
        In which pixels: a mask of the image in any resolution; None for all. A cell of a layer's grid is edited if at
        least half of it lies in the mask. Comparisons of edits ignore it. *Shape:* ``(y, x)``, bool

    Raises
    ------
    ValueError
        If not exactly one of `words` and `tokens` is given, a kind of token is unknown, the scale is negative or not
        finite, the selection of steps is not valid, or `where` is not a mask.
    """

    words: tuple[int | str, ...] = ()
    scale: float = 0.0
    renormalize: bool = True
    paid_by: tuple[int | str, ...] | Literal["others"] | None = None
    steps: StepSelection = None
    layers: LayerSelection = None
    heads: tuple[int, ...] | None = None
    images: tuple[int, ...] | None = None
    where: NDArray[np.bool_] | None = field(default=None, compare=False)
    tokens: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        for name, kinds in _ITEMS.items():
            given = getattr(self, name)
            if given is None and name in ("words", "tokens"):
                raise TypeError(f"Expected {name} of an edit in a list, but got None.")
            if given is not None and not (name == "paid_by" and isinstance(given, str)):
                object.__setattr__(self, name, _items(name, given, kinds))
        if isinstance(self.paid_by, str) and self.paid_by != "others":
            raise ValueError(
                f"Expected paid_by to be words or 'others', but got {shown(self.paid_by)}."
            )
        self._check_keys()
        if not is_number(self.scale) or not 0 <= self.scale <= sys.float_info.max:
            raise ValueError(f"Expected a scale of 0 or more, but got {shown(self.scale)}.")
        if self.where is not None and not _is_mask(self.where):
            raise ValueError(
                f"Expected a mask of bool of shape (y, x), but got {shown(self.where)}."
            )
        step_selector(self.steps)

    def _check_keys(self) -> None:
        if not self.words and not self.tokens:
            raise ValueError(
                "Expected at least one word or kind of token to edit, but got none: pass words= or tokens=."
            )
        if self.words and self.tokens:
            raise ValueError(
                f"Expected words or tokens, but got both, words={self.words} and tokens={self.tokens}: make two edits."
            )
        unknown = [kind for kind in self.tokens if kind not in KINDS]
        if unknown:
            raise ValueError(
                f"Expected kinds of tokens among {', '.join(map(repr, KINDS))}, but got {unknown}: for words use "
                "words=."
            )

    @checked
    def with_equal_mass(self, paid_by: Sequence[int | str] | Literal["others"] = "others") -> Edit:
        """Return the control that takes the same mass of attention from other keys instead."""
        return replace(self, paid_by=paid_by if paid_by == "others" else tuple(paid_by))

    @checked
    def with_random_words(self, among: Iterable[int], *, seed: int) -> Edit:
        """Return the control that makes the same change to as many random other words.

        Parameters
        ----------
        among
            Indices to choose from; those of this edit's words are excluded.
        seed
            Seed of the choice.

        Raises
        ------
        ValueError
            If the edit is not of words, its words are not indices, or there are too few others.
        """
        if self.tokens:
            raise ValueError(
                f"Expected an edit of words, to choose other words, but got one of tokens {self.tokens}."
            )
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
        """Return a JSON-compatible description of the edit, for provenance."""
        edited = {"tokens": list(self.tokens)} if self.tokens else {"words": list(self.words)}
        return {
            **edited,
            "scale": self.scale,
            "renormalize": self.renormalize,
            "paid_by": list(self.paid_by) if isinstance(self.paid_by, tuple) else self.paid_by,
            "steps": None if self.steps is None else str(self.steps),
            "layers": None if self.layers is None else str(self.layers),
            "heads": None if self.heads is None else list(self.heads),
            "images": None if self.images is None else list(self.images),
            "where": None if self.where is None else f"{self.where.mean():.3f} of the image",
        }


class AppliedEdit:
    """An edit of one pipeline call, whose text keys are known."""

    def __init__(self, edit: Edit, pipeline_call: PipelineCall, sentences: PromptSentences) -> None:
        self.edit = edit
        self.is_used = False
        self._selects_layer = layer_selector(edit.layers)
        self._selects_step = step_selector(edit.steps)
        images = range(pipeline_call.n_images) if edit.images is None else edit.images
        self.keys: dict[int, list[int]] = {}  # text keys of each image
        self._payers: dict[int, list[int] | None] = {}
        for image in images:
            if not 0 <= image < pipeline_call.n_images:
                raise TraceError(
                    f"Expected images from 0 to {pipeline_call.n_images - 1}, but an edit is for {image}."
                )
            prompt = pipeline_call.prompt_index(image)

            def of_words(words: Iterable[int | str], prompt: int = prompt) -> list[int]:
                sentence = sentences[pipeline_call.prompts[prompt]]
                return keys_of_words(pipeline_call, prompt, sentence, words)

            self.keys[image] = (
                keys_of_kinds(pipeline_call, prompt, edit.tokens)
                if edit.tokens
                else of_words(edit.words)
            )
            self._payers[image] = (
                of_words(edit.paid_by) if isinstance(edit.paid_by, tuple) else None
            )

    def matches(self, site: CallSite, n_heads: int) -> bool:
        """Return whether the edit applies to a call; if it does, it counts as used."""
        if site.grid is None or not self._selects_layer(site.path, site.grid):
            return False
        if not self._selects_step(site.step, site.progress, site.timestep):
            return False
        if self.edit.heads is not None and not self._heads(n_heads):
            return False
        self.is_used = True
        return True

    def change(self, weights: Tensor, image: int, site: CallSite, part: slice) -> Tensor:
        """Apply the edit to the weights of some queries, *shape* ``(head, query, key)``."""
        text, edit = site.layouts[image].text, self.edit
        columns = columns_of(self.keys[image], text)
        payers = self._payers[image]
        paid_by: list[int] | None = None
        if payers is not None:
            paid_by = [column for column in columns_of(payers, text) if column not in columns]
        elif edit.paid_by == "others":
            paid_by = [column for column in range(weights.shape[-1]) if column not in columns]
        chosen_heads = range(len(weights)) if edit.heads is None else self._heads(len(weights))
        heads = indices(chosen_heads, weights.device)
        queries = self._queries(site, image, part, weights.device)
        chosen = weights[heads][:, queries]
        edited = weights.clone()
        edited[heads[:, None], queries] = scaled_columns(
            chosen, columns, edit.scale, paid_by=paid_by, renormalize=edit.renormalize
        )
        return edited

    def _queries(self, site: CallSite, image: int, part: slice, device: torch.device) -> Tensor:
        """Return the edited queries of a part, as indices in the part."""
        if self.edit.where is None:
            return torch.arange(part.stop - part.start, device=device)
        assert site.grid is not None, "only calls with a grid are edited"
        mask = torch.from_numpy(self.edit.where).float()
        cells = adaptive_avg_pool2d(mask[None], site.grid).flatten() >= 0.5
        first = part.start - site.layouts[image].pixels.start
        edited = cells[first : first + part.stop - part.start].nonzero().flatten()
        return indices(edited.tolist(), device)

    def _heads(self, n_heads: int) -> list[int]:
        return [head for head in self.edit.heads or () if 0 <= head < n_heads]


def _items(name: str, given: Any, kinds: tuple[type, ...]) -> tuple[Any, ...]:
    """Return one or more values as a tuple, numbers as plain ones."""
    is_one = isinstance(given, str | Integral) or getattr(given, "ndim", 1) == 0
    if not is_one and (isinstance(given, Mapping) or not isinstance(given, Iterable)):
        raise TypeError(f"Expected {name} of an edit in a list, but got {shown(given)}.")
    items = [given] if is_one else list(given)
    plain = [operator.index(each) if isinstance(each, Integral) else each for each in items]
    wrong = [each for each in plain if not isinstance(each, kinds) or isinstance(each, bool)]
    if any(isinstance(each, bool) for each in items) or wrong:
        raise TypeError(
            f"Expected {' or '.join(_NAMES[kind] for kind in kinds)} as {name} of an edit, but got {shown(items)}."
        )
    return tuple(plain)


def _is_mask(where: object) -> bool:
    return isinstance(where, np.ndarray) and where.ndim == 2 and where.dtype == bool
