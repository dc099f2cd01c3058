"""``python -m benchmarks.null_worlds`` simulates what is missing and writes ``docs/calibration.md``."""

from __future__ import annotations

import argparse

from benchmarks.null_worlds import page, running
from benchmarks.null_worlds.worlds import WORLDS


def main() -> None:
    """Simulate, save the results after every chunk, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000, help="studies of the default recipes")
    parser.add_argument("--cheap", type=int, default=300, help="studies of the other recipes")
    parser.add_argument("--slow", type=int, default=100, help="studies of the slowest recipes")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--worlds", nargs="*", default=list(WORLDS), help="names of worlds")
    parser.add_argument("--report", action="store_true", help="only rewrite the page")
    options = parser.parse_args()
    studies = {"default": options.studies, "cheap": options.cheap, "slow": options.slow}
    if not options.report:
        running.run(options.worlds, studies, processes=options.processes)
    page.PAGE.write_text(page.markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
