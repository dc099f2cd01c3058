"""Other packages that record attention, as alternatives in benchmarks.

Their code is not part of this project; it is imported from a folder that you name. Install the released ``daam`` and a
dependency of the other package with::

    pip install --no-deps --target peers daam==0.2.0 einops

and check out https://github.com/wooyeolbaek/attention-map-diffusers at commit
68b51fd819df229932c3b41d2fd27c11dce10c3c, the one that was measured.
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
"""Alternative ways of doing the same thing, by name."""


def warmed_up(ways: Ways) -> tuple[Ways, dict[str, str]]:
    """Run every alternative once to warm up; drop other packages that fail, and return their errors."""
    errors = {}
    for way, run in ways.items():
        try:
            run()
        except Exception as error:
            if way not in (DAAM, MAPS):
                raise
            errors[way] = f"{type(error).__name__}: {error}"  # not our bug to fix
    return {way: run for way, run in ways.items() if way not in errors}, errors


def add_folder(folder: Path | None) -> None:
    """Make the packages in a folder importable."""
    if folder is not None:
        sys.path.append(str(folder))


@contextmanager
def daam_of_module(attention: nn.Module, pixels: int) -> Iterator[None]:
    """Record a single cross-attention as ``daam`` does; its maps have the given number of pixels."""
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
    """Record attention with the processors of attention-map-diffusers, and yield the list of recorded maps.

    Its own setup patches classes permanently, so the processors are set one by one here.

    Parameters
    ----------
    model
        The model.
    path
        Suffix of the paths of its attention modules.
    checkout
        Checkout of the repository.
    call
        Name of its function that replaces the processor's ``__call__``.
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
        """Calls their function and keeps the maps as their hooks do."""

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
