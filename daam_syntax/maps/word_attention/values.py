"""The attention from each word of a prompt to each other one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daam_syntax.errors import SelectionError, WordError
from daam_syntax.language.sentence import Sentence
from daam_syntax.maps.kept_maps import AXES, Axis
from daam_syntax.maps.selection import (
    HeadSelection,
    LayerSelection,
    StepSelection,
    head_selector,
    layer_selector,
    step_selector,
)
from daam_syntax.maps.subwords import WordAlignment
from daam_syntax.maps.word_attention import files
from daam_syntax.maps.word_attention.token_groups import TokenGroup, WordAxis
from daam_syntax.util.arguments.checks import OWN, checked

if TYPE_CHECKING:
    import pandas as pd

_DIMS: Final = (*AXES, "query", "key")
_NO_GRID: Final = (0, 0)  # layers between words have no grid that could be selected
_SUM_TOLERANCE: Final = 1e-3


class WordAttention:
    """The attention from each word of a prompt to each other one, in one model and one relation.

    A word is its index in the parse. Attention *from* a word is the mean over its subwords, which are queries;
    attention *to* a word is the sum over its subwords, which are keys. So the attention of a word to everything sums
    to 1, however many subwords the words have: to all words, and to the special tokens, which stay visible as further
    entries by their kind ("start", "end", "template", "padding", and in joint attention "image" and "other").

    Parameters
    ----------
    data
        Mean attention probability from each group of tokens to each group, with dims ``([step], [layer], [head],
        query, key)``; axes that are not among them have been averaged over. Rows and columns are those of `groups`.
        Rows sum to 1; a row is NaN where the group is not a query, and may sum to less for padding that attends to
        nothing.
    groups
        The tokens: one group for each token of the text, and one for each kind of special token.
    sentence
        The parsed prompt.
    relation
        "encoder" for the self-attention of a text encoder, "text-text" for that among the text in joint attention,
        "refiner" for that in blocks of the denoiser that read text alone.
    encoder
        Name of the text encoder.
    causal
        Whether tokens attend only to themselves and to earlier ones.
    truncated_at
        Character offset at which the encoder stopped reading; None if it read the whole prompt.
    provenance
        Model, settings, and so on. To save the attention, it must be JSON-serializable.

    Raises
    ------
    ValueError
        If the parts do not fit together. The message lists every problem.

    Examples
    --------
    >>> (attention,) = trace_text(pipe, "a red cat")  # doctest: +SKIP
    >>> attention.between("red", "cat")  # doctest: +SKIP
    >>> attention.remainder("red")  # doctest: +SKIP
    """

    @checked
    def __init__(
        self,
        data: xr.DataArray,
        groups: Sequence[TokenGroup],
        sentence: Sentence,
        *,
        relation: str,
        encoder: str = "",
        causal: bool = False,
        truncated_at: int | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        if problems := _problems(data, groups):
            raise ValueError("Expected attention that fits together, but " + "; ".join(problems))
        self.data = _frozen(data)
        self.groups = tuple(groups)
        self.sentence = sentence
        self.relation = relation
        self.encoder = encoder
        self.causal = bool(causal)
        self.truncated_at = truncated_at
        self.provenance: Mapping[str, Any] = MappingProxyType(dict(provenance or {}))

    @property
    def prompt(self) -> str:
        """The prompt's text."""
        return self.sentence.text

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Axes that were kept, among "step", "layer", and "head"."""
        return tuple(axis for axis in AXES if axis in self.data.dims)

    @property
    def nbytes(self) -> int:
        """Size in memory, in bytes."""
        return int(self.data.nbytes)

    @property
    def words(self) -> tuple[WordAlignment, ...]:
        """Alignment of every token of the parse with the groups of its subwords, and its status."""
        return self._axis.words

    @property
    def mapped(self) -> tuple[int, ...]:
        """Indices of the words that have a subword."""
        return tuple(word.index for word in self.words if word.status == "mapped")

    @property
    def labels(self) -> tuple[str, ...]:
        """Text of every word of the parse, then the kinds of special tokens: the entries of `array`."""
        return self._axis.labels

    @cached_property
    def _axis(self) -> WordAxis:
        return WordAxis.of(self.sentence, self.groups, self.truncated_at)

    def __len__(self) -> int:
        """Return the number of tokens of the parse."""
        return len(self.sentence)

    @cached_property
    def array(self) -> xr.DataArray:
        """Attention between words, dims ``([step], [layer], [head], query, key)``.

        The first entries of ``query`` and ``key`` are the words of the parse, by index; the others are special tokens
        by kind. Coordinates ``query_text`` and ``key_text`` have the `labels`. Rows and columns of words without a
        subword are NaN, and so are rows that are no queries; the others sum to 1 without the NaN.
        """
        axis = self._axis
        values = np.nan_to_num(self.data.values.astype(np.float64))
        found = axis.as_queries @ values @ axis.as_keys.T
        lacking = [word.index for word in self.words if word.status != "mapped"]
        is_query = ~np.isnan(self.data.values).any(axis=(*range(self.data.ndim - 2), -1))
        no_query = axis.as_queries @ ~is_query > 0
        found[..., lacking, :] = found[..., :, lacking] = np.nan
        found[..., no_query, :] = np.nan
        entries = np.arange(len(axis.labels))
        coordinates: dict[str, Any] = {
            "query": entries,
            "key": entries,
            "query_text": ("query", list(axis.labels)),
            "key_text": ("key", list(axis.labels)),
        }
        result = xr.DataArray(
            found, dims=self.data.dims, coords={**self.data.coords, **coordinates}
        )
        result.values.setflags(write=False)
        return result.rename("attention probability")

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """Attention between all entries, the mean over the kept axes. *Shape:* ``(query, key)``."""
        found = np.asarray(self.array.mean(list(self.axes), skipna=False).values)
        found.setflags(write=False)
        return found

    def among_words(self) -> NDArray[np.float64]:
        """Return the attention between words alone, the mean over the kept axes.

        Rows sum to less than 1: see `remainder` for the rest.

        Returns
        -------
        numpy.ndarray
            NaN in the rows and columns of words without a subword. *Shape:* ``(word, word)``, from word to word
        """
        return self.mean[: len(self), : len(self)]

    @checked(query=OWN, key=OWN)
    def between(self, query: int | str, key: int | str) -> float:
        """Return the attention from one word to another, the mean over the kept axes.

        Parameters
        ----------
        query, key
            Indices in the parse, or texts that are unambiguous.

        Raises
        ------
        WordError
            If there is no such word, or it has no subword.
        """
        row, column = (self._mapped_index(word) for word in (query, key))
        return float(self.mean[row, column])

    @checked(query=OWN)
    def remainder(self, query: int | str) -> dict[str, float]:
        """Return the attention from a word to what is not a word, by kind; with that to words, it sums to 1.

        Raises
        ------
        WordError
            If there is no such word, or it has no subword.
        """
        row = self._mapped_index(query)
        n = len(self)
        return dict(zip(self.labels[n:], map(float, self.mean[row, n:]), strict=True))

    def _mapped_index(self, word: int | str) -> int:
        index = self.sentence.index(word)
        alignment = self.words[index]
        if alignment.status != "mapped":
            raise WordError(
                f"Expected a word that the model reads, but {self.sentence[index].text!r} (index {index}) is "
                f"{alignment.status}: {alignment.reason}."
            )
        return index

    @checked
    def select(
        self,
        *,
        steps: StepSelection = None,
        layers: LayerSelection = None,
        heads: HeadSelection = None,
    ) -> WordAttention:
        """Return the attention in some steps, layers, and heads; the kept axes remain.

        Parameters
        ----------
        steps, heads
            As for `HeatMaps.select`.
        layers
            A string, which selects the layers whose module path contains it, several strings, or a function of a
            layer's module path and a grid, which is ``(0, 0)`` here.

        Raises
        ------
        SelectionError
            If nothing matches, or an axis was not kept.
        ValueError
            If a selection is not valid.
        """
        data = self.data
        step, layer, head = step_selector(steps), layer_selector(layers), head_selector(heads)
        if steps is not None:
            n = data.sizes.get("step", 0)
            times = data["timestep"].values if "timestep" in data.coords else [np.nan] * n
            data = _chosen(
                data, "step", lambda number: step(number, number / n, times[number]), steps
            )
        if layers is not None:
            data = _chosen(data, "layer", lambda path: layer(str(path), _NO_GRID), layers)
        if heads is not None:
            data = _chosen(data, "head", lambda number: head(int(number)), heads)
        return self._with(data=data)

    @checked
    def with_sentence(self, sentence: Sentence) -> WordAttention:
        """Return the same recording under another parse of the same prompt, with words aligned again.

        Raises
        ------
        ValueError
            If the text of the sentence is not the prompt.
        """
        if sentence.text != self.prompt:
            raise ValueError(
                f"Expected a parse of {self.prompt!r}, but got one of {sentence.text!r}."
            )
        return self._with(sentence=sentence)

    def with_provenance(self, **provenance: Any) -> WordAttention:
        """Return the same attention with entries added to the provenance, or replaced in it."""
        return self._with(provenance={**self.provenance, **provenance})

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each pair of entries, and for each step, layer, and head that was kept.

        Columns: the kept axes; ``query`` and ``key``, the words' indices (missing for special tokens); ``query_text``
        and ``key_text``; and ``attention``, NaN for words without a subword.
        """
        array = self.array
        frame = array.rename("attention").to_dataframe().reset_index()
        for side in ("query", "key"):
            is_word = frame[side] < len(self)
            frame[side] = frame[side].astype("Int64").mask(~is_word)
        columns = [*self.axes, "query", "query_text", "key", "key_text", "attention"]
        return frame[columns]

    @checked
    def save(self, path: str | Path) -> None:
        """Write the attention to one compressed ``.npz`` file; an error leaves no partial file.

        Raises
        ------
        FileError
            If the file cannot be written.
        """
        files.write_attention(Path(path), **self._parts())

    @classmethod
    @checked
    def load(cls, path: str | Path) -> WordAttention:
        """Read attention that `save` wrote.

        Raises
        ------
        FileError
            If the file cannot be read, is damaged, or holds something else.
        """
        with files.opened_attention(Path(path)) as parts:
            return cls(**parts)

    def _with(self, **changes: Any) -> WordAttention:
        return WordAttention(**{**self._parts(), **changes})

    def _parts(self) -> dict[str, Any]:
        names = ("data", "groups", "sentence", "relation", "encoder", "causal", "truncated_at")
        return {name: getattr(self, name) for name in (*names, "provenance")}

    def __repr__(self) -> str:
        kept = [f"{self.data.sizes[axis]} {axis}s" for axis in self.axes]
        by = f", by {' x '.join(kept)}" if kept else ""
        order = "causal" if self.causal else "in both directions"
        return (
            f"WordAttention({self.prompt!r}: {self.relation} of {self.encoder or 'the text'}, {order}, "
            f"{len(self.mapped)} of {len(self)} words{by})"
        )


