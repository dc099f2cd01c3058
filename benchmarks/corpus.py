"""What a corpus run takes: ``python benchmarks/corpus.py [memory] [disk] [batching] [pairs]``.

On the embedded model, everything in one run of this script, one thread:

- ``memory``: peak resident memory of a run of 100 and of 2,000 images, each in a process of its own, and their ratio;
- ``disk``: bytes per image, by table;
- ``batching``: images per second, eight drawn together against one by one, in turn;
- ``pairs``: seconds and peak memory of the summary of one million stored pairs, read shard by shard.

Writes ``benchmarks/results/corpus.json``, or where ``--out`` says; parts that are not asked for stay as they were.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "corpus.json"
SETTINGS: dict[str, Any] = {"seeds": 4, "steps": 1, "guidance": 1.0}


def some_prompts(n: int) -> list[str]:
    """Return different prompts of the same length."""
    things = ["cat", "dog", "owl", "cow", "pig", "car", "bus", "bed", "hat", "cup"]
    places = ["snow", "city", "park", "lake", "barn"]
    colors = ["red", "tan", "dim", "big", "old"]
    found = [
        f"a {c} {a} and a {d} {b} in the {p}"
        for c in colors
        for d in colors
        for p in places
        for a in things
        for b in things
        if a != b
    ]
    return found[:n]


def one_thread() -> None:
    """Let torch compute in one thread, so that rates compare on a machine that others use too."""
    import torch

    torch.set_num_threads(1)


def peak_of(n_images: int) -> int:
    """Draw so many images in this process; return its peak of resident memory, bytes."""
    from daam_syntax import corpus

    one_thread()
    with tempfile.TemporaryDirectory() as place:
        run = corpus.run(some_prompts(n_images // SETTINGS["seeds"]), place, **SETTINGS)
        assert len(run.records) == run.plan.n_shards
        return int(run.sessions[-1]["peak_memory"])


def memory(numbers: tuple[int, int]) -> dict[str, Any]:
    """Measure the peaks of two runs in processes of their own."""
    peaks = {}
    for n_images in numbers:
        command = [sys.executable, __file__, "--peak-of", str(n_images)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[n_images] = int(done.stdout)
    first, second = peaks.values()
    return {"peak_bytes": peaks, "ratio": second / first}


def disk() -> dict[str, Any]:
    """Measure the bytes per image of a run of 32 images with the recording's own grid."""
    from daam_syntax import corpus

    one_thread()
    with tempfile.TemporaryDirectory() as place:
        run = corpus.run(some_prompts(8), place, **SETTINGS)
        plan = corpus.plan(8, SETTINGS["seeds"], run)
        maps = next(run.maps())
        return {
            "bytes_per_image": {name: n / run.plan.n_images for name, n in plan.n_bytes.items()},
            "image": list(maps.image_size),
            "maps": list(maps.data.shape),
            "map_bytes_uncompressed": 2 * maps.data.size,
        }


def batching(rounds: int = 3, n_images: int = 16) -> dict[str, Any]:
    """Measure images per second of batches of eight and of single images, in turn."""
    from daam_syntax import corpus, load_pipeline

    one_thread()
    pipe = load_pipeline()
    pipe.set_progress_bar_config(disable=True)
    rates: dict[int, list[float]] = {1: [], 8: []}
    with tempfile.TemporaryDirectory() as place:
        for number in range(-1, rounds):
            for size, found in rates.items():
                out = Path(place) / f"{number}-{size}"
                run = corpus.run(
                    some_prompts(n_images // 4),
                    out,
                    pipe,
                    **SETTINGS | {"steps": 4},
                    batch_size=size,
                )
                if number >= 0:  # the first round warms up
                    found.append(n_images / sum(record.seconds for record in run.records))
    ratios = [many / one for one, many in zip(rates[1], rates[8], strict=True)]
    return {
        "images_per_second": {size: statistics.median(found) for size, found in rates.items()},
        "ratio": statistics.median(ratios),
        "ratios": ratios,
    }


def write_pairs(place: Path, n_pairs: int) -> Any:
    """Make a run with so many stored pairs: the pairs of a small run over and over, with other prompts and numbers."""
    from dataclasses import asdict, replace

    from daam_syntax import corpus
    from daam_syntax.corpus.folder import CorpusFolder
    from daam_syntax.corpus.shard_files import ShardFiles
    from daam_syntax.corpus.shards import Plan
    from daam_syntax.corpus.tables import from_frame

    small = corpus.run(some_prompts(16), place / "small", **SETTINGS)
    pairs, (record,) = small.pairs(), small.records
    n_shards = -(-n_pairs // len(pairs))
    folder = CorpusFolder(place / "large")
    plan = Plan.of(16 * n_shards, SETTINGS["seeds"], small.plan.batch_size, 64)
    with folder.locked():
        folder.start({**small.settings.as_dict()}, plan, small.sentences)
        random = np.random.default_rng(0)
        for shard in range(n_shards):
            own = pairs.assign(
                prompt_id=pairs["prompt_id"] + f"-{shard}",
                image=pairs["image"] + 64 * shard,
                iou=np.clip(pairs["iou"] + random.normal(0, 0.05, len(pairs)), 0, 1),
            )
            work = folder.new_work()
            with ShardFiles(work) as files:
                files.add("pairs", from_frame(own, "pairs"))
                written = files.finish([])
            folder.commit(replace(record, shard=shard, files=written), work)
    assert asdict(plan)["n_prompts"] == 16 * n_shards
    return corpus.open(place / "large")


def summarize_in_new_process(path: Path) -> tuple[float, int]:
    """Return the seconds and the peak memory of a summary, in a process that does nothing else."""
    code = (
        "import resource, sys, time; from daam_syntax import corpus; run = corpus.open(sys.argv[1]); "
        "start = time.perf_counter(); table = run.summarize(); seconds = time.perf_counter() - start; "
        "print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, table['n_pairs'].sum())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    seconds, peak, _ = done.stdout.split()
    return float(seconds), int(peak)


def pairs(n_pairs: int = 1_000_000) -> dict[str, Any]:
    """Measure the summary of one million stored pairs, and of a tenth of them."""
    found = {}
    one_thread()
    for n in (n_pairs // 10, n_pairs):
        with tempfile.TemporaryDirectory() as place:
            run = write_pairs(Path(place), n)
            seconds, peak = summarize_in_new_process(run.path)
            stored = sum(record.files["pairs"].n_rows for record in run.records)
            found[stored] = {"seconds": seconds, "peak_bytes": peak}
    return {"stored_pairs": found}


def main() -> None:
    """Run the parts that are asked for, all if none."""
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "disk": disk,
        "batching": batching,
        "pairs": pairs,
        "memory": lambda: memory((100, 2000)),
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "parts", nargs="*", metavar="part", help=f"of {', '.join(parts)}; all if none"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--peak-of", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak_of:
        print(peak_of(arguments.peak_of))
        return
    if unknown := set(arguments.parts) - set(parts):
        parser.error(f"there is no part {', '.join(sorted(unknown))}, only {', '.join(parts)}")
    results = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for name in arguments.parts or parts:
        results[name] = parts[name]()
        print(name, json.dumps(results[name], indent=1), flush=True)
        arguments.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
