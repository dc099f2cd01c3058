"""How much memory a recording takes, known before it is taken."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psutil

from daam_syntax.errors import MemoryLimitError
from daam_syntax.maps.kept_maps import AXES, Axis, check_axes, finest_grid
from daam_syntax.maps.selection import Grid, LayerSelection, StepSelection

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


def human_size(n_bytes: float) -> str:
    """Return a number of bytes as people read it: "1.5 GB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:,.4g} TB"


def predict_memory(
    pipe: Any,
    prompt: str | Sequence[str],
    *,
    keep: Iterable[str] | str = AXES,
    layers: LayerSelection = None,
    steps: StepSelection = None,
    refine: bool = False,
    padding: bool = False,
    **options: Any,
) -> int:
    """Find out how many bytes a recording would take, by drawing only its first step.

    Parameters
    ----------
    pipe
        A diffusers pipeline.
    prompt
        The prompt or prompts.
    keep, layers, steps, refine, padding
        As for `trace`.
    **options
        Whatever else the pipeline is to be called with: ``num_inference_steps``, ``height``,
        ``width``, ``num_images_per_prompt``, ...

    Returns
    -------
    int
        Bytes of the recording, in the machine's memory (without `keep`, in the accelerator's). Heat
        maps made from it take the same once more.

    Raises
    ------
    TraceError
        If the pipeline cannot be traced.

    Examples
    --------
    >>> predict_memory(pipe, "a red cat", keep=("step", "head"), num_inference_steps=50)  # doctest: +SKIP
    """
    from daam_syntax.attention.tracing import Trace

    try:
        with Trace(
            pipe,
            keep=keep,
            layers=layers,
            steps=steps,
            refine=refine,
            padding=padding,
            max_bytes=-1,
        ):
            pipe(prompt, **options)
    except MemoryLimitError as stopped:
        return stopped.predicted_bytes
    finally:
        pipe.maybe_free_model_hooks()
    raise AssertionError("a recording is larger than -1 bytes")  # pragma: no cover
