"""The maps of one image by similarity of attention outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NoReturn

import numpy as np
import xarray as xr

from daam_syntax.errors import WordError
from daam_syntax.language.sentence import Sentence
from daam_syntax.maps.consistency import find_problems
from daam_syntax.maps.heatmaps import HeatMaps
from daam_syntax.maps.kept_maps import Axis, KeptMaps
from daam_syntax.maps.output_maps import files
from daam_syntax.maps.selection import HeadSelection, LayerSelection, StepSelection
from daam_syntax.maps.subwords import Subword, WordAlignment, align, mean_by_encoder
from daam_syntax.util.arguments.annotations import shown
from daam_syntax.util.arguments.checks import OWN, POSITIVE, checked

SOFTMAX: Final = "softmax of output similarity"
"""Kind of the heat maps that `OutputMaps.softmax` returns."""

_SAME_IMAGE: Final = ("call", "batch_row", "seed", "source", "timesteps", "recorded")


class OutputMaps:
    """The maps of one image by similarity of attention outputs (after Helbling et al. 2025).

    A value is the dot product of a pixel's attention output with that of a token, over all attention heads together,
    averaged over steps and layers. Where tokens are queries (joint attention), both are outputs of the same attention,
    before its output projections, of which text and image have different ones. In cross-attention a token has no
    output; its value vector, which is what a pixel would get from this token alone, takes its place, and both are
    compared after the output projection, without its bias. The value of a kept attention head is its part of the dot
    product times the number of heads, so that the mean over heads is the whole.

    Values are in units of the model and may be negative. They are *not* attention probabilities: they compare pixels
    and words of one image and one model, and do not sum to anything. Functions that expect heat maps refuse them. For
    maps from 0 to 1, let words compete for each pixel with `softmax`.

    Parameters
    ----------
    data
        Similarity of each subword, finite, with dims ``(token, [step], [layer], [head], y, x)``; see `HeatMaps`.
    subwords, sentence, image_size, truncated_at, provenance
        As for `HeatMaps`.

    Raises
    ------
    ValueError
        If the parts do not fit together. The message lists every problem.

    Examples
    --------
    >>> with trace(pipe, outputs=True, also=["grass"]) as recording:  # doctest: +SKIP
    ...     pipe("a red cat and a dog")
    >>> (maps,) = recording.output_maps()  # doctest: +SKIP
    >>> (grass,) = recording.output_maps(of="grass")  # doctest: +SKIP
    >>> maps.softmax(["cat", "dog"], beside=[grass])["cat"]  # doctest: +SKIP
    """

    kind: Final = "output similarity"

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
        if problems := find_problems(data, subwords, limits, image_size, is_signed=True):
            raise ValueError("Expected output maps that fit together, but " + "; ".join(problems))
        self._maps = (
            KeptMaps(data.parts, keeps_layers="layer" in data.axes, is_signed=True)
            if isinstance(data, KeptMaps)
            else KeptMaps.from_array(data, is_signed=True)
        )
        self.subwords = tuple(subwords)
        self.sentence = sentence
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.truncated_by: Mapping[str, int | None] = MappingProxyType(dict(limits))
        self.provenance: Mapping[str, Any] = MappingProxyType(
            {**(provenance or {}), "kind": self.kind}
        )

    def __getattr__(self, name: str) -> Any:
        if hasattr(HeatMaps, name):
            raise AttributeError(
                f"Expected HeatMaps, to use their {name}, but got {self.described}."
            )
        raise AttributeError(f"OutputMaps has no attribute {name!r}.")

    def __getitem__(self, word: object) -> NoReturn:
        raise TypeError(f"Expected HeatMaps, for the map of {word!r}, but got {self.described}.")

    def __iter__(self) -> NoReturn:
        raise TypeError(f"Expected HeatMaps, or a list of them, but got {self.described}.")

    def __contains__(self, word: object) -> bool:
        """Return whether a word, by index or text, has a map."""
        indices = self.sentence.find(word) if isinstance(word, str) else (word,)
        return any(index in self.mapped for index in indices)

    @property
    def described(self) -> str:
        """What messages say where heat maps are expected."""
        return (
            "OutputMaps, whose values are similarities of attention outputs and may be negative: let words compete "
            "for each pixel (maps.softmax(words)), or use an array (maps.similarity(word))"
        )

    @property
    def prompt(self) -> str:
        """The prompt's text."""
        return self.sentence.text

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Axes that were kept, among "step", "layer", and "head"."""
        return self._maps.axes

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the finest grid of the recording."""
        return self._maps.grid

    @property
    def nbytes(self) -> int:
        """Size of the recording in memory, in bytes, with each layer on its own grid."""
        return self._maps.nbytes

    @property
    def truncated_at(self) -> int | None:
        """Character offset at which the last encoder stopped reading; None if one read the whole prompt."""
        limits = list(self.truncated_by.values())
        return None if None in limits else max(limit for limit in limits if limit is not None)

    @cached_property
    def data(self) -> xr.DataArray:
        """All subword maps with the axes that were kept, with the dims and coordinates of `HeatMaps.data`.

        Each slice is resized to the finest grid by bicubic interpolation. Negative values stay.
        """
        tokens = {
            "token": [s.position for s in self.subwords],
            "subword": ("token", [s.text for s in self.subwords]),
            "encoder": ("token", [s.encoder for s in self.subwords]),
        }
        return self._maps.array().assign_coords(tokens).rename(self.kind)

    @cached_property
    def words(self) -> tuple[WordAlignment, ...]:
        """Alignment of every token of the parse with its subwords, and its status."""
        return align(self.sentence, self.subwords, self.truncated_at)

    @property
    def mapped(self) -> tuple[int, ...]:
        """Indices of the words that have a map."""
        return tuple(word.index for word in self.words if word.status == "mapped")

    @checked(word=OWN)
    def similarity(self, word: int | str) -> np.ndarray:
        """Return the map of a word: the mean over its subwords, kept axes, and text encoders, as for heat maps.

        Parameters
        ----------
        word
            Index of the word in the parse, or its text if that is unambiguous.

        Returns
        -------
        numpy.ndarray
            Dot products, which may be negative, float32, on the finest grid. *Shape:* ``(y, x)``.

        Raises
        ------
        WordError
            If there is no such word, its text is ambiguous, or it has no map (the message says why).
        """
        rows = self._rows(self.sentence.index(word))
        return self._mean(self._maps.mean[list(rows)], rows)

    @checked(word=OWN)
    def word_array(self, word: int | str) -> xr.DataArray:
        """Return the maps of a word for each step, layer, and attention head that was kept.

        Parameters
        ----------
        word
            As for `similarity`.

        Returns
        -------
        xarray.DataArray
            Mean over the word's subwords, with dims ``([step], [layer], [head], y, x)``. Its name is the word.
        """
        index = self.sentence.index(word)
        rows = self._rows(index)
        array = self._maps.array(rows)
        mean = array[0].copy(data=self._mean(array.values, rows))
        return mean.rename(self.sentence[index].text)

    def _rows(self, index: int) -> tuple[int, ...]:
        word = self.words[index]
        if word.status != "mapped":
            raise WordError(
                f"Expected a word with a map, but {self.sentence[index].text!r} (index {index}) is "
                f"{word.status}: {word.reason}. Words with maps: {', '.join(map(str, self.mapped))}."
            )
        return word.subwords

    def _mean(self, values: np.ndarray, rows: Iterable[int]) -> np.ndarray:
        return mean_by_encoder(values, [self.subwords[row].encoder for row in rows])

    @checked(words=OWN, beside=OWN, temperature=POSITIVE)
    def softmax(
        self,
        words: Iterable[int | str],
        *,
        beside: Iterable[OutputMaps] = (),
        temperature: float = 1.0,
    ) -> HeatMaps:
        """Let words compete for each pixel: the softmax of their similarities, as in ConceptAttention.

        A pixel's values sum to 1 over all that compete. So a map depends on the others: a word without a rival nearby
        gets every pixel. If axes were kept, each step, layer, and head has a softmax, and the mean is taken
        afterwards; otherwise the softmax is that of the mean.

        Parameters
        ----------
        words
            Indices of words, or texts that are unambiguous.
        beside
            Output maps of other texts of the same image (``output_maps(of=...)``), with the same kept axes. Each text
            competes as one, with the mean over its words.
        temperature
            What similarities are divided by; higher values make maps flatter.

        Returns
        -------
        HeatMaps
            Maps of the words alone, from 0 to 1, without kept axes. ``provenance["kind"]`` is "softmax of output
            similarity", and ``provenance["softmax_over"]`` names all that compete. Functions of several images refuse
            a list that also has heat maps of another kind.

        Raises
        ------
        WordError
            If a word has no map.
        ValueError
            If fewer than two compete, other maps are of another image or other axes, or the temperature is not
            positive.
        """
        for several in (words, beside):
            if isinstance(several, str | bytes) or not isinstance(several, Iterable):
                raise TypeError(
                    f"Expected words, and maps of other texts beside them, in lists, but got {shown(several)}."
                )
        chosen = list(dict.fromkeys(self.sentence.index(word) for word in words))
        others = list(beside)
        if len(chosen) + len(others) < 2 or not chosen:
            raise ValueError(
                "Expected at least two that compete for each pixel, one of them a word of these maps, but got "
                f"{len(chosen)} words and {len(others)} texts beside them: a softmax over one is 1 everywhere."
            )
        if not temperature > 0:
            raise ValueError(f"Expected a temperature above 0, but got {temperature}.")
        arrays = [self.word_array(index).values for index in chosen]
        arrays += [self._of_other_text(other) for other in others]
        scaled = np.stack(arrays).astype(np.float64) / temperature
        raised = np.exp(scaled - scaled.max(axis=0))
        shares = (raised / raised.sum(axis=0)).mean(axis=tuple(range(1, scaled.ndim - 2)))
        tokens = [self.sentence[index] for index in chosen]
        return HeatMaps(
            xr.DataArray(shares[: len(chosen)].astype(np.float32), dims=("token", "y", "x")),
            [Subword(row, token.text, token.start, token.end) for row, token in enumerate(tokens)],
            self.sentence,
            self.image_size,
            provenance={
                **self.provenance,
                "kind": SOFTMAX,
                "softmax_over": [token.text for token in tokens] + [each.prompt for each in others],
                "temperature": temperature,
            },
        )

    def _of_other_text(self, other: OutputMaps) -> np.ndarray:
        """Return the mean over the words of another text."""
        if not isinstance(other, OutputMaps):
            raise ValueError(f"Expected OutputMaps beside these, but got {type(other).__name__}.")
        differing = [
            name for name in _SAME_IMAGE if self.provenance.get(name) != other.provenance.get(name)
        ]
        differing += [
            name
            for name in ("axes", "grid", "image_size")
            if getattr(self, name) != getattr(other, name)
        ]
        if differing:
            raise ValueError(
                f"Expected output maps of the same image and recording, but those of {other.prompt!r} differ in "
                f"{', '.join(differing)}: pass maps of one trace and one image."
            )
        return np.mean([other.word_array(index).values for index in other.mapped], axis=0)

    @checked
    def select(
        self,
        *,
        steps: StepSelection = None,
        layers: LayerSelection = None,
        heads: HeadSelection = None,
    ) -> OutputMaps:
        """Return the maps of some steps, layers, and attention heads; see `HeatMaps.select`."""
        given = {"steps": steps, "layers": layers, "heads": heads}
        selected = self._maps.select(steps=steps, layers=layers, heads=heads)
        labels = {name: selected.labels(name) for name, value in given.items() if value is not None}
        known = {**self.provenance.get("selected", {}), **labels}
        return self._with(
            data=selected, provenance={**self.provenance, **({"selected": known} if known else {})}
        )

    @checked
    def with_sentence(self, sentence: Sentence) -> OutputMaps:
        """Return the same recording under another parse of the same prompt; see `HeatMaps.with_sentence`."""
        if sentence.text != self.prompt:
            raise ValueError(
                f"Expected a parse of {self.prompt!r}, but got one of {sentence.text!r}."
            )
        return self._with(sentence=sentence)

    def with_provenance(self, **provenance: Any) -> OutputMaps:
        """Return the same maps with entries added to the provenance, or replaced in it, except their kind."""
        return self._with(provenance={**self.provenance, **provenance})

    @checked
    def save(self, path: str | Path) -> None:
        """Write the maps to one compressed ``.npz`` file; an error leaves no partial file.

        Raises
        ------
        FileError
            If the file cannot be written.
        """
        files.write_outputs(Path(path), self._parts())

    @classmethod
    @checked
    def load(cls, path: str | Path) -> OutputMaps:
        """Read maps written by `save`.

        Raises
        ------
        FileError
            If there is no such file, it is damaged, or it holds something else, such as heat maps.
        """
        with files.opened_outputs(Path(path)) as parts:
            return cls(**parts)

    def _with(self, **changes: Any) -> OutputMaps:
        return OutputMaps(**{**self._parts(), **changes})

    def _parts(self) -> dict[str, Any]:
        """Return the arguments that make these maps."""
        encoders = [name for name in self.truncated_by if name]
        return {
            "data": self._maps,
            "subwords": self.subwords,
            "sentence": self.sentence,
            "image_size": self.image_size,
            "truncated_at": dict(self.truncated_by) if encoders else self.truncated_at,
            "provenance": self.provenance,
        }

    def __repr__(self) -> str:
        (y, x), (height, width) = self.grid, self.image_size
        kept = f", by {', '.join(self.axes)}" if self.axes else ""
        return f"<OutputMaps of {self.prompt!r}: grid {y} x {x}, image {height} x {width}{kept}>"
