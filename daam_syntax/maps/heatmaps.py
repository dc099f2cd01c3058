"""The heat maps of one image: subword maps, and the word, phrase and subtree maps made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr

from daam_syntax.errors import WordError
from daam_syntax.language.sentence import Sentence, Span
from daam_syntax.maps import files, html
from daam_syntax.maps.resize import bicubic
from daam_syntax.maps.subwords import Subword, WordAlignment, align
from daam_syntax.maps.thresholds import Threshold, parse_threshold


@dataclass(frozen=True, eq=False)
class HeatMap:
    """One map: of a subword, a word, a phrase or a subtree.

    Attributes
    ----------
    values
        Mean attention probability, float32, shape (y, x), on the grid of the recording.
    label
        What it is of.
    indices
        The words it was made from (indices in the parse).
    image_size
        Height and width of the image, pixels.
    """

    values: np.ndarray
    label: str
    indices: tuple[int, ...]
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        values = np.asarray(self.values).view()  # the caller's own array stays as it is
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    def resize(self, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return the map on another grid (bicubic, clamped at 0), shape `size`; the image's if None."""
        return bicubic(self.values, size or self.image_size)

    def mask(
        self, threshold: str | Threshold = "relative:0.4", size: tuple[int, int] | None = None
    ) -> np.ndarray:
        """Return where the upscaled map lies above a threshold, bool, shape `size` (the image's if None)."""
        return parse_threshold(threshold).apply(self.resize(size))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype=dtype, copy=copy)

    def _repr_html_(self) -> str:
        small = self.resize(html.thumbnail_size(self.image_size))
        return html.strip([(self.label, small)], float(self.values.max()))


