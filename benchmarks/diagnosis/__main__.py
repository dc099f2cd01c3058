"""Measure, and write the results and the page."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from benchmarks.diagnosis.page import PAGE, RESULTS, page, tables
from benchmarks.diagnosis.scoring import measure


def main() -> None:
    """Measure, and write the results and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=400)
    parser.add_argument("--maps", type=Path, help="folder of drawn maps, to keep or to read")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = measure(arguments.prompts, arguments.maps)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    print(tables(results))


if __name__ == "__main__":
    main()
