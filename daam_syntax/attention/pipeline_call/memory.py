"""The memory that a recording takes, predicted before it is allocated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psutil
import torch

from daam_syntax.errors import MemoryLimitError
from daam_syntax.maps.kept_maps import Axis, check_axes, finest_grid
from daam_syntax.maps.selection import Grid
from daam_syntax.util.wording import human_size

_BYTES_PER_NUMBER: Final = 4  # sums are float32, whatever the model's type
N_OTHER_GROUPS: Final = 7
"""Kinds of tokens that are no words, each of which is one row and one column of attention between words."""
MAX_CELLS: Final = 16
"""Largest number of rows and of columns of the cells of an image between which attention is recorded."""


@dataclass(frozen=True)
class Layer:
    """The grid ``(y, x)`` and the number of attention heads of a layer."""

    grid: Grid
    n_heads: int


def predict_bytes(
    layers: Iterable[Layer],
    *,
    keep: Iterable[str] = (),
    n_images: int,
    n_tokens: int,
    n_steps: int,
    refine: bool = False,
) -> int:
    """Predict the size of a recording in memory.

    A recording takes 4 bytes for each image, token and pixel, multiplied by the number of layers, each on its
    own grid. If only steps or attention heads are kept, all layers of the finest grid share one sum. Steps and
    heads that are kept multiply the size. To refine maps, 4 bytes for each image and pair of pixels of the
    finest grid are added. Heat maps made from the recording take the same amount again.

    Parameters
    ----------
    layers
        The recorded layers.
    keep
        The axes to keep.
    n_images
        Number of images generated at once.
    n_tokens
        Number of tokens of the longest prompt, including start and end tokens; the length of the encoder's
        sequence if padding is recorded.
    n_steps
        Number of recorded steps.
    refine
        Whether self-attention is recorded, too.

    Returns
    -------
    int
        Bytes.
    """
    axes = check_axes(keep)
    layers = list(layers)
    pairs = math.prod(finest_grid(layer.grid for layer in layers)) ** 2 if refine else 0
    if axes and "layer" not in axes:
        finest = finest_grid(layer.grid for layer in layers)
        shared = [layer for layer in layers if layer.grid == finest]
        layers = [layer for layer in layers if layer.grid != finest] + shared[:1]
    numbers = sum(
        layer.grid[0] * layer.grid[1] * (layer.n_heads if "head" in axes else 1) for layer in layers
    )
    steps = n_steps if "step" in axes else 1
    return _BYTES_PER_NUMBER * n_images * (n_tokens * steps * numbers + pairs)


def cell_grid(grid: Grid) -> Grid:
    """Return the rows and columns of the cells of a grid: square blocks of as few pixels as the limit allows."""
    side = -(-max(grid) // MAX_CELLS)
    return -(-grid[0] // side), -(-grid[1] // side)


def predict_relation_bytes(
    layers: Iterable[Layer],
    *,
    relations: Iterable[str],
    keep: Iterable[str] = (),
    n_images: int,
    n_tokens: int,
    n_steps: int,
) -> int:
    """Predict the size of recorded relations of attention other than that from image to text.

    From text to text there are 8 bytes for each image and pair of tokens, of which there are at most seven besides
    those of the words; from image to image, 8 bytes for each image and pair of cells, at most 16 x 16. Kept axes
    multiply both. From text to image, it is the size of another recording from image to text.

    Parameters
    ----------
    layers, keep, n_images, n_tokens, n_steps
        As for `predict_bytes`.
    relations
        The relations.

    Returns
    -------
    int
        Bytes.
    """
    axes, layers, wanted = check_axes(keep), list(layers), set(relations)
    sizes: dict[str, Any] = {"n_images": n_images, "n_tokens": n_tokens, "n_steps": n_steps}
    places = n_steps if "step" in axes else 1
    heads = [layer.n_heads if "head" in axes else 1 for layer in layers]
    times = places * (sum(heads) if "layer" in axes else max(heads))
    total = predict_bytes(layers, keep=axes, **sizes) if "text-image" in wanted else 0
    # A denoiser has fewer blocks that read text alone than others.
    for _ in wanted & {"text-text", "refiner"}:
        total += 2 * _BYTES_PER_NUMBER * n_images * times * (n_tokens + N_OTHER_GROUPS) ** 2
    if "image-image" in wanted:
        # Layers of one grid share a sum, unless layers are kept.
        grids = {layer.grid for layer in layers}
        times *= 1 if "layer" in axes else len(grids)
        cells = max(math.prod(cell_grid(grid)) for grid in grids)
        total += 2 * _BYTES_PER_NUMBER * n_images * times * cells**2
    return total


def default_max_bytes(device: torch.device | None = None) -> int:
    """Return half of the available memory, since heat maps need as much memory as the recording.

    Parameters
    ----------
    device
        The device that holds a part of the recording. Of a CUDA device, at most half of its free memory is used.
    """
    limit = psutil.virtual_memory().available // 2
    if device is None or device.type != "cuda":
        return limit
    free, _ = torch.cuda.mem_get_info(device)
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min(limit, (free + cached) // 2)


def refuse_size(
    predicted: int,
    max_bytes: int,
    layers: Mapping[str, Layer],
    *,
    keep: Sequence[Axis],
    n_images: int,
    n_tokens: int,
    n_steps: int,
    refine: bool,
    relations: Iterable[str],
    relation_axes: Sequence[Axis] | None = None,
    n_output_tokens: int = 0,
) -> MemoryLimitError:
    """Return the error for a recording that is too large, which lists ways to make it smaller."""
    sizes: dict[str, Any] = {"n_images": n_images, "n_tokens": n_tokens, "n_steps": n_steps}

    def size_of_outputs(axes: Sequence[Axis]) -> int:
        own = sizes | {"n_tokens": n_output_tokens}
        return predict_bytes(layers.values(), keep=axes, **own)

    def size_of_relations(axes: Sequence[Axis]) -> int:
        own = axes if relation_axes is None else relation_axes
        return predict_relation_bytes(layers.values(), relations=relations, keep=own, **sizes)

    without = []
    for axis in keep:
        others = [other for other in keep if other != axis]
        size = predict_bytes(layers.values(), keep=others, refine=refine, **sizes)
        size += size_of_relations(others) + size_of_outputs(others)
        if size < predicted:
            without.append(f"without {axis!r} {human_size(size)}")
    drop = f"keep fewer axes ({', '.join(without)}), " if without else ""
    related = size_of_relations(keep)
    if related:
        drop += (
            f"record fewer relations ({human_size(predicted - related)} with the default alone), "
        )
    of_outputs = size_of_outputs(keep)
    if of_outputs:
        drop += (
            f"do not compare outputs ({human_size(predicted - of_outputs)} without outputs=True), "
        )
    if refine:
        unrefined = predict_bytes(layers.values(), keep=keep, **sizes) + related + of_outputs
        drop += f"do not refine ({human_size(unrefined)}), "
    heads = f" of up to {max(layer.n_heads for layer in layers.values())} heads"
    return MemoryLimitError(
        f"Expected a recording of at most {human_size(max_bytes)}, but keep={tuple(keep)} for "
        f"{n_images} images, {n_tokens} tokens, {n_steps} steps and {len(layers)} layers"
        f"{heads if 'head' in keep else ''}{' with self-attention' if refine else ''} takes "
        f"{human_size(predicted)}: {drop}record fewer layers (layers=) or steps (steps=), generate fewer "
        "images at once, or allow more memory (max_bytes=).",
        predicted,
        max_bytes,
    )
