"""Where a pipeline runs, which is not where its weights are while they are offloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def execution_device(pipe: Any) -> torch.device:
    """Return the device on which a pipeline runs its models.

    Parameters
    ----------
    pipe
        A diffusers pipeline. If its weights are offloaded, its own ``device`` is the CPU or "meta".
    """
    device: torch.device = getattr(pipe, "_execution_device", None) or pipe.device
    return device
