"""Is a trace exact on a device? ``python -m tools.device_checks [--device cuda] [--parts families formats ...]``.

Runs `daam_syntax.attention.verification.check_trace` on tiny random pipelines of all families:

- ``families``: every family in float32;
- ``formats``: some families in bfloat16 and float16;
- ``settings``: lower precision of matrix products (TF32), and autocast;
- ``kernels``: each attention kernel of torch in turn;
- ``offloading``: weights in main memory, for whole models and for single layers;
- ``sizes``: the UNet of Stable Diffusion 1.5 at 512 x 512, with random weights;
- ``relations``: all relations of attention, concepts, and attention outputs; see `tools.device_relations`.

Writes ``benchmarks/results/devices.json``. A pipeline that cannot run there is recorded with its error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.small_models import stable_diffusion_pipeline
from daam_syntax.attention.verification import TraceCheck, check_trace
from tools.device_relations import RelationsCheck, relations

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

from helpers.family_cases import CASES, Case  # noqa: E402
from helpers.family_pipelines import make  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "devices.json"
PROMPT = "a red cat on a small red chair"
CASE_OF = {case.name: case for case in CASES}
HALVED = ("Flux", "SD3", "Qwen-Image", "Z-Image", "Lumina 2", "AuraFlow", "PixArt-sigma")
KERNELS = ("FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION", "MATH")
Check = Callable[[], TraceCheck | RelationsCheck]


def options_of(case: Case) -> dict[str, Any]:
    """Return the arguments of a pipeline call for an image that is not square, with guidance."""
    height, width = case.sizes[1]
    return {"height": height, "width": width, **case.arguments, **case.guided}


def check_family(name: str, place: Callable[[Any], Any], steps: int = 3) -> TraceCheck:
    """Check the tiny pipeline of a family, after `place` has put it on a device."""
    pipe = place(make(name))
    return check_trace(pipe, PROMPT, steps=steps, rounds=1, **options_of(CASE_OF[name]))


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Allow a lower precision of float32 products."""
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


def families(device: str) -> Iterator[tuple[str, Check]]:
    """Yield every family in float32."""
    for name in CASE_OF:
        yield name, lambda name=name: check_family(name, lambda pipe: pipe.to(device))


def formats(device: str) -> Iterator[tuple[str, Check]]:
    """Yield some families in 16 bits."""
    for name in HALVED:
        for dtype in (torch.bfloat16, torch.float16):
            yield (
                f"{name}, {str(dtype).removeprefix('torch.')}",
                lambda name=name, dtype=dtype: check_family(
                    name, lambda pipe: pipe.to(device, dtype)
                ),
            )


def settings(device: str) -> Iterator[tuple[str, Check]]:
    """Yield families at a lower precision of products, and under autocast."""

    def lowered(name: str, precision: str) -> TraceCheck:
        with matmul_precision(precision):
            return check_family(name, lambda pipe: pipe.to(device))

    def under_autocast() -> TraceCheck:
        with torch.autocast(device, dtype=torch.bfloat16):
            return check_family("Flux", lambda pipe: pipe.to(device))

    for precision in ("high", "medium"):
        for name in ("Flux", "PixArt-sigma", "SD3"):
            yield (
                f"{name}, products of {precision} precision",
                lambda name=name, precision=precision: lowered(name, precision),
            )
    yield "Flux, autocast to bfloat16", under_autocast


def kernels(device: str) -> Iterator[tuple[str, Check]]:
    """Yield each attention kernel of torch."""

    def with_kernel(kernel: SDPBackend) -> TraceCheck:
        with sdpa_kernel([kernel, SDPBackend.MATH], set_priority=True):
            return check_family("Flux", lambda pipe: pipe.to(device, torch.bfloat16))

    for kernel in KERNELS:
        yield (
            f"Flux, bfloat16, {kernel.lower()}",
            lambda kernel=kernel: with_kernel(getattr(SDPBackend, kernel)),
        )


def offloading(device: str) -> Iterator[tuple[str, Check]]:
    """Yield families whose weights are in main memory."""

    def offloaded(pipe: Any, how: str) -> Any:
        getattr(pipe, how)(device=device)
        return pipe

    for how in ("enable_model_cpu_offload", "enable_sequential_cpu_offload"):
        for name in ("Flux", "PixArt-sigma"):
            yield (
                f"{name}, {how}",
                lambda name=name, how=how: check_family(name, lambda pipe: offloaded(pipe, how)),
            )


def sizes(device: str) -> Iterator[tuple[str, Check]]:
    """Yield a model of real size."""
    prompt = "a red cat chasing a small blue owl in the snow"
    for dtype in (torch.float16, torch.float32):
        name = f"Stable Diffusion 1.5, 512 x 512, {str(dtype).removeprefix('torch.')}"
        yield (
            name,
            lambda dtype=dtype: check_trace(
                stable_diffusion_pipeline().to(device, dtype), prompt, steps=20, rounds=5
            ),
        )


PARTS = {
    "families": families,
    "formats": formats,
    "settings": settings,
    "kernels": kernels,
    "offloading": offloading,
    "sizes": sizes,
    "relations": relations,
}


def checked(check: Check) -> dict[str, Any]:
    """Run a check; return its results, or the error of a pipeline that cannot run here."""
    try:
        return check().to_dict()
    except Exception as error:  # a missing package or an unsupported operation of the device
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Check, print, and write the results of the requested parts."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--device", default="cuda")
    options.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options.add_argument("--results", type=Path, default=RESULTS)
    given = options.parse_args()
    path = given.results
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for part in given.parts:
        found[part] = {}
        for name, check in PARTS[part](given.device):
            found[part][name] = result = checked(check)
            state = result.get("error") or f"right: {result['is_right']}"
            print(f"{part}: {name}: {state}", flush=True)
            path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
