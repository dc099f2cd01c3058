"""Measure, write the results, and print the tables."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.attribution.anybodys import Options, measure_folder
from benchmarks.attribution.tables import RESULTS, report
from benchmarks.attribution.world import measure
from daam_syntax.attention.given_images import DEFAULT_TIMESTEPS
from daam_syntax.errors import DaamSyntaxError
from daam_syntax.pipelines.loading import load_pipeline
from daam_syntax.util.images.fitting import FITS


def main() -> int:
    """Measure, write the results, print the tables, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.attribution",
        description="Compare methods that map words, against exact masks or those of a folder.",
    )
    parser.add_argument("--scenes", type=int, default=200, help="scenes of the embedded world")
    parser.add_argument("--drawn", type=int, default=150, help="images that are generated")
    parser.add_argument("--folder", type=Path, help="images, captions, and masks to use instead")
    parser.add_argument("--model", default="emoji", help="the model that reads the folder")
    parser.add_argument("--fit", choices=FITS, help="how images get the size the model reads")
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--voting", type=int, default=32, help="captions that let heads vote")
    parser.add_argument(
        "--timesteps", type=int, nargs="+", default=DEFAULT_TIMESTEPS, help="at which it is read"
    )
    parser.add_argument("--batch", type=int, default=1, help="images of the folder read at once")
    parser.add_argument("--device", default=None, help="of the model, for instance cuda")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="results as JSON")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    try:
        results = _measured(given)
    except DaamSyntaxError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    out = given.out or (RESULTS if given.folder is None else None)
    if out is not None:
        out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(report(results))
    return 0


def _measured(given: argparse.Namespace) -> Mapping[str, Any]:
    pipe = load_pipeline(given.model, **({"device": given.device} if given.device else {}))
    pipe.set_progress_bar_config(disable=True)
    if given.folder is None:
        return measure(pipe, given.scenes, given.drawn)
    size = tuple(given.size) if given.size else None
    return measure_folder(
        pipe,
        given.folder,
        Options(given.fit, size, given.voting, timesteps=given.timesteps, batch=given.batch),
    )


if __name__ == "__main__":
    sys.exit(main())
