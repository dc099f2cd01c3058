"""Makes the explorer that the landing page embeds, with the embedded model and the code of today."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

PROMPT = "a red cat next to a blue owl in the snow"
SEEDS = (3, 4)


def write_explorer(folder: Path, *, steps: int = 20) -> Path:
    """Generate two images under a trace, and write ``explorer.html``."""
    import torch

    import daam_syntax as ds

    pipe = ds.load_pipeline()
    pipe.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    with ds.trace(pipe) as trace:
        images = pipe([PROMPT] * len(SEEDS), generator=generators, num_inference_steps=steps).images
    path = folder / "explorer.html"
    ds.explore(images, trace.heat_maps()).save(path)
    return path


def build(app: Sphinx) -> None:
    """Write the explorer beside the pages, if these are HTML."""
    if app.builder.format == "html":
        Path(app.outdir).mkdir(parents=True, exist_ok=True)
        write_explorer(Path(app.outdir))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("builder-inited", build)
    return {"parallel_read_safe": True}
