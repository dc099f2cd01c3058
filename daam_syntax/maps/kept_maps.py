"""Heat maps by step, layer, and attention head, each on the grid of its layer."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, get_args

import numpy as np
import xarray as xr

from daam_syntax.errors import SelectionError
from daam_syntax.maps.resizing import bicubic
from daam_syntax.maps.selection import (
    Grid,
    HeadSelection,
    LayerSelection,
    StepSelection,
    grid_name,
    head_selector,
    layer_selector,
    step_selector,
)
from daam_syntax.util.arguments.checks import checked

Axis = Literal["step", "layer", "head"]
"""Axes that a recording can keep: denoising steps, layers of the denoiser, and attention heads of a layer."""

AXES: Final[tuple[Axis, ...]] = get_args(Axis)
DIMS: Final = ("token", *AXES, "y", "x")
"""Order of the dims of heat maps, without the axes that are not kept."""


def check_axes(keep: Iterable[str] | str) -> tuple[Axis, ...]:
    """Return axes in the order of `AXES`, each once.

    Raises
    ------
    ValueError
        If an axis is unknown.
    """
    if not isinstance(keep, Iterable):
        raise ValueError(f"Expected axes among {AXES}, but got {keep!r}.")
    wanted = {keep} if isinstance(keep, str) else set(keep)
    if unknown := wanted.difference(AXES):
        raise ValueError(f"Expected axes among {AXES}, but got {sorted(unknown)}.")
    return tuple(axis for axis in AXES if axis in wanted)


def check_kept(axis: Axis, kept: Iterable[Hashable], purpose: str) -> None:
    """Check that heat maps keep an axis, for a purpose such as "select steps".

    Raises
    ------
    SelectionError
        If they do not; the message says how to keep it.
    """
    axes = [name for name in AXES if name in set(kept)]
    if axis not in axes:
        having = f"only {', '.join(axes)}" if axes else "none"
        raise SelectionError(
            f"Expected maps that keep the {axis} axis, to {purpose}, but they keep {having} of the axes "
            f"{', '.join(AXES)}: trace with keep=({axis!r}, ...)."
        )


def mean_of_layers(
    parts: Iterable[tuple[np.ndarray, int]], *, is_signed: bool = False
) -> np.ndarray:
    """Average the maps of layers with different grids.

    All maps are resized to the finest of the grids by bicubic interpolation, clamped at 0. Then the layers are averaged
    with equal weight.

    Parameters
    ----------
    parts
        Maps, and the number of layers whose mean they are. *Shape:* ``(..., y, x)``.
    is_signed
        Whether values may be negative, and are not clamped.

    Returns
    -------
    numpy.ndarray
        Mean attention probabilities, float32, on the finest grid. *Shape:* ``(..., y, x)``.
    """
    parts = list(parts)
    finest = finest_grid((values.shape[-2], values.shape[-1]) for values, _ in parts)
    whole = sum(
        resized(values, finest, is_signed=is_signed) * np.float32(n_layers)
        for values, n_layers in parts
    )
    return np.asarray(whole / sum(n_layers for _, n_layers in parts), dtype=np.float32)


def finest_grid(grids: Iterable[Grid]) -> Grid:
    """Return the grid with the most cells."""
    return max(grids, key=lambda grid: grid[0] * grid[1])


def resized(values: np.ndarray, grid: Grid, *, is_signed: bool = False) -> np.ndarray:
    """Return maps of *shape* ``(..., y, x)`` on a grid, unchanged if it is their own."""
    return values if values.shape[-2:] == grid else bicubic(values, grid, is_signed=is_signed)


@checked
@dataclass(frozen=True, eq=False)
class LayerMaps:
    """The maps of one layer, or the mean of several layers with one grid, on that grid.

    Attributes
    ----------
    layers
        Module paths of the layers; empty if unknown.
    values
        Mean attention probabilities. The dims are ``(token, y, x)`` plus ``step`` and ``head`` where they are kept, in
        the order of `DIMS`. Coordinates: the number of a step, from 0, its ``timestep``, and its ``progress`` (number
        divided by the number of all steps); and the number of a head, from 0.
    """

    layers: tuple[str, ...]
    values: xr.DataArray

    @property
    def grid(self) -> Grid:
        """Rows and columns."""
        return self.values.sizes["y"], self.values.sizes["x"]

    @property
    def n_layers(self) -> int:
        """Number of layers whose mean this is."""
        return len(self.layers) or 1


class KeptMaps:
    """All maps of one image, with the axes that were kept.

    Parameters
    ----------
    parts
        Maps in the order of the layers, all with the same tokens, steps, and heads.
    keeps_layers
        Whether each part is one layer.
    is_signed
        Whether values may be negative, so that resizing does not clamp them.
    """

    @checked
    def __init__(
        self, parts: Sequence[LayerMaps], *, keeps_layers: bool, is_signed: bool = False
    ) -> None:
        if not parts:
            raise ValueError("Expected the maps of at least one layer, but got none.")
        self.parts = tuple(parts)
        self.is_signed = is_signed
        first = self.parts[0].values
        kept = {*first.dims, *(["layer"] if keeps_layers else [])}
        self.axes: tuple[Axis, ...] = tuple(axis for axis in AXES if axis in kept)
        self.grid = finest_grid(part.grid for part in self.parts)

    @classmethod
    @checked
    def from_array(cls, data: xr.DataArray, *, is_signed: bool = False) -> KeptMaps:
        """Split one array, with dims among `DIMS`, into layers."""
        if "layer" not in data.dims:
            return cls([LayerMaps((), frozen(data))], keeps_layers=False, is_signed=is_signed)
        paths = data["layer"].values if "layer" in data.coords else range(data.sizes["layer"])
        parts = [
            LayerMaps((str(path),), frozen(data.isel(layer=i, drop=True)))
            for i, path in enumerate(paths)
        ]
        return cls(parts, keeps_layers=True, is_signed=is_signed)

    @property
    def nbytes(self) -> int:
        """Size in memory, in bytes."""
        return sum(part.values.nbytes for part in self.parts)

    @property
    def sizes(self) -> dict[Axis, int]:
        """Length of each kept axis."""
        inner = self.parts[0].values.sizes
        return {axis: len(self.parts) if axis == "layer" else inner[axis] for axis in self.axes}

    @checked
    def labels(self, name: str) -> list[Any]:
        """Return the numbers of the "steps" or "heads", or the paths of the "layers"."""
        if name == "layers":
            return [part.layers[0] for part in self.parts]
        if name.removesuffix("s") not in self.axes:
            raise ValueError(
                f"Expected {' or '.join(f'{axis}s' for axis in self.axes) or 'no labels'}, but got {name!r}."
            )
        return [int(number) for number in self.parts[0].values[name.removesuffix("s")].values]

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean over all kept axes; see `mean_of_layers`. *Shape:* ``(token, y, x)``."""
        inner = [axis for axis in self.axes if axis != "layer"]
        if not self.axes and len(self.parts) == 1:
            return self.parts[0].values.values
        mean = mean_of_layers(
            ((part.values.mean(inner).values, part.n_layers) for part in self.parts),
            is_signed=self.is_signed,
        )
        mean.setflags(write=False)
        return mean

    @checked
    def array(self, tokens: Sequence[int] | None = None) -> xr.DataArray:
        """Return maps as one array with all kept axes, each slice resized to the finest grid.

        Parameters
        ----------
        tokens
            Rows of the tokens to return; None for all.
        """
        values = [
            part.values if tokens is None else part.values.isel(token=list(tokens))
            for part in self.parts
        ]
        if "layer" not in self.axes:
            whole = mean_of_layers(
                (
                    (each.values, part.n_layers)
                    for each, part in zip(values, self.parts, strict=True)
                ),
                is_signed=self.is_signed,
            )
            coordinates: dict[str, Any] = {}
        else:
            place = [dim for dim in DIMS if dim in values[0].dims or dim == "layer"].index("layer")
            whole = np.stack(
                [resized(each.values, self.grid, is_signed=self.is_signed) for each in values],
                axis=place,
            )
            coordinates = {
                "layer": [part.layers[0] for part in self.parts],
                "grid": ("layer", [grid_name(part.grid) for part in self.parts]),
            }
        dims = [dim for dim in DIMS if dim in ("token", "y", "x") or dim in self.axes]
        whole.setflags(write=False)
        return xr.DataArray(whole, dims=dims, coords={**coordinates, **values[0].coords})

    @checked
    def tokens(self, rows: Sequence[int]) -> KeptMaps:
        """Return the maps of some tokens."""
        parts = [
            LayerMaps(part.layers, frozen(part.values.isel(token=list(rows))))
            for part in self.parts
        ]
        return self._with(parts)

    @checked
    def select(
        self,
        *,
        steps: StepSelection = None,
        layers: LayerSelection = None,
        heads: HeadSelection = None,
    ) -> KeptMaps:
        """Return the maps of some steps, layers, and heads; see `HeatMaps.select`."""
        parts = self.parts
        if layers is not None:
            check_kept("layer", self.axes, "select layers")
            chooses = layer_selector(layers)
            parts = tuple(part for part in parts if chooses(part.layers[0], part.grid))
            if not parts:
                present = "; ".join(
                    f"{part.layers[0]} {grid_name(part.grid)}" for part in self.parts
                )
                raise SelectionError(
                    f"Expected layers={layers!r} to match a layer, but the layers are: {present}."
                )
        if steps is not None:
            check_kept("step", self.axes, "select steps")
            parts = _select(parts, "step", _step_chooser(steps), f"steps={steps!r}")
        if heads is not None:
            check_kept("head", self.axes, "select heads")
            parts = _select(parts, "head", _head_chooser(heads), f"heads={heads!r}")
        return self._with(parts)

    def _with(self, parts: Sequence[LayerMaps]) -> KeptMaps:
        return KeptMaps(parts, keeps_layers="layer" in self.axes, is_signed=self.is_signed)


