"""Other packages' ways to record attention, to be measured beside ours.

Their code is not part of this project: it is read from where you put it. The released ``daam`` and what the other one
imports::

    pip install --no-deps --target peers daam==0.2.0 einops

and https://github.com/wooyeolbaek/attention-map-diffusers at commit 68b51fd819df229932c3b41d2fd27c11dce10c3c, which is
the one that was measured.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

DAAM = "daam 0.2.0"
MAPS = "attention-map-diffusers"


Ways = dict[str, Callable[[], Any]]
"""Ways to do the same thing, by name."""


def warmed_up(ways: Ways) -> tuple[Ways, dict[str, str]]:
    """Run all ways once, since the first run is slower; leave out others' that fail, and return what they said."""
    said = {}
    for way, run in ways.items():
        try:
            run()
        except Exception as error:
            if way not in (DAAM, MAPS):
                raise
            said[way] = f"{type(error).__name__}: {error}"  # it is not ours to mend
    return {way: run for way, run in ways.items() if way not in said}, said


def add_folder(folder: Path | None) -> None:
    """Let packages be imported from a folder."""
    if folder is not None:
        sys.path.append(str(folder))


@contextmanager
def daam_of_module(attention: nn.Module, pixels: int) -> Iterator[None]:
    """Record a single cross-attention as ``daam`` does, whose maps have the given number of pixels."""
    from daam.heatmap import RawHeatMapCollection
    from daam.trace import UNetCrossAttentionHooker

    parent = SimpleNamespace(all_heat_maps=RawHeatMapCollection(), _gen_idx=0)
    with (
        tempfile.TemporaryDirectory() as folder,
        UNetCrossAttentionHooker(attention, parent, latent_hw=pixels, data_dir=folder),
    ):
        yield


@contextmanager
def maps_of_modules(model: nn.Module, path: str, checkout: Path, call: str) -> Iterator[list[Any]]:
    """Record attentions with the processors of attention-map-diffusers, and yield the list of what they keep.

    Its own way to set them up patches classes for good, so they are set here one by one.

    Parameters
    ----------
    model
        The model.
    path
        How the paths of its attentions end.
    checkout
        Where the repository is.
    call
        The name of its function that stands for the processor's call.
    """
    processor = _processor(checkout, call)
    before = {}
    kept: list[torch.Tensor] = []
    for name, module in model.named_modules():
        if name.endswith(path) and hasattr(module, "processor"):
            before[module] = module.processor
            module.set_processor(processor(kept))
    try:
        yield kept
    finally:
        for module, its in before.items():
            module.set_processor(its)


@functools.cache
def _processor(checkout: Path, call: str) -> type:
    path = checkout / "attention_map_diffusers" / "modules.py"
    spec = importlib.util.spec_from_file_location("attention_map_diffusers_modules", path)
    assert spec is not None
    assert spec.loader is not None
    modules = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(modules)
    run = getattr(modules, call)

    class Processor:
        """Calls theirs, and keeps its maps as its hooks do."""

        store_attn_map = True
        attn_map: torch.Tensor

        def __init__(self, kept: list[torch.Tensor]) -> None:
            self._kept = kept

        def __call__(
            self,
            attn: nn.Module,
            hidden_states: torch.Tensor,
            encoder_hidden_states: torch.Tensor | None = None,
            attention_mask: torch.Tensor | None = None,
            *others: Any,
            **named: Any,
        ) -> Any:
            result = run(
                self,
                attn,
                hidden_states,
                encoder_hidden_states,
                attention_mask,
                *others,
                height=math.isqrt(hidden_states.shape[1]),
                timestep=torch.zeros(1),
                **named,
            )
            self._kept.append(self.attn_map.cpu())
            return result

    return Processor
