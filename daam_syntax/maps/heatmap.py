"""The heat map of one subword, word, phrase, or subtree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from daam_syntax.maps import html_view
from daam_syntax.maps.resizing import bicubic
from daam_syntax.maps.thresholds import Threshold, parse_threshold
from daam_syntax.util.arguments.checks import checked, whole


@checked(image_size=whole(1, 1_000_000))
@dataclass(frozen=True, eq=False)
class HeatMap:
    """The heat map of one subword, word, phrase, or subtree.

    Attributes
    ----------
    values
        Mean attention probabilities (unless `kind` says otherwise), float32, on the grid of the recording. *Shape:*
        ``(y, x)``.
    label
        Text of the words that the map belongs to.
    indices
        Indices in the parse of the words that the map was made from.
    image_size
        Height and width of the image, in pixels.
    kind
        What the values are, see `HeatMaps.kind`.
    """

    values: np.ndarray
    label: str
    indices: tuple[int, ...]
    image_size: tuple[int, int]
    kind: str = "attention"

    def __post_init__(self) -> None:
        if self.values.ndim != 2:
            raise ValueError(f"Expected values of shape (y, x), but got {self.values.shape}.")
        values = np.asarray(self.values).view()  # the caller's array stays writable
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    @checked(size=whole(1, 65_536))
    def resize(self, size: tuple[int, int] | None = None) -> np.ndarray:
        """Resample the map to another grid by bicubic interpolation, clamped at 0.

        Parameters
        ----------
        size
            Height and width of the new grid. Defaults to the size of the image.

        Returns
        -------
        numpy.ndarray
            Mean attention probabilities, float32. *Shape:* `size`, ``(y, x)``.
        """
        return bicubic(self.values, size or self.image_size)

    @checked(size=whole(1, 65_536))
    def mask(
        self, threshold: str | Threshold = "relative:0.4", size: tuple[int, int] | None = None
    ) -> np.ndarray:
        """Return where the resized map lies above a threshold.

        Parameters
        ----------
        threshold
            A rule such as "relative:0.4" (times the map's maximum), "absolute:0.15" (a mean attention probability),
            or "otsu". See `daam_syntax.maps.parse_threshold`.
        size
            Height and width of the mask. Defaults to the size of the image.

        Returns
        -------
        numpy.ndarray
            Boolean mask. *Shape:* `size`, ``(y, x)``.

        Raises
        ------
        ThresholdError
            If the rule is unknown.
        """
        return parse_threshold(threshold).apply(self.resize(size))

    def __repr__(self) -> str:
        (y, x), (height, width) = self.values.shape, self.image_size
        top = f"at most {self.values.max():.3g}" if self.values.size else "empty"
        of = "" if self.kind == "attention" else f"{self.kind}, "
        return f"HeatMap({self.label!r}: {of}grid {y} x {x}, image {height} x {width}, {top})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype=dtype, copy=copy)

    def _repr_html_(self) -> str:
        small = self.resize(html_view.thumbnail_size(self.image_size))
        return html_view.strip([(self.label, small, float(self.values.max()))])
