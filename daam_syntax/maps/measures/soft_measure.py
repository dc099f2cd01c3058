"""Comparison of two maps in two stages; each map is prepared only once."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from daam_syntax.maps.measures.arrays import as_maps


class SoftMeasure:
    """A comparison of two maps without a threshold.

    Attributes
    ----------
    prepare
        Converts maps of *shape* ``(..., y, x)`` to features of *shape* ``(..., feature)``, or to maps on a coarser
        grid.
    compare
        Compares the prepared maps of heads with those of dependents and returns values of *shape* ``(...)``.
    """

    __name__: str

    def __init__(
        self,
        prepare: Callable[[np.ndarray], np.ndarray],
        compare: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ) -> None:
        self.prepare = prepare
        self.compare = compare
        functools.update_wrapper(self, compare)  # its name and docstring

    def __call__(self, first: ArrayLike, second: ArrayLike) -> np.ndarray:
        """Compare maps whose *shapes* ``(..., y, x)`` broadcast, and return values of *shape* ``(...)``.

        Raises
        ------
        ValueError
            If a map has fewer than two axes, or a value that is negative or not finite, or the sizes differ.
        """
        head = as_maps(first, "first", self.__name__)
        dependent = as_maps(second, "second", self.__name__)
        if head.shape[-2:] != dependent.shape[-2:]:
            raise ValueError(
                f"Expected maps of one size (..., y, x), but got {head.shape} and {dependent.shape}; resize one of "
                "them first."
            )
        return np.asarray(self.compare(self.prepare(head), self.prepare(dependent)))
