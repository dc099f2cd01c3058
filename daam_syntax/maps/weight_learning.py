"""Learn weights of steps, layers, and attention heads from masks.

A plain heat map is the mean over all of them. Masks of known objects show which of them attend to the objects. Like a
threshold, weights are a choice of the analysis: learn them from images other than those that are analyzed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import xarray as xr
from scipy.optimize import nnls

from daam_syntax.errors import SelectionError
from daam_syntax.maps.heatmaps import HeatMaps, each_image
from daam_syntax.maps.kept_maps import AXES, check_axes, check_kept
from daam_syntax.maps.map_weights import MapWeights
from daam_syntax.maps.resizing import averaged
from daam_syntax.util.arguments.checks import OWN, checked, within


@checked(maps=OWN, shrinkage=within(0, 1e6))
def learn_weights(
    maps: Iterable[HeatMaps],
    masks: Iterable[Mapping[int, np.ndarray]],
    *,
    axes: Sequence[str] = ("layer", "head"),
    shrinkage: float = 1e-3,
) -> MapWeights:
    """Learn which steps, layers, and attention heads attend to the objects that words name.

    The method is non-negative least squares. The mask of every word is approximated by a constant of its own plus the
    weighted sum of the word's maps. All words count equally. The weights are then scaled to sum to 1. Learn them from
    images other than those whose maps are weighted.

    Parameters
    ----------
    maps
        Recordings of one model that keep the axes.
    masks
        For each recording, boolean masks of some of its words by index. A mask can have any size in the proportions
        of the image; it is averaged over the cells of the maps' grid. *Shape:* ``(y, x)``.
    axes
        The axes that the weights distinguish, among "step", "layer", and "head". Steps are identified by their
        number, so weights of steps fit only recordings with the same number of steps.
    shrinkage
        Ridge penalty, as a fraction of the mean variance of a map. Larger values make the weights more alike.

    Returns
    -------
    MapWeights
        The weights. Their notes hold the numbers of maps and words.

    Raises
    ------
    SelectionError
        If a recording does not keep an axis, or has other steps, layers, or heads than the first.
    ValueError
        If there are not as many masks as maps, if every mask is empty or full, or if no map is stronger inside the
        masks.
    WordError
        If a word has no map.
    """
    chosen = check_axes(axes)
    labels: dict[str, list[Any]] = {}
    moments = _Moments()
    n_maps = 0
    for recorded, wanted in zip_longest(each_image(maps), masks):
        if recorded is None or wanted is None:
            lacking = "masks" if wanted is None else "maps"
            raise ValueError(f"Expected as many maps as masks, but got only {n_maps} {lacking}.")
        n_maps += 1
        for word, mask in wanted.items():
            slices = recorded.word_array(word)
            for axis in chosen:
                check_kept(axis, slices.dims, f"learn weights of {axis}s")
            slices = slices.mean(
                [axis for axis in AXES if axis in slices.dims and axis not in chosen]
            )
            found: dict[str, list[Any]] = {axis: slices[axis].values.tolist() for axis in chosen}
            labels = labels or found
            if found != labels:
                raise SelectionError(
                    f"Expected the same {'s and '.join(chosen)}s in all maps, but those of {recorded.prompt!r} differ."
                )
            moments.add(slices.values, averaged(np.asarray(mask, np.float32), recorded.grid))
    weights = moments.solve(shrinkage).reshape([len(labels[axis]) for axis in chosen])
    values = xr.DataArray(weights, dims=chosen, coords=labels)
    return MapWeights(values, {"maps": n_maps, "words": moments.n_words})


class _Moments:
    """Within-word sums of squares and products of maps and masks, the input of least squares."""

    def __init__(self) -> None:
        self.n_words = 0
        self._maps: np.ndarray | float = 0.0
        self._both: np.ndarray | float = 0.0

    def add(self, slices: np.ndarray, mask: np.ndarray) -> None:
        """Add the maps of a word, *shape* ``(..., y, x)``, and its mask on their grid, *shape* ``(y, x)``."""
        flat = slices.reshape(-1, mask.size).astype(float)
        flat -= flat.mean(axis=1, keepdims=True)
        self._maps += flat @ flat.T / mask.size
        self._both += flat @ (mask.ravel() - mask.mean()) / mask.size
        self.n_words += 1

    def solve(self, shrinkage: float) -> np.ndarray:
        """Return the non-negative coefficients of all slices."""
        if not np.any(np.asarray(self._both) > 0):
            raise ValueError(
                "Expected masks that are neither empty nor full, and a map that is stronger inside than outside, "
                f"but got none in {self.n_words} words."
            )
        gram = np.asarray(self._maps)
        ridge = shrinkage * np.trace(gram) / len(gram) + np.finfo(float).tiny
        root = np.linalg.cholesky(gram + ridge * np.eye(len(gram)))
        return nnls(root.T, np.linalg.solve(root, self._both))[0]
