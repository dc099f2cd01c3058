"""How much memory a recording takes, known before it is taken."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psutil

from daam_syntax.errors import MemoryLimitError
from daam_syntax.maps.kept_maps import Axis, check_axes, finest_grid
from daam_syntax.maps.selection import Grid
from daam_syntax.util.wording import human_size

_BYTES_PER_NUMBER: Final = 4  # sums are float32, whatever the model's type


@dataclass(frozen=True)
class Layer:
    """What a layer's attention is like: its grid (y, x) and its number of heads."""

    grid: Grid
    n_heads: int


def predicted_bytes(
    layers: Iterable[Layer],
    *,
    keep: Iterable[str] = (),
    n_images: int,
    n_tokens: int,
    n_steps: int,
    refine: bool = False,
) -> int:
    """Work out what a recording takes in memory.

    It is 4 bytes for each image, token and pixel; times the layers, each on its own grid (but where
    only steps or heads are kept, all layers of the finest grid share a sum); times the steps and the
    heads, where they are kept. Heat maps made from it take the same once more. To refine maps, 4 bytes for
    each image and pair of pixels of the finest grid are added.

    Parameters
    ----------
    layers
        The layers that are recorded.
    keep
        The axes that are kept apart.
    n_images
        Images drawn at once.
    n_tokens
        Tokens of the longest prompt, start and end tokens included; all of them, if padding is recorded.
    n_steps
        Steps that are recorded.
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


def default_max_bytes() -> int:
    """Return half of the memory that is available now: heat maps need as much as the recording."""
    return psutil.virtual_memory().available // 2


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
) -> MemoryLimitError:
    """Make the error for a recording that is too large, which says what to drop."""
    sizes: dict[str, Any] = {"n_images": n_images, "n_tokens": n_tokens, "n_steps": n_steps}
    without = [
        f"without {axis!r} {human_size(size)}"
        for axis in keep
        if (
            size := predicted_bytes(
                layers.values(),
                keep=[other for other in keep if other != axis],
                refine=refine,
                **sizes,
            )
        )
        < predicted
    ]
    drop = f"keep fewer axes ({', '.join(without)}), " if without else ""
    if refine:
        unrefined = predicted_bytes(layers.values(), keep=keep, **sizes)
        drop += f"do not refine ({human_size(unrefined)}), "
    heads = f" of up to {max(layer.n_heads for layer in layers.values())} heads"
    return MemoryLimitError(
        f"Expected a recording of at most {human_size(max_bytes)}, but keep={tuple(keep)} for "
        f"{n_images} images, {n_tokens} tokens, {n_steps} steps and {len(layers)} layers"
        f"{heads if 'head' in keep else ''}{' with self-attention' if refine else ''} takes "
        f"{human_size(predicted)}: {drop}record fewer layers "
        "(layers=) or steps (steps=), draw fewer images at once, or allow more (max_bytes=).",
        predicted,
        max_bytes,
    )
