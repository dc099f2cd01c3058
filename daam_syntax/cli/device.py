"""Check one's own GPU: `check-gpu`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from daam_syntax.cli import options
from daam_syntax.errors import ModelError
from daam_syntax.pipelines.loading import DEFAULT_MODEL


def check_gpu(
    model: options.Model = DEFAULT_MODEL,
    revision: options.Revision = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    prompt: Annotated[
        str, typer.Option(help="Prompt to draw.")
    ] = "a red cat on a small blue chair",
    steps: Annotated[int, typer.Option(min=1, help="Denoising steps.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="Number of timed pairs of images.")] = 3,
    height: options.Height = None,
    width: options.Width = None,
    out: Annotated[Path | None, typer.Option(help="JSON file for the results.")] = None,
) -> None:
    """Check that tracing is exact on your GPU and model: same images, exact maps, time, memory and waits."""
    from daam_syntax.attention.verification import check_trace
    from daam_syntax.pipelines import load_pipeline
    from daam_syntax.util.whole_files import whole_file

    if device is None:
        device = _gpu()
    sizes: dict[str, Any] = {"height": height, "width": width}
    found = check_trace(
        load_pipeline(model, revision=revision, device=device, dtype=dtype),
        prompt,
        steps=steps,
        rounds=rounds,
        progress=True,
        **{name: size for name, size in sizes.items() if size is not None},
    )
    typer.echo(str(found))
    if out is not None:
        with whole_file(out) as partial:
            partial.write_text(json.dumps(found.to_dict(), indent=2) + "\n", encoding="utf-8")
    if not found.is_right:
        raise ModelError(
            "Expected identical images and maps exact to 1e-6, but got the above: please report these lines."
        )
    typer.echo(
        "All is right. Reports of other GPUs are welcome: these lines are all that they need."
    )


def _gpu() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    raise ModelError(
        f"Expected a GPU, but torch {torch.__version__} sees none: install a build of torch for your GPU, or pass "
        "--device cpu to check this computer's processor."
    )