class HeatMaps:
    """The heat maps of one image.

    A word is its index in the parse; ``maps[2]`` is the map of the word with index 2, and ``maps["cat"]`` works
    while there is one "cat". What is kept are *subword* maps with their character offsets, so that the same
    recording can be read under another parse.

    Parameters
    ----------
    data
        Dims ``(token, y, x)``, non-negative: the mean attention probability of each subword over what was
        aggregated (heads, layers, steps). Row *i* belongs to ``subwords[i]``.
    subwords
        The encoder's tokens, special start and end tokens included, padding left out.
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
        data: xr.DataArray,
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
        if tuple(data.dims) != ("token", "y", "x"):
            problems.append(f"dims must be ('token', 'y', 'x'), but are {tuple(data.dims)}")
        elif data.sizes["token"] != len(subwords):
            problems.append(f"there are {data.sizes['token']} maps for {len(subwords)} subwords")
        if not np.isfinite(data.values).all() or (data.values < 0).any():
            problems.append("values must be finite and not negative")
        if len(image_size) != 2 or min(image_size) < 1:
            problems.append(f"image_size must be (height, width), but is {image_size}")
        if problems:
            raise ValueError("Expected heat maps that fit together, but " + "; ".join(problems))
        values = np.array(data.values, dtype=np.float32)
        values.setflags(write=False)
        self.subwords = tuple(subwords)
        coordinates = {
            "token": [s.position for s in self.subwords],
            "subword": ("token", [s.text for s in self.subwords]),
            "encoder": ("token", [s.encoder for s in self.subwords]),
        }
        self.data = xr.DataArray(
            values, dims=("token", "y", "x"), coords=coordinates, name="attention probability"
        )
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

        Raises
        ------
        WordError
            If these are not the maps of several encoders, or there is none of this name.
        """
        if name not in self.encoders:
            having = ", ".join(map(repr, self.encoders)) or "one encoder without a name"
            raise WordError(f"Expected one of the text encoders {having}, but got {name!r}.")
        rows = [row for row, subword in enumerate(self.subwords) if subword.encoder == name]
        return self._with(
            data=self.data[{"token": rows}],
            subwords=[replace(self.subwords[row], encoder="") for row in rows],
            truncated_at=self.truncated_by[name],
            provenance={**self.provenance, "encoders": [name]},
        )

    @property
    def prompt(self) -> str:
        """The prompt's text."""
        return self.sentence.text

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the grid of the recording."""
        return self.data.sizes["y"], self.data.sizes["x"]

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
        """Return word maps as one array, shape (word, y, x); of all words that have one if None.

        Raises
        ------
        WordError
            If there is no such word, or it has no map (the message says why).
        """
        chosen = self.mapped if indices is None else [self.sentence.index(i) for i in indices]
        for index in chosen:
            word = self.words[index]
            if word.status != "mapped":
                raise WordError(
                    f"Expected a word with a map, but {self.sentence[index].text!r} (index {index}) is "
                    f"{word.status}: {word.reason}. Words with maps: {', '.join(map(str, self.mapped))}."
                )
        if not chosen:
            return np.zeros((0, *self.grid), dtype=np.float32)
        return np.stack([self._word(self.words[i].subwords) for i in chosen])

    def _word(self, rows: Sequence[int]) -> np.ndarray:
        by_encoder: dict[str, list[int]] = {}
        for row in rows:
            by_encoder.setdefault(self.subwords[row].encoder, []).append(row)
        values = self.data.values
        return np.mean([values[own].mean(axis=0) for own in by_encoder.values()], axis=0)

    def subword(self, row: int) -> HeatMap:
        """Return the map of ``subwords[row]``; special tokens have maps too."""
        if not 0 <= row < len(self.subwords):
            raise WordError(f"Expected a row from 0 to {len(self.subwords) - 1}, but got {row}.")
        words = tuple(word.index for word in self.words if row in word.subwords)
        return HeatMap(self.data.values[row], self.subwords[row].text, words, self.image_size)

    def phrase(self, words: Span | Iterable[int | str]) -> HeatMap:
        """Return the map of several words: the mean over the maps of those words that have one.

        Every word counts once, however many subwords it has.

        Raises
        ------
        WordError
            If none of them has a map, or there is no such word.
        """
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

    def subtree(self, word: int | str, scheme: str = "native") -> HeatMap:
        """Return the map of a word with everything that depends on it; see `phrase`."""
        return self.phrase(self.sentence.subtree(self.sentence.index(word), scheme))

    def with_sentence(self, sentence: Sentence) -> HeatMaps:
        """Return the same recording under another parse of the same prompt.

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
            "data": self.data,
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
        files.write(Path(path), self.data.values, header)

    @classmethod
    def load(cls, path: str | Path) -> HeatMaps:
        """Read what `save` wrote.

        Raises
        ------
        FileError
            If the file cannot be read, is damaged, or is something else.
        """
        with files.reading(Path(path)) as (values, header):
            return cls(
                xr.DataArray(values, dims=("token", "y", "x")),
                [Subword(**subword) for subword in header["subwords"]],
                Sentence.from_dict(header["sentence"]),
                tuple(header["image_size"]),
                truncated_at=header["truncated_at"],
                provenance=header["provenance"],
            )

    def __repr__(self) -> str:
        height, width = self.grid
        return (
            f"HeatMaps({self.prompt!r}: {len(self.mapped)} of {len(self)} words with maps, "
            f"grid {height} x {width}, image {self.image_size[0]} x {self.image_size[1]})"
        )

    def _repr_html_(self) -> str:
        small = bicubic(self.stack(), html.thumbnail_size(self.image_size))
        mapped = dict(zip(self.mapped, small, strict=True))
        cells = [
            (self.sentence[word.index].text, mapped.get(word.index, word.status))
            for word in self.words
        ]
        top = max((float(m.max()) for m in mapped.values()), default=1.0)
        return html.strip(cells, top)


def _as_dict(subword: Subword) -> dict[str, Any]:
    """Return a subword's fields for a file; the encoder only where there are several."""
    fields = vars(subword)
    return fields if subword.encoder else {k: v for k, v in fields.items() if k != "encoder"}
