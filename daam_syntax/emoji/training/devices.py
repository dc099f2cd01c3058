"""Where training computes, and in which precision."""

from __future__ import annotations

from typing import Final

import torch

IMAGE_FORMAT: Final = torch.channels_last
"""Order of the axes of images in memory with which CPUs and GPUs train fastest."""


def training_device(name: str | None = None) -> torch.device:
    """Return the named device; if None, the first GPU, or the CPU of a machine without one.

    On a GPU, 32-bit products may round to TF32 from now on, and cuDNN times its algorithms: shapes rarely change.
    """
    device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    return device


def computing_dtype(device: torch.device) -> torch.dtype:
    """Return the precision in which a device trains fastest.

    CPUs without instructions for bfloat16 emulate it, which is much slower than 32 bits.
    """
    fast = device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if fast else torch.float32
