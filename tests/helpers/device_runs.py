"""Run pipelines on emulated devices: where the host waits, and what stays on the device."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Mapping, Set

import torch
from diffusers import DiffusionPipeline

from helpers.emulated_device import EmulatedTensor


def by_module(waits):
    """Count waits by module of the room."""
    counted = Counter()
    for line, n in waits.items():
        counted[line.split(":")[0].removeprefix("attention/")] += n
    return counted


def waits_by_step(accelerator, pipe, run):
    """Return what `run` returns, the waits in each step, and those after the last step."""
    seen, original = [Counter()], pipe.scheduler.step

    @functools.wraps(original)  # pipelines read its signature
    def step(*args, **kwargs):
        seen.append(by_module(accelerator.waits_of("daam_syntax")))
        return original(*args, **kwargs)

    accelerator.waits.clear()
    pipe.scheduler.step = step
    try:
        result = run()
    finally:
        del pipe.scheduler.step
    seen.append(by_module(accelerator.waits_of("daam_syntax")))
    return result, [after - before for before, after in itertools.pairwise(seen)]


def every_map(recording):
    """Return the maps of the first image of a trace: of its prompt, then of all else that the trace recorded."""
    spec = recording.spec
    options = [{}, *({"of": text} for text in spec.also)]
    options += [{"refined": True}] * spec.refine + [{"negative": True}] * spec.negative
    return [recording.heat_maps(**each)[0] for each in options]


def held_by(value, seen=None):
    """Return the tensors of a device that can be reached from a value, except through the model itself."""
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, torch.nn.Module | DiffusionPipeline | type):
        return []
    seen.add(id(value))
    if isinstance(value, EmulatedTensor):
        return [value]
    if isinstance(value, Mapping):
        parts = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | Set):
        parts = list(value)
    elif type(value).__module__.startswith("daam_syntax") or dataclasses.is_dataclass(value):
        parts = [getattr(value, "__dict__", {})]
    else:
        parts = []
    return [tensor for part in parts for tensor in held_by(part, seen)]
