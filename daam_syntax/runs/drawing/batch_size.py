"""Find how many images fit into memory together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from daam_syntax.drawing.traced_images import draw_batch
from daam_syntax.language import Sentence
from daam_syntax.pipelines.devices import execution_device
from daam_syntax.pipelines.settings import CPU_BATCH_SIZE, DrawingSettings

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

_LARGEST: Final = 32
_SHARE: Final = 0.8  # of the free memory; fragmentation and longer prompts need the rest


def choose_batch_size(
    pipe: DiffusionPipeline,
    settings: DrawingSettings,
    longest: Sentence,
    relations: Sequence[str] = (),
    relation_axes: Sequence[str] = (),
) -> int:
    """Return the number of images to draw together.

    On a GPU, one image and then two images of the longest prompt are drawn with two steps; the memory that the second
    image adds is compared with the free memory. On a CPU, it is `CPU_BATCH_SIZE`.
    """
    import torch

    device = execution_device(pipe)
    if device.type != "cuda":
        return CPU_BATCH_SIZE
    peaks = []
    for n_images in (1, 2):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        try:
            items = [(longest, seed) for seed in range(n_images)]
            draw_batch(items, pipe, replace(settings, steps=2), relations, relation_axes)
        except torch.OutOfMemoryError:
            return 1
        peaks.append(torch.cuda.max_memory_allocated(device))
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    return fitting_images(free, torch.cuda.memory_allocated(device), *peaks)


def fitting_images(free: int, at_rest: int, one: int, two: int) -> int:
    """Return how many images fit into memory.

    Parameters
    ----------
    free
        Free memory while the model is loaded and idle, bytes.
    at_rest
        Memory allocated at that time, bytes.
    one, two
        Peaks of allocated memory while one image, and two images together, are drawn, bytes.
    """
    per_image = max(two - one, 1)
    fixed = max(one - per_image - at_rest, 0)
    return min(_LARGEST, max(1, int((free * _SHARE - fixed) // per_image)))
