"""Weights of steps, layers and heads: learned from masks, and used on maps that keep those axes.

A plain map is the mean over all of them. Where the masks of some things are known, it can be learned which of them lie
on the things; such weights are a choice like a threshold, to be made on other pictures than those that are analysed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from scipy.optimize import nnls

from daam_syntax.errors import FileError, SelectionError
from daam_syntax.maps.kept_maps import AXES, Axis, KeptMaps, check_axes, check_kept, finest_grid
from daam_syntax.maps.resize import averaged, bicubic
from daam_syntax.util.data_files import data_path
from daam_syntax.util.whole_files import whole_file

if TYPE_CHECKING:
    from daam_syntax.maps.heatmaps import HeatMaps

_FORMAT: Final = 1
_EMOJI: Final = ("emoji-model", "map_weights.json")


@dataclass(frozen=True, eq=False)
class MapWeights:
    """How much each step, layer and head counts in a map.

    Attributes
    ----------
    values
        Non-negative, sum 1; dims among ("step", "layer", "head"), with the steps' and heads' numbers from 0 and the
        layers' module paths as coordinates. An axis that is no dim is averaged over.
    notes
        What they were learned from.
    """

    values: xr.DataArray
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        dims = [axis for axis in AXES if axis in self.values.dims]
        if not dims or set(dims) != set(self.values.dims):
            raise ValueError(f"Expected dims among {AXES}, but got {self.values.dims}.")
        if missing := [axis for axis in dims if axis not in self.values.coords]:
            raise ValueError(f"Expected coordinates that name every {missing[0]}, but got none.")
        found = self.values.transpose(*dims).astype(float)
        if not (np.isfinite(found).all() and (found >= 0).all() and found.sum() > 0):
            raise ValueError("Expected weights that are finite, not negative, and not all 0.")
        object.__setattr__(self, "values", found / found.sum())

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Which axes they tell apart: what `trace` must keep."""
        return tuple(axis for axis in AXES if axis in self.values.dims)

    def counting(self, axis: Axis) -> list[Any]:
        """Return the steps, layers or heads whose weight is not 0; of layers it is what ``trace(layers=)`` takes."""
        along = self.values.sum([other for other in self.axes if other != axis])
        return along[axis].values[along.values > 0].tolist()

    def save(self, path: str | Path) -> None:
        """Write them as JSON, whole or not at all."""
        content = {
            "format": _FORMAT,
            "notes": dict(self.notes),
            "labels": {axis: self.values[axis].values.tolist() for axis in self.axes},
            "weights": self.values.values.tolist(),
        }
        with whole_file(Path(path)) as partial:
            partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path | None = None) -> MapWeights:
        """Read what `save` wrote; if None, the weights of the embedded model's layers and heads.

        Raises
        ------
        FileError
            If the file cannot be read, or holds something else.
        """
        file = data_path(*_EMOJI) if path is None else Path(path)
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                raise ValueError(f"format {content['format']!r}, not {_FORMAT}")
            labels = content["labels"]
            values = xr.DataArray(
                np.array(content["weights"], float), dims=list(labels), coords=labels
            )
            return cls(values, content["notes"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileError(f"Expected weights of maps in {file}, but got {error!r}.") from error

    def __repr__(self) -> str:
        counting = int((self.values > 0).sum())
        return f"MapWeights({counting} of {self.values.size} {' x '.join(self.axes)} count)"


def learn_weights(
    maps: Iterable[HeatMaps],
    masks: Iterable[Mapping[int, np.ndarray]],
    *,
    axes: Sequence[str] = ("layer", "head"),
    shrinkage: float = 1e-3,
) -> MapWeights:
    """Learn which steps, layers and heads lie on the things that words name.

    Non-negative least squares: for every word, its mask is approximated by a constant of its own plus the weighted
    sum of its maps, every word weighing the same; the weights are then scaled to sum 1. Learn them from other
    pictures than those whose maps are weighted.

    Parameters
    ----------
    maps
        Recordings that keep the axes, all of the same model.
    masks
        For each of them the masks of some words by index, bool, any shape of the picture's proportions; averaged
        over the cells of the maps' grid.
    axes
        What is told apart, among "step", "layer" and "head". Steps by their number, so that the weights fit only
        drawings with as many.
    shrinkage
        How strongly weights are drawn together: ridge penalty as a share of the mean variance of a map.

    Returns
    -------
    MapWeights
        With the numbers of maps and words in the notes.

    Raises
    ------
    SelectionError
        If a recording does not keep an axis, or has other steps, layers or heads than the first.
    ValueError
        If there is no mask with an edge, or no map that rises on the masks.
    WordError
        If a word has no map.
    """
    apart = check_axes(axes)
    labels: dict[str, list[Any]] = {}
    moments = _Moments()
    n_maps = 0
    for recorded, wanted in zip_longest(maps, masks):
        if recorded is None or wanted is None:
            lacking = "masks" if wanted is None else "maps"
            raise ValueError(f"Expected as many maps as masks, but got only {n_maps} {lacking}.")
        n_maps += 1
        for word, mask in wanted.items():
            slices = recorded.word_array(word)
            for axis in apart:
                check_kept(axis, slices.dims, "learn weights from")
            slices = slices.mean(
                [axis for axis in AXES if axis in slices.dims and axis not in apart]
            )
            found: dict[str, list[Any]] = {axis: slices[axis].values.tolist() for axis in apart}
            labels = labels or found
            if found != labels:
                raise SelectionError(
                    f"Expected the same {'s and '.join(apart)}s in all maps, but {recorded.prompt!r} has others."
                )
            moments.add(slices.values, averaged(np.asarray(mask, np.float32), recorded.grid))
    weights = moments.solve(shrinkage).reshape([len(labels[axis]) for axis in apart])
    values = xr.DataArray(weights, dims=apart, coords=labels)
    return MapWeights(values, {"maps": n_maps, "words": moments.n_words})


class _Moments:
    """Sums of squares and products of maps and masks within words, from which least squares are solved."""

    def __init__(self) -> None:
        self.n_words = 0
        self._maps: np.ndarray | float = 0.0
        self._both: np.ndarray | float = 0.0

    def add(self, slices: np.ndarray, mask: np.ndarray) -> None:
        """Add a word's maps, shape (..., y, x), and its mask on their grid, shape (y, x)."""
        flat = slices.reshape(-1, mask.size).astype(float)
        flat -= flat.mean(axis=1, keepdims=True)
        self._maps += flat @ flat.T / mask.size
        self._both += flat @ (mask.ravel() - mask.mean()) / mask.size
        self.n_words += 1

    def solve(self, shrinkage: float) -> np.ndarray:
        """Return the non-negative coefficients of all slices."""
        if not np.any(np.asarray(self._both) > 0):
            raise ValueError(
                "Expected masks with an edge, and a map that is stronger inside than outside, but got none in "
                f"{self.n_words} words."
            )
        gram = np.asarray(self._maps)
        ridge = shrinkage * np.trace(gram) / len(gram) + np.finfo(float).tiny
        root = np.linalg.cholesky(gram + ridge * np.eye(len(gram)))
        return nnls(root.T, np.linalg.solve(root, self._both))[0]


def weighted_mean(kept: KeptMaps, weights: MapWeights) -> np.ndarray:
    """Return the weighted mean of maps, float32, shape (token, y, x) on the finest grid that counts.

    Each layer's maps are averaged on their own grid before they are resized.

    Raises
    ------
    SelectionError
        If an axis is not kept, or what counts is not all there.
    """
    for axis in weights.axes:
        check_kept(axis, kept.axes, "weight them")
        there = kept.labels(f"{axis}s")
        if missing := [label for label in weights.counting(axis) if label not in there]:
            raise SelectionError(
                f"Expected maps of every {axis} that counts, but {', '.join(map(str, missing))} is missing; there are "
                f"{', '.join(map(str, there))}. Weights fit the model and the steps that they were learned from."
            )
    n_layers = sum(part.n_layers for part in kept.parts)
    means = []
    for part in kept.parts:
        if "layer" not in weights.axes:
            share = weights.values * (part.n_layers / n_layers)
        elif part.layers[0] in weights.counting("layer"):
            share = weights.values.sel(layer=part.layers[0], drop=True)
        else:
            continue
        rest = [axis for axis in AXES if axis in part.values.dims and axis not in share.dims]
        means.append((part.values.mean(rest) * share).sum(share.dims).values)
    grid = finest_grid((mean.shape[-2], mean.shape[-1]) for mean in means)
    resized = [mean if mean.shape[-2:] == grid else bicubic(mean, grid) for mean in means]
    return np.asarray(np.sum(resized, axis=0), dtype=np.float32)
