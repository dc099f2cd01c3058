"""What the first command of the README costs: python -m benchmarks.first_command --rounds 3.

Each row is processor time of new processes, with one thread: the median of the rounds, which run all rows in turn. The
rows before the command say which part of it is importing, and how much of that any program with such a pipeline needs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "first_command.json"

PROMPT = "a dog chasing a small yellow duck in the snow"
ARGUMENTS = ["analyze", PROMPT, "--seeds", "2", "--out", "out/"]
USUAL = "import daam_syntax.cli.application as cli; cli.collect_garbage_rarely = lambda: None; cli.main()"

ROWS = {
    "import torch": ["-c", "import torch"],
    "import what the pipeline is made of from diffusers and transformers": [
        "-c",
        "from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel; "
        "from transformers import CLIPTextModel, CLIPTokenizer",
    ],
    "`import daam_syntax`": ["-c", "import daam_syntax"],
    "import all that `analyze` uses of daam_syntax": ["-c", "import daam_syntax.workflow"],
    "`ds.load_pipeline()`, imports included": [
        "-c",
        "import daam_syntax as ds; ds.load_pipeline()",
    ],
    "the first command": ["-m", "daam_syntax.cli", *ARGUMENTS],
    "the first command, with Python's usual garbage collection": ["-c", USUAL, *ARGUMENTS],
}


def seconds(arguments: list[str], folder: str) -> float:
    """Return the processor seconds of a new Python process, user and system."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, *arguments]
    subprocess.run(command, check=True, capture_output=True, cwd=folder, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def table(found: Mapping[str, Any]) -> str:
    """Return the medians of the rounds, with the least and the most, as a Markdown table."""
    rows = [
        f"| {name} | {median(taken):.1f} [{min(taken):.1f}, {max(taken):.1f}] |"
        for name, taken in found["processor seconds"].items()
    ]
    return "\n".join(["| process | processor time, s |", "|---|---:|", *rows])


def main() -> None:
    """Measure all rows in turn, round by round, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    taken: dict[str, list[float]] = {name: [] for name in ROWS}
    for _ in range(rounds):
        for name, arguments in ROWS.items():
            with tempfile.TemporaryDirectory() as folder:
                taken[name].append(round(seconds(arguments, folder), 2))
    found = {"load before": round(os.getloadavg()[0], 1), "processor seconds": taken}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
