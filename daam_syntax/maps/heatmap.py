"""One heat map: of a subword, a word, a phrase or a subtree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from daam_syntax.maps import notebook
from daam_syntax.maps.resize import bicubic
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
        """Return the map on another grid, bicubic and clamped at 0.

        Parameters
        ----------
        size
            Height and width; those of the image if None.

        Returns
        -------
        numpy.ndarray
            Mean attention probabilities, float32, shape `size`, (y, x).
        """
        return bicubic(self.values, size or self.image_size)

    def mask(
        self, threshold: str | Threshold = "relative:0.4", size: tuple[int, int] | None = None
    ) -> np.ndarray:
        """Return where the upscaled map lies above a threshold.

        Parameters
        ----------
        threshold
            A rule such as "relative:0.4" (times the map's maximum), "absolute:0.15" (mean attention probability) or
            "otsu", see `daam_syntax.maps.parse_threshold`.
        size
            Height and width; those of the image if None.

        Returns
        -------
        numpy.ndarray
            Bool, shape `size`, (y, x).

        Raises
        ------
        ThresholdError
            If there is no such rule.
        """
        return parse_threshold(threshold).apply(self.resize(size))

    def __repr__(self) -> str:
        (y, x), (height, width) = self.values.shape, self.image_size
        top = f"at most {self.values.max():.3g}" if self.values.size else "empty"
        return f"HeatMap({self.label!r}: grid {y} x {x}, image {height} x {width}, {top})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype=dtype, copy=copy)

    def _repr_html_(self) -> str:
        small = self.resize(notebook.thumbnail_size(self.image_size))
        return notebook.strip([(self.label, small)], float(self.values.max()))
