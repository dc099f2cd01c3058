"""How many images fit into memory together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from daam_syntax.drawing.traced_images import DrawingSettings, draw_batch
from daam_syntax.language import Sentence
from daam_syntax.pipelines.loading import is_emoji

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

_ON_CPU: Final = 4
_EMOJI_ON_CPU: Final = (
    16  # a sixth less time per image than 4, and more save nothing (docs/benchmarks.md)
)
_LARGEST: Final = 32
_SHARE: Final = 0.8  # of the free memory: fragments and longer prompts need some too


def choose_batch_size(
    pipe: DiffusionPipeline, drawing: DrawingSettings, sentences: Sequence[Sentence]
) -> int:
    """Return how many images to draw together.

    On a GPU, one and two images of the longest prompt are drawn with two steps, and the memory that the second one
    takes is set against what is free. On a CPU, 16 of the embedded model's small pictures, else 4.
    """
    import torch

    if pipe.device.type != "cuda":
        return _EMOJI_ON_CPU if is_emoji(pipe) else _ON_CPU
    longest = max(sentences, key=lambda sentence: len(sentence.text))
    peaks = []
    for n_images in (1, 2):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(pipe.device)
        try:
            draw_batch(
                [(longest, seed) for seed in range(n_images)], pipe, replace(drawing, steps=2)
            )
        except torch.OutOfMemoryError:
            return 1
        peaks.append(torch.cuda.max_memory_allocated(pipe.device))
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(pipe.device)
    return fitting(free, torch.cuda.memory_allocated(pipe.device), *peaks)


def fitting(free: int, at_rest: int, one: int, two: int) -> int:
    """Return how many images fit.

    Parameters
    ----------
    free
        Free memory while the model lies there, bytes.
    at_rest
        What is allocated then.
    one, two
        The most that is allocated while one image, and two together, are drawn.
    """
    each = max(two - one, 1)
    fixed = max(one - each - at_rest, 0)
    return min(_LARGEST, max(1, int((free * _SHARE - fixed) // each)))
