"""Run the study, and write the results and the page."""

from __future__ import annotations

import argparse
import json

import torch

import daam_syntax as ds
from benchmarks.verdicts.page import PAGE, RESULTS, page, section
from benchmarks.verdicts.results import results_of
from daam_syntax.studies import run_study


def main() -> None:
    """Run the study, and write the results and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, help="first prompts only; writes nothing")
    limit = parser.parse_args().limit
    torch.set_num_threads(1)
    results = results_of(
        run_study("verdicts", ds.load_pipeline("emoji"), limit=limit), ds.prompts("hard")
    )
    if limit is None:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    print(section(results))


if __name__ == "__main__":
    main()
