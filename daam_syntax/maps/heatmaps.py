"""The heat maps of one image: subword maps, and the word, phrase and subtree maps made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import xarray as xr

from daam_syntax.errors import WordError
from daam_syntax.language.sentence import Sentence, Span
from daam_syntax.maps import notebook, storage
from daam_syntax.maps.heatmap import HeatMap
from daam_syntax.maps.kept_maps import DIMS, Axis, KeptMaps
from daam_syntax.maps.resize import bicubic
from daam_syntax.maps.selection import HeadSelection, LayerSelection, StepSelection
from daam_syntax.maps.subwords import Kind, SpecialKind, Subword, WordAlignment, align
from daam_syntax.maps.weights import MapWeights, weighted_mean

_LACKING: Final[Mapping[Kind, str]] = {
    "text": "no token stands for any of the prompt's text",
    "start": "the text encoder is given no start token",
    "end": "the text encoder is given no end token, or stopped before it",
    "template": "the pipeline writes nothing around the prompt",
    "padding": "the prompt leaves no padding that reaches the denoiser",
}


class HeatMaps:
    """The heat maps of one image.

    A word is its index in the parse; ``maps[2]`` is the map of the word with index 2, and ``maps["cat"]`` works
    while there is one "cat". What is kept are *subword* maps with their character offsets, so that the same
    recording can be read under another parse.

    Parameters
    ----------
    data
        Dims ``(token, [step], [layer], [head], y, x)``, non-negative: the mean attention probability of each
        subword over what was aggregated (those of heads, layers and steps that are no dims). Row *i* belongs to
        ``subwords[i]``. Or the same as `KeptMaps`, each layer on its own grid.
    subwords
        The encoder's tokens, special start and end tokens included; padding too where it was recorded.
    sentence
        The parsed prompt.
    image_size
        Height and width of the image, pixels.
    truncated_at
        Character offset from which the encoder read nothing more; None if it read all. Where there are several
        encoders, such an offset for each, by the name that its subwords have.
    provenance
        Where the maps come from: model, seed, steps, scheduler, ... (must be JSON-able to be saved).

    Raises
    ------
    ValueError
        If the parts do not fit together; the message lists every problem.
    """

    def __init__(
        self,
        data: xr.DataArray | KeptMaps,
        subwords: Sequence[Subword],
        sentence: Sentence,
        image_size: tuple[int, int],
        *,
        truncated_at: int | Mapping[str, int | None] | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        problems = []
        limits = truncated_at if isinstance(truncated_at, Mapping) else {"": truncated_at}
        if unknown := {s.encoder for s in subwords} - set(limits):
            problems.append(f"truncated_at must be known of the encoders {sorted(unknown)}")
        arrays = [p.values for p in data.parts] if isinstance(data, KeptMaps) else [data]
        for dims in {array.dims for array in arrays}:
            if not {"token", "y", "x"} <= set(dims) <= set(DIMS) or dims != _in_order(dims):
                problems.append(
                    f"dims must be ('token', 'y', 'x'), or among {DIMS}, but are {dims}"
                )
        rows = {array.sizes.get("token", len(subwords)) for array in arrays} - {len(subwords)}
        problems += [f"there are {n} maps for {len(subwords)} subwords" for n in rows]
        if any(not np.isfinite(a.values).all() or (a.values < 0).any() for a in arrays):
            problems.append("values must be finite and not negative")
        if len(image_size) != 2 or min(image_size) < 1:
            problems.append(f"image_size must be (height, width), but is {image_size}")
        if problems:
            raise ValueError("Expected heat maps that fit together, but " + "; ".join(problems))
        self._maps = data if isinstance(data, KeptMaps) else KeptMaps.from_array(data)
        self.subwords = tuple(subwords)
        self.sentence = sentence
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.truncated_by: Mapping[str, int | None] = MappingProxyType(dict(limits))
        self.provenance: Mapping[str, Any] = MappingProxyType(dict(provenance or {}))

    @property
    def truncated_at(self) -> int | None:
        """Character offset from which no encoder read anything more; None if one read all."""
        limits = list(self.truncated_by.values())
        return None if None in limits else max(limit for limit in limits if limit is not None)

    @property
    def encoders(self) -> tuple[str, ...]:
        """Names of the text encoders whose subwords these are; empty where there is only one."""
        return tuple(name for name in self.truncated_by if name)

    def encoder(self, name: str) -> HeatMaps:
        """Return the maps of one text encoder's subwords.

        Parameters
        ----------
        name
            One of `encoders`.

        Raises
        ------
        WordError
            If these are not the maps of several encoders, or there is none of this name.
        """
        if name not in self.encoders:
            having = ", ".join(map(repr, self.encoders))
            wanted = (
                f"one of the text encoders {having}" if having else "maps of several text encoders"
            )
            raise WordError(
                f"Expected {wanted}, but got {name!r}{'' if having else ' of maps that have only one'}."
            )
        rows = [row for row, subword in enumerate(self.subwords) if subword.encoder == name]
        return self._with(
            data=self._maps.tokens(rows),
            subwords=[replace(self.subwords[row], encoder="") for row in rows],
            truncated_at=self.truncated_by[name],
            provenance={**self.provenance, "encoders": [name]},
        )

    @property
    def prompt(self) -> str:
        """The prompt's text."""
        return self.sentence.text

    @cached_property
    def data(self) -> xr.DataArray:
        """All maps, dims ``(token, [step], [layer], [head], y, x)``: the axes that were kept.

        Each slice is resized to the finest grid, bicubic and cut off at 0. Coordinates: ``token`` (position),
        ``subword`` and ``encoder``; ``step`` (number from 0) with ``timestep`` and ``progress`` (number divided by
        the number of all steps); ``layer`` (the module's path) with ``grid`` (its own, such as "16x16"); ``head``
        (number from 0).

        With axes it is made when it is first asked for, and may be larger than the recording: `word_array` gives
        one word's.
        """
        tokens = {
            "token": [s.position for s in self.subwords],
            "subword": ("token", [s.text for s in self.subwords]),
            "encoder": ("token", [s.encoder for s in self.subwords]),
        }
        return self._maps.array().assign_coords(tokens).rename("attention probability")

    @property
    def mean(self) -> np.ndarray:
        """The mean over all axes, shape (token, y, x): what all word maps are made of."""
        return self._maps.mean

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Which of "step", "layer" and "head" were kept."""
        return self._maps.axes

    @property
    def nbytes(self) -> int:
        """Size of the recording in memory, bytes; each layer is kept on its own grid."""
        return self._maps.nbytes

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the finest grid of the recording."""
        return self._maps.grid

    @cached_property
    def words(self) -> tuple[WordAlignment, ...]:
        """Every token of the parse with its subwords and its status."""
        return align(self.sentence, self.subwords, self.truncated_at)

    @property
    def mapped(self) -> tuple[int, ...]:
        """Indices of the words that have a map."""
        return tuple(word.index for word in self.words if word.status == "mapped")

    def __len__(self) -> int:
        """Return the number of tokens of the parse."""
        return len(self.sentence)

    def __getitem__(self, word: int | str) -> HeatMap:
        return self.word(word)

    def __iter__(self) -> Iterator[HeatMap]:
        """Yield the map of every word in order; a word without one raises, and `mapped` are those with one."""
        return map(self.word, range(len(self)))

    def __contains__(self, word: object) -> bool:
        """Return whether a word, by index or by text, has a map."""
        indices = self.sentence.find(word) if isinstance(word, str) else (word,)
        return any(index in self.mapped for index in indices)

    def word(self, word: int | str) -> HeatMap:
        """Return a word's map: the mean over its subwords (Tang et al. 2023).

        Where the model has several text encoders, it is the mean over those that have the word, each with the
        mean over its own subwords.

        Parameters
        ----------
        word
            Its index in the parse, or its text while that is unambiguous.

        Raises
        ------
        WordError
            If there is no such word, its text is ambiguous, or it has no map (the message says why).
        """
        index = self.sentence.index(word)
        return HeatMap(self.stack([index])[0], self.sentence[index].text, (index,), self.image_size)

    def stack(self, indices: Iterable[int] | None = None) -> np.ndarray:
        """Return word maps as one array.

        Parameters
        ----------
        indices
            The words, by index; all that have a map (`mapped`) if None.

        Returns
        -------
        numpy.ndarray
            Mean attention probabilities, float32, shape (word, y, x), on the finest grid of the recording.

        Raises
        ------
        WordError
            If there is no such word, or it has no map (the message says why).
        """
        chosen = self.mapped if indices is None else [self.sentence.index(i) for i in indices]
        for index in chosen:
            self._check_mapped(index)
        if not chosen:
            return np.zeros((0, *self.grid), dtype=np.float32)
        values = self.mean
        words = [self.words[index].subwords for index in chosen]
        return np.stack([self._mean_of_subwords(values[list(rows)], rows) for rows in words])

    def _mean_of_subwords(self, values: np.ndarray, rows: Sequence[int]) -> np.ndarray:
        """Average the maps of a word's subwords, shape (subword, ...), encoder by encoder."""
        by_encoder: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            by_encoder.setdefault(self.subwords[row].encoder, []).append(place)
        return np.mean([values[own].mean(axis=0) for own in by_encoder.values()], axis=0)

    def _check_mapped(self, index: int) -> None:
        word = self.words[index]
        if word.status != "mapped":
            raise WordError(
                f"Expected a word with a map, but {self.sentence[index].text!r} (index {index}) is "
                f"{word.status}: {word.reason}. Words with maps: {', '.join(map(str, self.mapped))}."
            )

    def word_array(self, word: int | str) -> xr.DataArray:
        """Return a word's maps by the axes that were kept: one map per step, layer and head.

        Parameters
        ----------
        word
            Its index in the parse, or its text while that is unambiguous.

        Returns
        -------
        xarray.DataArray
            Dims ``([step], [layer], [head], y, x)`` with the coordinates of `data`: the mean over the word's
            subwords. Its name is the word. Since every slice is cut off at 0 after it was resized, the mean of
            the slices of a coarse layer may lie a little above ``maps[word]``, where that is done last.

        Raises
        ------
        WordError
            If there is no such word, its text is ambiguous, or it has no map (the message says why).
        """
        index = self.sentence.index(word)
        self._check_mapped(index)
        rows = self.words[index].subwords
        array = self._maps.array(rows)
        mean = array[0].copy(data=self._mean_of_subwords(array.values, rows))
        return mean.rename(self.sentence[index].text)

    def select(
        self,
        *,
        steps: StepSelection = None,
        layers: LayerSelection = None,
        heads: HeadSelection = None,
    ) -> HeatMaps:
        """Return the maps of some steps, layers and heads only; the axes stay.

        Its word maps are the means over what was selected: the same as if only that had been recorded.

        Parameters
        ----------
        steps
            Which steps: a number or several, from 0; a slice of numbers; a slice with a fraction in it
            (``slice(0, 1/3)`` is the first third of the drawing, ``slice(0.5, 1)`` the second half); or a function
            of a step's number and timestep.
        layers
            Which layers: a string fits every module path that contains it, one such as "16x16" every layer of
            that grid, a number every grid with that many rows, a list what fits one of its entries; or a
            function of a module's path and grid.
        heads
            Which heads: a number or several, from 0, or a slice.

        Raises
        ------
        SelectionError
            If nothing fits (the message names what there is), or the axis was not kept.
        ValueError
            If a selection is none.

        Examples
        --------
        >>> early = maps.select(steps=slice(0, 1 / 3), layers="16x16")  # doctest: +SKIP
        """
        asked = {"steps": steps, "layers": layers, "heads": heads}
        chosen = {name: value for name, value in asked.items() if value is not None}
        selected = self._maps.select(steps=steps, layers=layers, heads=heads)
        earlier = self.provenance.get("selected", {})
        said = {name: selected.labels(name) for name in chosen}
        changed = self._with(data=selected)
        return changed.with_provenance(selected={**earlier, **said}) if said else changed

    def weighted(self, weights: MapWeights) -> HeatMaps:
        """Return maps that are weighted means over steps, layers or heads, instead of plain means.

        Parameters
        ----------
        weights
            Of axes that were kept, for instance ``MapWeights.load()``, those of the embedded model's layers and
            heads; `learn_weights` learns others.

        Returns
        -------
        HeatMaps
            Without axes; what was done is in the provenance.

        Raises
        ------
        SelectionError
            If an axis is not kept, or a step, layer or head that counts is missing.

        Examples
        --------
        >>> trace(pipe, keep=weights.axes, layers=weights.counting("layer"))  # doctest: +SKIP
        """
        values = xr.DataArray(weighted_mean(self._maps, weights), dims=("token", "y", "x"))
        return self._with(data=values).with_provenance(
            weighted={"by": list(weights.axes), **weights.notes}
        )

    def subword(self, row: int) -> HeatMap:
        """Return the map of ``subwords[row]``; special tokens have maps too (see `special`)."""
        if not 0 <= row < len(self.subwords):
            raise WordError(f"Expected a row from 0 to {len(self.subwords) - 1}, but got {row}.")
        words = tuple(word.index for word in self.words if row in word.subwords)
        return HeatMap(self.mean[row], self.subwords[row].text, words, self.image_size)

    def special(self, kind: SpecialKind, *, total: bool = False) -> HeatMap:
        """Return the map of the tokens of one kind that stand for no word.

        Parameters
        ----------
        kind
            "start", "end", "padding", or "template" (what a pipeline writes around the prompt). Padding is there
            if it was recorded (``trace(padding=True)``).
        total
            Whether to return the sum over all such tokens, the attention they take together, instead of the mean
            per token (over each text encoder's tokens, then over the encoders, as for words).

        Raises
        ------
        WordError
            If there is no such token (the message says why).
        ValueError
            If there is no such kind, or it is "text", whose maps are those of the words.

        Examples
        --------
        >>> maps.special("padding", total=True)  # doctest: +SKIP
        """
        if kind not in _LACKING or kind == "text":
            kinds = tuple(each for each in _LACKING if each != "text")
            raise ValueError(f"Expected a kind among {kinds}, but got {kind!r}.")
        rows = [row for row, subword in enumerate(self.subwords) if subword.kind == kind]
        if not rows:
            raise WordError(
                f"Expected a token of the kind {kind!r}, but there is none: {self.lacks(kind)}."
            )
        values = self.mean[rows]
        if total:
            label = f"{kind} ({len(rows)} token{'s' if len(rows) > 1 else ''})"
            return HeatMap(values.sum(axis=0), label, (), self.image_size)
        return HeatMap(self._mean_of_subwords(values, rows), kind, (), self.image_size)

    def lacks(self, kind: Kind) -> str:
        """Say why there is no token of a kind (one of those of `Subword`); "" where there is one."""
        if any(subword.kind == kind for subword in self.subwords):
            return ""
        if kind == "padding" and not self.provenance.get("padding"):
            return "padding was not recorded: trace with padding=True"
        return _LACKING[kind]

    def phrase(self, words: Span | Iterable[int | str]) -> HeatMap:
        """Return the map of several words: the mean over the maps of those words that have one.

        Every word counts once, however many subwords it has.

        Parameters
        ----------
        words
            Indices, texts that stand there once, or a span of the parse such as those of ``sentence.noun_phrases``.

        Raises
        ------
        WordError
            If none of them has a map, or there is no such word.

        Examples
        --------
        >>> maps.phrase(["red", "cat"])  # doctest: +SKIP
        >>> maps.phrase(range(1, 3))  # doctest: +SKIP
        """
        if isinstance(words, str):
            raise WordError(
                f"Expected several words, such as phrase({words.split()}), but got the text {words!r}."
            )
        wanted: Iterable[int | str] = (
            range(words.start, words.end) if isinstance(words, Span) else words
        )
        indices = tuple(sorted({self.sentence.index(word) for word in wanted}))
        having = [i for i in indices if self.words[i].status == "mapped"]
        if not having:
            statuses = ", ".join(f"{i}: {self.words[i].status}" for i in indices)
            raise WordError(
                f"Expected a phrase with at least one map, but got {statuses or 'no word'}."
            )
        label = " ".join(self.sentence[i].text for i in indices)
        return HeatMap(self.stack(having).mean(axis=0), label, indices, self.image_size)

    def noun_phrases(self) -> list[HeatMap]:
        """Return the maps of the noun phrases, in order; those without any map are left out."""
        return [
            self.phrase(span)
            for span in self.sentence.noun_phrases
            if any(self.words[i].status == "mapped" for i in range(span.start, span.end))
        ]

    def subtree(self, word: int | str, scheme: str = "ud") -> HeatMap:
        """Return the map of a word with everything that depends on it; see `phrase`.

        Parameters
        ----------
        word
            Its index in the parse, or its text while that is unambiguous.
        scheme
            Whose edges: "ud", "enhanced" or "native".

        Raises
        ------
        WordError
            If there is no such word, or none of them has a map.
        ValueError
            If the parse has no such scheme.
        """
        return self.phrase(self.sentence.subtree(self.sentence.index(word), scheme))

    def with_sentence(self, sentence: Sentence) -> HeatMaps:
        """Return the same recording under another parse of the same prompt; words are aligned anew.

        Parameters
        ----------
        sentence
            The other parse, such as ``parse(maps.prompt, parser)``.

        Raises
        ------
        ValueError
            If the sentence's text is not this prompt.
        """
        if sentence.text != self.prompt:
            raise ValueError(
                f"Expected a parse of {self.prompt!r}, but got one of {sentence.text!r}."
            )
        return self._with(sentence=sentence)

    def with_provenance(self, **more: Any) -> HeatMaps:
        """Return the same maps with more, or other, provenance."""
        return self._with(provenance={**self.provenance, **more})

    def _with(self, **changes: Any) -> HeatMaps:
        parts: dict[str, Any] = {
            "data": self._maps,
            "subwords": self.subwords,
            "sentence": self.sentence,
            "image_size": self.image_size,
            "truncated_at": self._limits(),
            "provenance": self.provenance,
        }
        return HeatMaps(**{**parts, **changes})

    def _limits(self) -> int | dict[str, int | None] | None:
        """Return `truncated_at` as it was given."""
        return dict(self.truncated_by) if self.encoders else self.truncated_at

    def save(self, path: str | Path) -> None:
        """Write everything into one compressed ``.npz`` file, whole or not at all.

        Raises
        ------
        FileError
            If it cannot be written.
        """
        header = {
            "subwords": [_as_dict(s) for s in self.subwords],
            "sentence": self.sentence.to_dict(),
            "image_size": self.image_size,
            "truncated_at": self._limits(),
            "provenance": dict(self.provenance),
        }
        storage.write(Path(path), self._maps, header)

    @classmethod
    def load(cls, path: str | Path) -> HeatMaps:
        """Read what `save` wrote.

        Raises
        ------
        FileError
            If the file cannot be read, is damaged, or is something else.
        """
        with storage.reading(Path(path)) as (maps, header):
            return cls(
                maps,
                [Subword(**subword) for subword in header["subwords"]],
                Sentence.from_dict(header["sentence"]),
                tuple(header["image_size"]),
                truncated_at=header["truncated_at"],
                provenance=header["provenance"],
            )

    def __repr__(self) -> str:
        height, width = self.grid
        kept = [f"{n} {axis}s" for axis, n in self._maps.sizes.items()]
        by = f", by {' x '.join(kept)}" if kept else ""
        return (
            f"HeatMaps({self.prompt!r}: {len(self.mapped)} of {len(self)} words with maps{by}, "
            f"grid {height} x {width}, image {self.image_size[0]} x {self.image_size[1]})"
        )

    def _repr_html_(self) -> str:
        small = bicubic(self.stack(), notebook.thumbnail_size(self.image_size))
        mapped = dict(zip(self.mapped, small, strict=True))
        cells = [
            (self.sentence[word.index].text, mapped.get(word.index, word.status))
            for word in self.words
        ]
        top = max((float(m.max()) for m in mapped.values()), default=1.0)
        return notebook.strip(cells, top)


def _as_dict(subword: Subword) -> dict[str, Any]:
    """Return a subword's fields for a file; the encoder only where there are several."""
    fields = vars(subword)
    return fields if subword.encoder else {k: v for k, v in fields.items() if k != "encoder"}


def _in_order(dims: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(dim for dim in DIMS if dim in dims)


def each_image(maps: HeatMaps | Iterable[HeatMaps]) -> Iterator[HeatMaps]:
    """Yield the maps of one image, or of each of several.

    Raises
    ------
    TypeError
        If something else is among them.
    """
    several = [maps] if isinstance(maps, HeatMaps) else maps
    wanted = "Expected HeatMaps, or a list of them, such as `trace.heat_maps()` gives"
    if not isinstance(several, Iterable):
        raise TypeError(f"{wanted}, but got {type(several).__name__}.")
    for image in several:
        if not isinstance(image, HeatMaps):
            raise TypeError(f"{wanted}, but got {type(image).__name__}.")
        yield image
