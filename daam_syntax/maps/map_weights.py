"""Weights of steps, layers, and attention heads, and heat maps that are weighted means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from daam_syntax.errors import FileError, SelectionError
from daam_syntax.maps.kept_maps import (
    AXES,
    Axis,
    KeptMaps,
    check_kept,
    finest_grid,
    resized,
)
from daam_syntax.util.arguments.checks import checked
from daam_syntax.util.whole_files import whole_file
from daam_syntax.util.wording import one_line

_FORMAT: Final = 1


@checked
@dataclass(frozen=True, eq=False)
class MapWeights:
    """Weight of each step, layer, and attention head in a heat map.

    Attributes
    ----------
    values
        Non-negative weights that sum to 1. Their dims are among ("step", "layer", "head"), with coordinates: the
        numbers of steps and heads, from 0, and the module paths of layers. A heat map is averaged over any axis that
        is not among the dims.
    notes
        What the weights were learned from.
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
        """The axes that the weights distinguish, which `trace` must keep."""
        return tuple(axis for axis in AXES if axis in self.values.dims)

    @checked
    def nonzero(self, axis: Axis) -> list[Any]:
        """Return the steps, layers, or heads with a nonzero weight; ``trace(layers=)`` accepts those of layers."""
        if axis not in self.axes:
            raise ValueError(f"Expected an axis among {', '.join(self.axes)}, but got {axis!r}.")
        along = self.values.sum([other for other in self.axes if other != axis])
        return along[axis].values[along.values > 0].tolist()

    @checked
    def save(self, path: str | Path) -> None:
        """Write the weights as JSON; an error leaves no partial file."""
        content = {
            "format": _FORMAT,
            "notes": dict(self.notes),
            "labels": {axis: self.values[axis].values.tolist() for axis in self.axes},
            "weights": self.values.values.tolist(),
        }
        with whole_file(Path(path)) as partial:
            partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    @checked
    def load(cls, path: str | Path) -> MapWeights:
        """Read weights that `save` wrote.

        Parameters
        ----------
        path
            The file.

        Raises
        ------
        FileError
            If the file cannot be read or holds something else.
        """
        file = Path(path)
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                raise ValueError(f"format {content['format']!r}, not {_FORMAT}")
            labels = content["labels"]
            values = xr.DataArray(
                np.array(content["weights"], float), dims=list(labels), coords=labels
            )
            return cls(values, content["notes"])
        except (
            OSError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            RecursionError,
        ) as error:
            reason = one_line(error).rstrip(".")
            raise FileError(
                f"Expected weights of maps in {file}, but it cannot be read: {type(error).__name__}: {reason}."
            ) from error

    def __repr__(self) -> str:
        n_nonzero = int((self.values > 0).sum())
        return f"MapWeights({n_nonzero} of {self.values.size} {' x '.join(self.axes)} nonzero)"


def weighted_mean(kept: KeptMaps, weights: MapWeights) -> np.ndarray:
    """Return the weighted mean of heat maps.

    The maps of each layer are averaged on their own grid before they are resized.

    Returns
    -------
    numpy.ndarray
        Mean attention probabilities, float32, on the finest grid with a nonzero weight. *Shape:* ``(token, y, x)``.

    Raises
    ------
    SelectionError
        If the maps do not keep an axis of the weights, or lack a step, layer, or head with a nonzero weight.
    """
    for axis in weights.axes:
        check_kept(axis, kept.axes, f"weight {axis}s")
        present = kept.labels(f"{axis}s")
        if missing := [label for label in weights.nonzero(axis) if label not in present]:
            raise SelectionError(
                f"Expected maps of every {axis} with a nonzero weight, but {', '.join(map(str, missing))} is missing; "
                f"the maps have {', '.join(map(str, present))}. Use weights that were learned from the same model and "
                "number of steps."
            )
    n_layers = sum(part.n_layers for part in kept.parts)
    means = []
    for part in kept.parts:
        if "layer" not in weights.axes:
            share = weights.values * (part.n_layers / n_layers)
        elif part.layers[0] in weights.nonzero("layer"):
            share = weights.values.sel(layer=part.layers[0], drop=True)
        else:
            continue
        rest = [axis for axis in AXES if axis in part.values.dims and axis not in share.dims]
        means.append((part.values.mean(rest) * share).sum(share.dims).values)
    grid = finest_grid((mean.shape[-2], mean.shape[-1]) for mean in means)
    whole = np.sum([resized(mean, grid) for mean in means], axis=0)
    return np.asarray(whole, dtype=np.float32)
