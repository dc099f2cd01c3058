"""The attention between the parts of an image, and between the regions of words in it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daam_syntax.maps.heatmaps import HeatMaps
from daam_syntax.maps.kept_maps import AXES, Axis
from daam_syntax.maps.resizing import bicubic
from daam_syntax.util.arguments.checks import checked

_CELLS: Final = ("query_y", "query_x", "key_y", "key_x")


class ImageAttention:
    """The attention from each part of an image to each other part.

    Pixels are joined to at most 16 x 16 cells: the attention *from* a cell is the mean over its pixels, which are
    queries, and the attention *to* a cell the sum over its pixels, which are keys. In joint attention, the rest of each
    row, up to 1, goes to text and to whatever else is in the sequence.

    Parameters
    ----------
    data
        Mean attention probabilities, dims ``([step], [layer], [head], query_y, query_x, key_y, key_x)``.
    pixel_grid
        Rows and columns of the pixels that were joined.
    provenance
        Model, settings, and so on.

    Raises
    ------
    ValueError
        If the dims are others, or the values negative.
    """

    @checked
    def __init__(
        self,
        data: xr.DataArray,
        pixel_grid: tuple[int, int],
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        dims = (*(axis for axis in AXES if axis in data.dims), *_CELLS)
        if data.dims != dims or (data.values < 0).any():
            raise ValueError(
                f"Expected values that are not negative, with dims {dims}, but got dims {data.dims} and values from "
                f"{float(data.values.min()):g}."
            )
        self.data = data.copy(data=np.array(data.values, dtype=np.float32))
        self.data.values.setflags(write=False)
        self.pixel_grid = pixel_grid
        self.provenance: Mapping[str, Any] = MappingProxyType(dict(provenance or {}))

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Axes that were kept, among "step", "layer", and "head"."""
        return tuple(axis for axis in AXES if axis in self.data.dims)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the cells."""
        return self.data.sizes["key_y"], self.data.sizes["key_x"]

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """Mean over the kept axes. *Shape:* ``(query_y, query_x, key_y, key_x)``."""
        found = np.asarray(self.data.astype(np.float64).mean(list(self.axes)).values)
        found.setflags(write=False)
        return found

    @checked
    def from_region(self, region: np.ndarray) -> NDArray[np.float64]:
        """Return the attention from a region to each cell.

        Parameters
        ----------
        region
            Weights of the queries, not negative: a mask, or a heat map, of any size. *Shape:* ``(y, x)``

        Returns
        -------
        numpy.ndarray
            The mean over the region. *Shape:* ``(key_y, key_x)``

        Raises
        ------
        ValueError
            If the region is empty.
        """
        weights = self._weights(region)
        return np.asarray(np.tensordot(weights / weights.sum(), self.mean, axes=2))

    @checked
    def among_words(self, maps: HeatMaps) -> NDArray[np.float64]:
        """Return the attention from the region of each word to that of each other one.

        A region is the word's heat map: the attention from a word is the mean over cells, weighted by its map divided
        by its sum, and the attention to a word the sum over cells, weighted by its map divided by its maximum. Regions
        overlap, so rows need not sum to 1.

        Parameters
        ----------
        maps
            The heat maps of the same image.

        Returns
        -------
        numpy.ndarray
            NaN for words without a map. *Shape:* ``(word, word)``, from word to word
        """
        found = np.full((len(maps), len(maps)), np.nan)
        regions = {index: self._weights(maps[index].values) for index in maps.mapped}
        for query, own in regions.items():
            attended = np.tensordot(own / own.sum(), self.mean, axes=2)
            for key, other in regions.items():
                found[query, key] = (attended * other / other.max()).sum()
        return found

    def _weights(self, region: np.ndarray) -> NDArray[np.float64]:
        values = np.asarray(region, dtype=np.float64)
        is_finite = values.ndim == 2 and np.isfinite(values).all()
        if not is_finite or not (values >= 0).all() or not values.any():
            raise ValueError(
                "Expected a region of finite weights (y, x), not negative and not all 0, but got shape "
                f"{values.shape} and values from {values.min(initial=0):g} to {values.max(initial=0):g}."
            )
        if values.shape == self.grid:
            return values
        return np.asarray(bicubic(values[None].astype(np.float32), self.grid)[0], dtype=np.float64)

    def __repr__(self) -> str:
        by = (
            f", by {' x '.join(f'{self.data.sizes[a]} {a}s' for a in self.axes)}"
            if self.axes
            else ""
        )
        return (
            f"ImageAttention({self.grid[0]} x {self.grid[1]} cells of {self.pixel_grid[0]} x "
            f"{self.pixel_grid[1]} pixels{by})"
        )