def frozen(data: xr.DataArray) -> xr.DataArray:
    """Return a read-only 32-bit copy with its dims in order and with all coordinates."""
    ordered = data.transpose(*(dim for dim in DIMS if dim in data.dims))
    values = np.array(ordered.values, dtype=np.float32, order="C")
    values.setflags(write=False)
    coordinates: dict[str, Any] = {}
    if "head" in ordered.dims:
        coordinates["head"] = _numbers(ordered, "head")
    if "step" in ordered.dims:
        numbers = coordinates["step"] = _numbers(ordered, "step")
        coordinates["progress"] = ("step", numbers / len(numbers))
        for name in ("progress", "timestep"):
            if name in ordered.coords:
                coordinates[name] = ("step", ordered[name].values)
    return xr.DataArray(values, dims=ordered.dims, coords=coordinates)


def _numbers(data: xr.DataArray, axis: str) -> np.ndarray:
    return data[axis].values  # xarray counts from 0 if there is no coordinate


def _step_chooser(steps: StepSelection) -> Callable[[xr.DataArray], np.ndarray]:
    chooses = step_selector(steps)

    def choose(values: xr.DataArray) -> np.ndarray:
        numbers, progress = values["step"].values, values["progress"].values
        unknown = np.full(len(numbers), np.nan)
        timesteps = values["timestep"].values if "timestep" in values.coords else unknown
        columns = zip(numbers, progress, timesteps, strict=True)
        return np.array([chooses(int(n), float(p), float(t)) for n, p, t in columns])

    return choose


def _head_chooser(heads: HeadSelection) -> Callable[[xr.DataArray], np.ndarray]:
    chooses = head_selector(heads)
    return lambda values: np.array([chooses(int(head)) for head in values["head"].values])


def _select(
    parts: Sequence[LayerMaps],
    axis: Axis,
    choose: Callable[[xr.DataArray], np.ndarray],
    selection: str,
) -> tuple[LayerMaps, ...]:
    values = parts[0].values
    chosen = np.flatnonzero(choose(values))
    if not len(chosen):
        present = values[axis].values
        timesteps = ""
        if "timestep" in values[axis].coords:
            first, last = values["timestep"].values[[0, -1]]
            timesteps = f" (timesteps {first:g} to {last:g})"
        raise SelectionError(
            f"Expected {selection} to match a {axis}, but the {axis}s are "
            f"{', '.join(map(str, present))}{timesteps}."
        )
    return tuple(LayerMaps(part.layers, frozen(part.values.isel({axis: chosen}))) for part in parts)
