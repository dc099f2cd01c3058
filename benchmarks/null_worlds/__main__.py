"""``python -m benchmarks.null_worlds`` simulates what is missing and writes ``docs/calibration.md``.

python -m benchmarks.null_worlds --processes 2                  # here
python -m benchmarks.null_worlds --prepare FOLDER               # what another machine needs, which has no parser
python -m benchmarks.null_worlds --prepared FOLDER --results FILE --seconds 500 --first-study 1000   # there
python -m benchmarks.null_worlds --merge FILE                   # here: its studies, too
python -m benchmarks.null_worlds --forget NAME                  # after its code changed
python -m benchmarks.null_worlds --recipes NAME --first-study 2000   # simulate it alone
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.null_worlds import page, running
from benchmarks.null_worlds.worlds import WORLDS


def main() -> None:
    """Simulate, save the results every few seconds, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1000, help="studies of the default recipes")
    parser.add_argument("--cheap", type=int, default=300, help="studies of the other recipes")
    parser.add_argument("--slow", type=int, default=100, help="studies of the slowest recipes")
    parser.add_argument("--first-study", type=int, default=0, help="number of the first study")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing later")
    parser.add_argument("--worlds", nargs="*", default=list(WORLDS), help="names of worlds")
    parser.add_argument("--recipes", nargs="+", default=[], help="names of the only recipes")
    parser.add_argument("--forget", nargs="+", help="only drop the results of these recipes")
    parser.add_argument("--prepare", type=Path, help="only write a folder with parsed prompts")
    parser.add_argument("--prepared", type=Path, help="folder of --prepare")
    parser.add_argument("--results", type=Path, help="write results to this file, and no page")
    parser.add_argument("--merge", type=Path, nargs="+", help="only add results of other files")
    parser.add_argument("--report", action="store_true", help="only rewrite the page")
    options = parser.parse_args()
    if options.prepare:
        running.prepare(options.prepare)
        return
    if options.forget:
        running.forget(options.forget)
    elif options.merge:
        running.merge(options.merge)
    elif not options.report:
        running.run(
            options.worlds,
            {"default": options.studies, "cheap": options.cheap, "slow": options.slow},
            first=options.first_study,
            recipes=options.recipes,
            processes=options.processes,
            seconds=options.seconds,
            prepared=options.prepared,
            path=options.results or running.RESULTS,
        )
    if not options.results:
        page.PAGE.write_text(page.markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