def _problems(data: xr.DataArray, groups: Sequence[TokenGroup]) -> list[str]:
    dims = tuple(dim for dim in _DIMS if dim in data.dims)
    if data.dims != dims or dims[-2:] != ("query", "key"):
        return [
            f"dims must be ('query', 'key'), or among {_DIMS} in this order, but are {data.dims}"
        ]
    problems = [
        f"there are {data.sizes[side]} {name} for {len(groups)} groups of tokens"
        for side, name in (("query", "rows"), ("key", "columns"))
        if data.sizes[side] != len(groups)
    ]
    values = data.values
    if np.isinf(values).any() or (values < 0).any():
        problems.append("values must be finite and not negative")
    elif (values.sum(axis=-1) > 1 + _SUM_TOLERANCE).any():
        problems.append("rows must sum to 1")
    return problems


def _frozen(data: xr.DataArray) -> xr.DataArray:
    """Return a read-only 32-bit copy with the coordinates of its kept axes."""
    values = np.array(data.values, dtype=np.float32, order="C")
    values.setflags(write=False)
    kept = {
        name: coordinate
        for name, coordinate in data.coords.items()
        if name in AXES or name == "timestep"
    }
    counted = {
        axis: np.arange(data.sizes[axis])
        for axis in AXES
        if axis in data.dims and axis not in data.coords
    }
    return xr.DataArray(values, dims=data.dims, coords={**kept, **counted})


def _chosen(
    data: xr.DataArray, axis: Axis, chooses: Callable[[Any], bool], given: object
) -> xr.DataArray:
    if axis not in data.dims:
        raise SelectionError(
            f"Expected attention that keeps the {axis} axis, to select {axis}s, but it keeps "
            f"{', '.join(str(dim) for dim in data.dims[:-2]) or 'none'}: trace with keep=({axis!r}, ...)."
        )
    numbers = np.flatnonzero([chooses(label) for label in data[axis].values])
    if not len(numbers):
        raise SelectionError(
            f"Expected {axis}s={given!r} to match a {axis}, but the {axis}s are "
            f"{', '.join(map(str, data[axis].values))}."
        )
    return data.isel({axis: numbers})
