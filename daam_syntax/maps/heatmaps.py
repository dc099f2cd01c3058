"""The heat maps of one image: recorded subword maps, and the word, phrase, and subtree maps derived from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from numbers import Integral
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr

from daam_syntax.errors import WordError
from daam_syntax.language.sentence import Sentence, Span
from daam_syntax.maps import html_view, storage
from daam_syntax.maps.consistency import find_problems
from daam_syntax.maps.diagnosis.examination import Examination
from daam_syntax.maps.diagnosis.findings import Diagnosis
from daam_syntax.maps.heatmap import HeatMap
from daam_syntax.maps.kept_maps import Axis, KeptMaps
from daam_syntax.maps.map_weights import MapWeights, weighted_mean
from daam_syntax.maps.resizing import bicubic
from daam_syntax.maps.selection import HeadSelection, LayerSelection, StepSelection
from daam_syntax.maps.subwords import (
    MISSING_KIND_REASONS,
    Kind,
    SpecialKind,
    Subword,
    WordAlignment,
    align,
    mean_by_encoder,
)
from daam_syntax.util.arguments.annotations import shown
from daam_syntax.util.arguments.checks import OWN, checked
from daam_syntax.util.images.pixels import as_rgb


class HeatMaps:
    """The heat maps of one image.

    A word is identified by its index in the parse: ``maps[2]`` is the map of the word with index 2. ``maps["cat"]``
    works if the prompt has only one "cat". A recording holds *subword* maps with character offsets, so it can be read
    under another parse of the prompt.

    Parameters
    ----------
    data
        Mean attention probability of each subword, non-negative, with dims ``(token, [step], [layer], [head], y, x)``.
        Axes that are not among the dims have been averaged over. Row *i* belongs to ``subwords[i]``. Alternatively,
        the same as `KeptMaps`, with each layer on its own grid.
    subwords
        The encoder's tokens, including the special start and end tokens, and padding where it was recorded.
    sentence
        The parsed prompt.
    image_size
        Height and width of the image, in pixels.
    truncated_at
        Character offset at which the encoder stopped reading; None if it read the whole prompt. With several
        encoders, a mapping from the name of each encoder to its offset.
    provenance
        Model, seed, steps, scheduler, and so on. To save the maps, it must be JSON-serializable.

    Raises
    ------
    ValueError
        If the parts do not fit together. The message lists every problem.
    """

    @checked
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
        limits = truncated_at if isinstance(truncated_at, Mapping) else {"": truncated_at}
        if problems := find_problems(data, subwords, limits, image_size):
            raise ValueError("Expected heat maps that fit together, but " + "; ".join(problems))
        self._maps = data if isinstance(data, KeptMaps) else KeptMaps.from_array(data)
        self.subwords = tuple(subwords)
        self.sentence = sentence
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.truncated_by: Mapping[str, int | None] = MappingProxyType(dict(limits))
        self.provenance: Mapping[str, Any] = MappingProxyType(dict(provenance or {}))

    @property
    def truncated_at(self) -> int | None:
        """Character offset at which the last encoder stopped reading; None if one read the whole prompt."""
        limits = list(self.truncated_by.values())
        return None if None in limits else max(limit for limit in limits if limit is not None)

    @property
    def encoders(self) -> tuple[str, ...]:
        """Names of the text encoders whose subwords were recorded; empty if there is only one encoder."""
        return tuple(name for name in self.truncated_by if name)

    @checked
    def encoder(self, name: str) -> HeatMaps:
        """Return the maps of one text encoder's subwords.

        Parameters
        ----------
        name
            One of `encoders`.

        Raises
        ------
        WordError
            If the maps have only one encoder, or none with this name.
        """
        if name not in self.encoders:
            having = ", ".join(map(repr, self.encoders))
            wanted = (
                f"one of the text encoders {having}" if having else "maps of several text encoders"
            )
            raise WordError(
                f"Expected {wanted}, but got {name!r}{'' if having else ' for maps of only one'}."
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
        """All subword maps with the axes that were kept, dims ``(token, [step], [layer], [head], y, x)``.

        Each slice is resized to the finest grid by bicubic interpolation and clamped at 0.

        Coordinates: ``token`` (position), with ``subword`` and ``encoder``; ``step`` (number from 0), with
        ``timestep`` and ``progress`` (number divided by the number of all steps); ``layer`` (module path), with its
        own ``grid``, such as "16x16"; and ``head`` (number from 0).

        The array is built on first use. With kept axes it can be larger than the recording; `word_array` returns the
        maps of one word.
        """
        tokens = {
            "token": [s.position for s in self.subwords],
            "subword": ("token", [s.text for s in self.subwords]),
            "encoder": ("token", [s.encoder for s in self.subwords]),
        }
        name = "attention probability" if self.kind == "attention" else self.kind
        return self._maps.array().assign_coords(tokens).rename(name)

    @property
    def kind(self) -> str:
        """What the values are: "attention", or "softmax of output similarity" (see `OutputMaps.softmax`)."""
        return str(self.provenance.get("kind", "attention"))

    @property
    def mean(self) -> np.ndarray:
        """Mean over all kept axes, from which word maps are derived. *Shape:* ``(token, y, x)``."""
        return self._maps.mean

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Axes that were kept, among "step", "layer", and "head"."""
        return self._maps.axes

    @property
    def nbytes(self) -> int:
        """Size of the recording in memory, in bytes, with each layer on its own grid."""
        return self._maps.nbytes

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the finest grid of the recording."""
        return self._maps.grid

    @cached_property
    def words(self) -> tuple[WordAlignment, ...]:
        """Alignment of every token of the parse with its subwords, and its status."""
        words = align(self.sentence, self.subwords, self.truncated_at)
        if "softmax_over" not in self.provenance:
            return words
        reason = "it was not among the words of the softmax"
        return tuple(replace(word, reason=word.reason and reason) for word in words)

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
        """Yield the map of every word in order; a word without a map raises (see `mapped`)."""
        return map(self.word, range(len(self)))

    def __contains__(self, word: object) -> bool:
        """Return whether a word, by index or text, has a map."""
        if isinstance(word, str):
            return any(index in self.mapped for index in self.sentence.find(word))
        return isinstance(word, Integral) and word in self.mapped

    @checked(word=OWN)
    def word(self, word: int | str) -> HeatMap:
        """Return the map of a word, the mean over its subwords (Tang et al. 2023).

        With several text encoders, it is the mean over the encoders that have the word, each averaged over its own
        subwords.

        Parameters
        ----------
        word
            Index of the word in the parse, or its text if that is unambiguous.

        Raises
        ------
        WordError
            If there is no such word, its text is ambiguous, or it has no map (the message says why).
        """
        index = self.sentence.index(word)
        return HeatMap(
            self.stack([index])[0], self.sentence[index].text, (index,), self.image_size, self.kind
        )

    @checked
    def stack(self, indices: Iterable[int] | None = None) -> np.ndarray:
        """Return word maps as one array.

        Parameters
        ----------
        indices
            Indices of the words. Defaults to all words that have a map (`mapped`).

        Returns
        -------
        numpy.ndarray
            Mean attention probabilities, float32, on the finest grid of the recording. *Shape:* ``(word, y, x)``.

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
        return np.stack([self._mean_of_rows(values[list(rows)], rows) for rows in words])

    def _mean_of_rows(self, values: np.ndarray, rows: Iterable[int]) -> np.ndarray:
        return mean_by_encoder(values, [self.subwords[row].encoder for row in rows])

    def _check_mapped(self, index: int) -> None:
        word = self.words[index]
        if word.status != "mapped":
            raise WordError(
                f"Expected a word with a map, but {self.sentence[index].text!r} (index {index}) is "
                f"{word.status}: {word.reason}. Words with maps: {', '.join(map(str, self.mapped))}."
            )

    @checked(word=OWN)
    def word_array(self, word: int | str) -> xr.DataArray:
        """Return the maps of a word for each step, layer, and attention head that was kept.

        Parameters
        ----------
        word
            Index of the word in the parse, or its text if that is unambiguous.

        Returns
        -------
        xarray.DataArray
            Mean over the word's subwords, with dims ``([step], [layer], [head], y, x)`` and the coordinates of `data`.
            Its name is the word. Every slice is clamped at 0 after it is resized, whereas ``maps[word]`` is clamped
            last. Therefore the mean of the slices of a coarse layer can lie slightly above ``maps[word]``.

        Raises
        ------
        WordError
            If there is no such word, its text is ambiguous, or it has no map (the message says why).
        """
        index = self.sentence.index(word)
        self._check_mapped(index)
        rows = self.words[index].subwords
        array = self._maps.array(rows)
        mean = array[0].copy(data=self._mean_of_rows(array.values, rows))
        return mean.rename(self.sentence[index].text)

    @checked
    def select(
        self,
        *,
        steps: StepSelection = None,
        layers: LayerSelection = None,
        heads: HeadSelection = None,
    ) -> HeatMaps:
        """Return the maps of some steps, layers, and attention heads.

        The kept axes remain. Word maps are the means over the selection, as if nothing else had been recorded.

        Parameters
        ----------
        steps
            One or several step numbers, from 0; a slice of numbers; a slice with fractions (``slice(0, 1/3)`` is the
            first third of the steps, and ``slice(0.5, 1)`` the second half); or a function of a step's number and
            timestep.
        layers
            A string, which selects the layers whose module path contains it; a grid such as "16x16"; a number, which
            selects the grids with that many rows; a list, which selects the layers that match one of its entries; or
            a function of a layer's module path and grid.
        heads
            One or several numbers of attention heads, from 0, or a slice of numbers.

        Raises
        ------
        SelectionError
            If nothing matches (the message lists what was recorded), or an axis was not kept.
        ValueError
            If a selection is not valid.

        Examples
        --------
        >>> early = maps.select(steps=slice(0, 1 / 3), layers="16x16")  # doctest: +SKIP
        """
        given = {"steps": steps, "layers": layers, "heads": heads}
        selected = self._maps.select(steps=steps, layers=layers, heads=heads)
        labels = {name: selected.labels(name) for name, value in given.items() if value is not None}
        if not labels:
            return self.with_values(selected)
        return self.with_values(
            selected, selected={**self.provenance.get("selected", {}), **labels}
        )

    @checked
    def weighted(self, weights: MapWeights) -> HeatMaps:
        """Return maps that are weighted means over steps, layers, or attention heads instead of plain means.

        Parameters
        ----------
        weights
            Weights of axes that were kept. `daam_syntax.emoji.learned_weights` returns those of the embedded model,
            and `learn_weights` learns others.

        Returns
        -------
        HeatMaps
            Maps without axes. Their provenance describes the weights.

        Raises
        ------
        SelectionError
            If an axis is not kept, or a step, layer, or head with a nonzero weight is missing.

        Examples
        --------
        >>> trace(pipe, keep=weights.axes, layers=weights.nonzero("layer"))  # doctest: +SKIP
        """
        return self.with_values(
            weighted_mean(self._maps, weights),
            weighted={"by": list(weights.axes), **weights.notes},
        )

    @checked
    def subword(self, row: int) -> HeatMap:
        """Return the map of ``subwords[row]``. Special tokens have maps too (see `special`)."""
        if not 0 <= row < len(self.subwords):
            raise WordError(f"Expected a row from 0 to {len(self.subwords) - 1}, but got {row}.")
        words = tuple(word.index for word in self.words if row in word.subwords)
        return HeatMap(self.mean[row], self.subwords[row].text, words, self.image_size, self.kind)

    @checked
    def special(self, kind: SpecialKind, *, total: bool = False) -> HeatMap:
        """Return the map of one kind of special token, which belongs to no word.

        Parameters
        ----------
        kind
            "start", "end", "padding", or "template" (text that a pipeline adds around the prompt). Padding must have
            been recorded, with ``trace(padding=True)``.
        total
            Whether to return the sum over all tokens of the kind, the attention that they get together. By default,
            the map is the mean over each text encoder's tokens, then over the encoders, as for words.

        Raises
        ------
        WordError
            If there is no token of the kind (the message says why).
        ValueError
            If the kind is unknown, or "text", whose maps are those of the words.

        Examples
        --------
        >>> maps.special("padding", total=True)  # doctest: +SKIP
        """
        kinds = tuple(each for each in MISSING_KIND_REASONS if each != "text")
        if kind not in kinds:
            raise ValueError(f"Expected a kind among {kinds}, but got {kind!r}.")
        rows = [row for row, subword in enumerate(self.subwords) if subword.kind == kind]
        if not rows:
            raise WordError(
                f"Expected a token of the kind {kind!r}, but there is none: {self.lacks(kind)}."
            )
        values = self.mean[rows]
        if total:
            label = f"{kind} ({len(rows)} token{'s' if len(rows) > 1 else ''})"
            return HeatMap(values.sum(axis=0), label, (), self.image_size, self.kind)
        return HeatMap(self._mean_of_rows(values, rows), kind, (), self.image_size, self.kind)

    @checked
    def lacks(self, kind: Kind) -> str:
        """Return why the recording has no token of a kind (see `Subword`); "" if it has one."""
        if any(subword.kind == kind for subword in self.subwords):
            return ""
        if kind not in MISSING_KIND_REASONS:
            raise ValueError(
                f"Expected a kind among {', '.join(MISSING_KIND_REASONS)}, but got {kind!r}."
            )
        if kind == "padding" and not self.provenance.get("padding"):
            return "padding was not recorded: trace with padding=True"
        return MISSING_KIND_REASONS[kind]

    @checked(words=OWN)
    def phrase(self, words: Span | Iterable[int | str]) -> HeatMap:
        """Return the map of several words, the mean over the maps of the words that have one.

        Every word counts once, regardless of its number of subwords.

        Parameters
        ----------
        words
            Indices of words, texts that are unambiguous, or a span of the parse, such as ``sentence.noun_phrases`` has.

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
        if not isinstance(words, Span | Iterable) or isinstance(words, bytes):
            raise TypeError(
                f"Expected several words, such as phrase([0, 1]), but got {shown(words)}."
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
        return HeatMap(self.stack(having).mean(axis=0), label, indices, self.image_size, self.kind)

    def noun_phrases(self) -> list[HeatMap]:
        """Return the maps of the noun phrases in order, without phrases that have no mapped word."""
        return [
            self.phrase(span)
            for span in self.sentence.noun_phrases
            if any(self.words[i].status == "mapped" for i in range(span.start, span.end))
        ]

    @checked(word=OWN)
    def subtree(self, word: int | str, scheme: str = "ud") -> HeatMap:
        """Return the map of a word and all its direct and indirect dependents; see `phrase`.

        Parameters
        ----------
        word
            Index of the word in the parse, or its text if that is unambiguous.
        scheme
            Dependency scheme of the edges: "ud", "enhanced", or "native".

        Raises
        ------
        WordError
            If there is no such word, or no word of the subtree has a map.
        ValueError
            If the parse does not have the scheme.
        """
        return self.phrase(self.sentence.subtree(self.sentence.index(word), scheme))

    @checked
    def with_sentence(self, sentence: Sentence) -> HeatMaps:
        """Return the same recording under another parse of the same prompt, with words aligned again.

        Parameters
        ----------
        sentence
            The other parse, such as ``parse(maps.prompt, parser)``.

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

    @checked
    def with_values(
        self, values: np.ndarray | xr.DataArray | KeptMaps, **provenance: Any
    ) -> HeatMaps:
        """Return the same recording with other values.

        The subwords with their text encoders, the limits of the encoders, the parse, the size of the image, and the
        provenance stay the same.

        Parameters
        ----------
        values
            One map per subword, on any grid. A NumPy array has no kept axes, *shape* ``(token, y, x)``; otherwise the
            values are those of the parameter `data` of `HeatMaps`.
        **provenance
            Entries to add to the provenance, or to replace in it.

        Raises
        ------
        ValueError
            If the values do not fit the subwords, or are negative or not finite.

        Examples
        --------
        >>> halved = maps.with_values(maps.data / 2, scaled=0.5)  # doctest: +SKIP
        """
        if isinstance(values, np.ndarray):
            if values.ndim != 3:
                raise ValueError(
                    f"Expected one map per subword, of the shape (token, y, x), but got {values.shape}."
                )
            values = xr.DataArray(values, dims=("token", "y", "x"))
        return self._with(data=values, provenance={**self.provenance, **provenance})

    def with_provenance(self, **provenance: Any) -> HeatMaps:
        """Return the same maps with entries added to the provenance, or replaced in it."""
        return self._with(provenance={**self.provenance, **provenance})

    def _with(self, **changes: Any) -> HeatMaps:
        return HeatMaps(**{**self._parts(), **changes})

    def _parts(self) -> dict[str, Any]:
        """Return the arguments that make these maps."""
        return {
            "data": self._maps,
            "subwords": self.subwords,
            "sentence": self.sentence,
            "image_size": self.image_size,
            "truncated_at": dict(self.truncated_by) if self.encoders else self.truncated_at,
            "provenance": self.provenance,
        }

    @checked
    def diagnose(self, image: Any = None) -> Diagnosis:
        """Find out what may be off with these maps, and what to try.

        It finds words that were truncated, or that the tokenizer or the model does not know; special tokens that take
        all attention; identical maps of a repeated word; maps that are flat, scattered, or along the border; maps of
        too few steps; and a black image. ``docs/diagnosis.md`` says how often, and how often it is mistaken.

        Parameters
        ----------
        image
            The image, to find out whether it is black: one of Pillow in any mode, or an array of integers or of floats
            from 0 to 1, *shape* ``(y, x)`` or ``(y, x, channel)``.

        Returns
        -------
        Diagnosis
            The findings; `Diagnosis.to_frame` returns them as a table.

        Raises
        ------
        TypeError
            If `image` is neither.
        ValueError
            If it is an array of another shape, or not finite.

        Examples
        --------
        >>> maps.diagnose(images[0])  # doctest: +SKIP
        """
        # Here, because the checks' measures need SciPy, a fifth of the time that heat maps take to import.
        from daam_syntax.maps.diagnosis.checks import run_checks

        return run_checks(
            Examination(
                sentence=self.sentence,
                words=self.words,
                subwords=self.subwords,
                token_maps=self.mean,
                truncated_by=self.truncated_by,
                word_maps=dict(zip(self.mapped, self.stack(), strict=True)),
                steps=self._step_numbers(),
                provenance=self.provenance,
                image=None if image is None else np.asarray(as_rgb(image)) / 255,
            )
        )

    def _step_numbers(self) -> list[int] | None:
        """Return the numbers of the steps that the maps are the mean of; None for all steps."""
        if "step" in self.axes:
            return self._maps.labels("steps")
        selected: Mapping[str, list[int]] = self.provenance.get("selected", {})
        return selected.get("steps", self.provenance.get("recorded"))

    @checked
    def save(self, path: str | Path) -> None:
        """Write the maps to one compressed ``.npz`` file; an error leaves no partial file.

        Raises
        ------
        FileError
            If the file cannot be written.
        """
        storage.write_maps(Path(path), **self._parts())

    @classmethod
    @checked
    def load(cls, path: str | Path) -> HeatMaps:
        """Read heat maps that `save` wrote.

        Raises
        ------
        FileError
            If the file cannot be read, is damaged, or is not a heat-map file.
        """
        with storage.opened_maps(Path(path)) as parts:
            return cls(**parts)

    def __repr__(self) -> str:
        height, width = self.grid
        kept = [f"{n} {axis}s" for axis, n in self._maps.sizes.items()]
        by = f", by {' x '.join(kept)}" if kept else ""
        return (
            f"HeatMaps({self.prompt!r}: {len(self.mapped)} of {len(self)} words with maps{by}, "
            f"grid {height} x {width}, image {self.image_size[0]} x {self.image_size[1]})"
        )

    def _repr_html_(self) -> str:
        maps = self.stack()
        small = bicubic(maps, html_view.thumbnail_size(self.image_size))
        mapped = {
            index: (each, float(whole.max()))
            for index, each, whole in zip(self.mapped, small, maps, strict=True)
        }
        cells = [
            (self.sentence[word.index].text, *mapped.get(word.index, (word.status, 0.0)))
            for word in self.words
        ]
        note = self.diagnose().line
        return html_view.strip(cells, f"{note} maps.diagnose() says what to try." * bool(note))


