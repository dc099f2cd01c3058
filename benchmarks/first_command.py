"""What the first command of the README costs: python -m benchmarks.first_command --rounds 3.

Each row is processor time of new processes, with one thread: the median of the rounds, which run all rows in turn. The
rows before the command say which part of it is importing, and how much of that any program with such a pipeline needs.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
ROWS = {
    "import torch": "import torch",
    "diffusers and transformers, the parts of the pipeline": (
        "from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel; "
        "from transformers import CLIPTextModel, CLIPTokenizer"
    ),
    "import daam_syntax": "import daam_syntax",
    "import all that analyze uses of daam_syntax": "import daam_syntax.workflow",
    "daam_syntax, and the embedded model loaded": "import daam_syntax as ds; ds.load_pipeline()",
}
COMMAND = "the first command of the README"
PROMPT = "a dog chasing a small yellow duck in the snow"


def seconds(command: list[str], folder: str) -> float:
    """Return the processor seconds of a new process, user and system."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, cwd=folder, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Print the median of each row as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    found: dict[str, list[float]] = {name: [] for name in (*ROWS, COMMAND)}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name, code in ROWS.items():
                found[name].append(seconds([sys.executable, "-c", code], folder))
            analyze = [sys.executable, "-m", "daam_syntax.cli", "analyze", PROMPT]
            found[COMMAND].append(seconds([*analyze, "--seeds", "2", "--out", "out/"], folder))
    print(f"| process | processor seconds (median of {rounds}) |\n|---|---:|")
    for name, values in found.items():
        print(f"| {name} | {median(values):.1f} |")


if __name__ == "__main__":
    main()
