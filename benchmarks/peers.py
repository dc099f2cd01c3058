"""Other packages that record attention, as alternatives in benchmarks.

Their code is not part of this project; it is imported from a folder that you name. Install the released packages with::

    pip install --no-deps --target peers daam==0.2.0 attention-map-diffusers==1.0.0
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from torch import nn

DAAM = "daam 0.2.0"
MAPS = "attention-map-diffusers 1.0.0"


Ways = dict[str, Callable[[], Any]]
"""Alternative ways of doing the same thing, by name."""


def warmed_up(ways: Ways) -> tuple[Ways, dict[str, str]]:
    """Run every alternative once to warm up; drop other packages that fail, and return their errors."""
    errors = {}
    for way, run in ways.items():
        try:
            run()
        except Exception as error:
            if not way.startswith((DAAM, MAPS)):
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
def maps_of_pipeline(pipe: Any) -> Iterator[None]:
    """Record a pipeline call as attention-map-diffusers does, in all steps, and compute its maps."""
    from attention_map_diffusers import AttentionCapture

    with AttentionCapture(pipe, relations=["image->text"], timesteps="all") as capture:
        yield
    capture.compute()


def maps_of_relations(pipe: Any, relations: Sequence[str]) -> Any:
    """Return a recording of a pipeline call by attention-map-diffusers: its ``compute()`` returns the maps.

    Parameters
    ----------
    pipe
        The pipeline.
    relations
        Relations of attention by their names here, such as "text-image".
    """
    from attention_map_diffusers import AttentionCapture

    theirs = [relation.replace("-", "->") for relation in relations]
    return AttentionCapture(pipe, relations=theirs, timesteps="all")