def each_image(maps: HeatMaps | Iterable[HeatMaps]) -> Iterator[HeatMaps]:
    """Yield the heat maps of one image, or of each of several.

    Raises
    ------
    TypeError
        If the argument, or an item of it, is not `HeatMaps`.
    ValueError
        If the maps are of different kinds.
    """
    several = [maps] if isinstance(maps, HeatMaps) else maps
    wanted = "Expected HeatMaps, or a list of them, such as `trace.heat_maps()` returns"
    if not isinstance(several, Iterable) or getattr(several, "ndim", 1) == 0:
        raise TypeError(f"{wanted}, but got {type(several).__name__}.")
    kind = None
    for image in several:
        if not isinstance(image, HeatMaps):
            raise TypeError(f"{wanted}, but got {description_of(image)}.")
        kind = image.kind if kind is None else kind
        if image.kind != kind:
            raise ValueError(
                f"Expected maps of one kind, but got maps of {kind} and of {image.kind}, whose values cannot be "
                "compared: pass each kind alone."
            )
        yield image


def require_one_image(maps: object) -> None:
    """Raise a `TypeError` for anything but the `HeatMaps` of one image."""
    if not isinstance(maps, HeatMaps):
        raise TypeError(f"Expected HeatMaps of one image, but got {description_of(maps)}.")


def description_of(value: object) -> str:
    """Return what a message says about a value that is not `HeatMaps`: its type, and for a video what to do."""
    return str(getattr(value, "described", type(value).__name__))
