"""What a corpus run takes: ``python -m benchmarks.corpus [part ...]``, with the parts below, all if none is given.

On the embedded model, one thread for each process. Memory, disk and pairs do not depend on the number of steps: there,
one step without guidance is drawn.

- ``memory``: peak resident memory of a run of 100 and of 2,000 images, each in a process of its own, their ratio, and
  how long they took (minutes: 2,100 images one step each);
- ``disk``: bytes per image, by table;
- ``batching``: processor seconds per image of batches of several sizes, in turn (4 steps with guidance);
- ``workers``: images per second of two workers against one, in turn, each with one thread (8 steps with guidance);
- ``pairs``: seconds and peak memory of the summary of one million stored pairs, read shard by shard, if all prompts
  have one structure (their parts of speech), as those of a template, and if each has its own;
- ``open``: processor seconds to open a finished folder of `analyze` with 90 images, and to give its call again;
- ``check``: how fast checksums are compared when a run is taken up;
- ``start``: seconds and peak memory until the first image of 100,000 prompts, see `benchmarks.corpus_start`.

Writes ``benchmarks/results/corpus.json``, or where ``--out`` says; parts that are not asked for stay as they were.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpus_start import start

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
    from daam_syntax import runs

    one_thread()
    with tempfile.TemporaryDirectory() as place:
        run = runs.run(some_prompts(n_images // SETTINGS["seeds"]), place, **SETTINGS)
        assert len(run.records) == run.plan.n_shards
        return int(run.sessions[-1]["peak_memory"])


def memory(numbers: tuple[int, int]) -> dict[str, Any]:
    """Measure the peaks of two runs in processes of their own."""
    peaks, seconds = {}, {}
    for n_images in numbers:
        start = time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.corpus", "--peak-of", str(n_images)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[n_images] = int(done.stdout)
        seconds[n_images] = time.perf_counter() - start
    first, second = peaks.values()
    return {"peak_bytes": peaks, "ratio": second / first, "seconds": seconds}


def disk() -> dict[str, Any]:
    """Measure the bytes per image of a run of 32 images with the recording's own grid."""
    from daam_syntax import runs

    one_thread()
    with tempfile.TemporaryDirectory() as place:
        run = runs.run(some_prompts(8), place, **SETTINGS)
        plan = runs.plan(8, SETTINGS["seeds"], run)
        maps = next(run.maps())
        return {
            "bytes_per_image": {name: n / run.plan.n_images for name, n in plan.n_bytes.items()},
            "image": list(maps.image_size),
            "maps": list(maps.data.shape),
            "map_bytes_uncompressed": 2 * maps.data.size,
        }


def batching(rounds: int = 3, n_images: int = 32) -> dict[str, Any]:
    """Measure processor seconds per image of batches of several sizes, in turn."""
    from daam_syntax import load_pipeline, runs

    one_thread()
    pipe = load_pipeline()
    pipe.set_progress_bar_config(disable=True)
    seconds: dict[int, list[float]] = {1: [], 4: [], 16: [], 32: []}
    with tempfile.TemporaryDirectory() as place:
        for number in range(-1, rounds):
            for size, found in seconds.items():
                start = time.process_time()
                runs.run(
                    some_prompts(n_images // 4),
                    Path(place) / f"{number}-{size}",
                    pipe,
                    seeds=4,
                    steps=4,
                    batch_size=size,
                )
                if number >= 0:  # the first round warms up
                    found.append((time.process_time() - start) / n_images)
    ratios = {
        size: [one / many for one, many in zip(seconds[1], found, strict=True)]
        for size, found in seconds.items()
    }
    return {
        "images": n_images,
        "processor_seconds_per_image": {n: statistics.median(s) for n, s in seconds.items()},
        "one_by_one_over_batched": {n: spread(r) for n, r in ratios.items()},
    }


def spread(ratios: list[float]) -> dict[str, float]:
    """Return the median and the ends of some ratios."""
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def workers(rounds: int = 3, n_images: int = 32) -> dict[str, Any]:
    """Measure images per second of one and of two workers with one thread each, in turn."""
    from distributed import Client, LocalCluster

    from daam_syntax import runs

    rates: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as place:
        for number in range(rounds):
            for n, found in rates.items():
                options = {"n_workers": n, "threads_per_worker": 1, "dashboard_address": None}
                with LocalCluster(**options) as cluster, Client(cluster) as client:
                    client.run(one_thread)
                    for part in ("warm", "timed"):  # the first run loads the model in every worker
                        images = n_images if part == "timed" else 4 * n
                        start = time.perf_counter()
                        runs.run(
                            some_prompts(images // 4),
                            Path(place) / f"{number}-{n}-{part}",
                            seeds=4,
                            steps=8,
                            batch_size=4,
                            shard_size=4,
                            cluster=cluster.scheduler_address,
                        )
                        seconds = time.perf_counter() - start
                    found.append(n_images / seconds)
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    return {
        "images": n_images,
        "images_per_second": {n: statistics.median(r) for n, r in rates.items()},
        "ratio": spread(ratios),
        "load_average": os.getloadavg()[1],
    }


def open_folder(rounds: int = 5, n_prompts: int = 30, seeds: int = 3) -> dict[str, Any]:
    """Measure opening a finished analysis: all its images, maps, and tables; and the same call again."""
    import daam_syntax as ds

    one_thread()
    pipe = ds.load_pipeline()
    pipe.set_progress_bar_config(disable=True)
    prompts = some_prompts(n_prompts)
    options: dict[str, Any] = {**SETTINGS, "seeds": seeds, "overviews": False}
    seconds: dict[str, list[float]] = {"open": [], "again": []}
    with tempfile.TemporaryDirectory() as place:
        ds.analyze(prompts, pipe, out=place, **options)
        for _ in range(rounds):
            start = time.process_time()
            run = ds.open_run(place)
            n_images = len(list(run.pil_images()))
            assert n_images == len(list(run.maps())) == n_prompts * seeds
            assert min(len(run.pairs()), len(run.words()), len(run.summarize())) > 0
            seconds["open"].append(time.process_time() - start)
            start = time.process_time()
            ds.analyze(prompts, pipe, out=place, **options)
            seconds["again"].append(time.process_time() - start)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    return {"images": n_images, "processor_seconds": medians}


def check(rounds: int = 5) -> dict[str, Any]:
    """Measure how fast a file of 256 megabytes is compared with its checksum, read and hashed."""
    from daam_syntax.runs.store.checksums import sha256

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "part.parquet"
        path.write_bytes(np.random.default_rng(0).bytes(2**28))
        rates = []
        for _ in range(rounds):
            start = time.perf_counter()
            sha256(path)
            rates.append(2**28 / (time.perf_counter() - start))
    return {"bytes_per_second": statistics.median(rates)}


def write_pairs(place: Path, n_pairs: int, *, one_structure: bool = True) -> Any:
    """Make a run with so many stored pairs: the pairs of a small run over and over, with other prompts and numbers.

    Without `one_structure`, the words of each prompt have random parts of speech.
    """
    from daam_syntax import runs
    from daam_syntax.drawing.seeds import generator_seed
    from daam_syntax.language import Prompt, PromptSet
    from daam_syntax.runs.store.run_folder import RunFolder, Wanted
    from daam_syntax.runs.store.shard_files import ShardFiles
    from daam_syntax.runs.store.shards import ShardPlan
    from daam_syntax.runs.store.tables.schemas import IMAGES_SCHEMA, from_frame, from_rows

    small = runs.run(some_prompts(16), place / "small", **SETTINGS)
    pairs = small.table("pairs")
    columns = ["seed", "status", "reason", "height", "width", "sentence"]
    drawn = small.table("images", columns).to_dict("records")
    n_shards = -(-n_pairs // len(pairs))
    folder = RunFolder(place / "large")
    plan = ShardPlan.of(16 * n_shards, SETTINGS["seeds"], small.plan.batch_size, 64)
    with folder.locked():
        rows = [
            Prompt(f"{row.text} {shard}", f"{row.id}-{shard}")
            for shard in range(n_shards)
            for row in small.prompts.rows
        ]
        prompts = PromptSet(tuple(rows))
        folder.start(Wanted(small.settings.as_dict(), plan, prompts, "0" * 64))
        planned = folder.planned(prompts)
        random = np.random.default_rng(0)
        for shard in range(n_shards):
            own = pairs.assign(
                prompt_id=pairs["prompt_id"] + f"-{shard}",
                prompt=pairs["prompt"] + f" {shard}",
                image=pairs["image"] + 64 * shard,
                iou=np.clip(pairs["iou"] + random.normal(0, 0.05, len(pairs)), 0, 1),
            )
            of_shard = drawn
            if not one_structure:
                own, of_shard = with_random_pos(own, drawn, random)
            work, expected = folder.shards.new_work(), planned(shard)
            images = [
                {
                    **described,
                    "image": image,
                    "prompt_id": name,
                    "prompt": prompt,
                    "generator_seed": generator_seed(prompt, seed),
                }
                for described, (image, name, prompt, seed) in zip(
                    of_shard, expected.rows, strict=True
                )
            ]
            with ShardFiles(work, expected.stamp) as files:
                files.add("pairs", from_frame(own, "pairs"))
                files.add("images", from_rows(images, IMAGES_SCHEMA, "images"))
                record = files.finish([], len(images), 0, 1.0)
            folder.shards.commit(record, work, expected)
    assert plan.n_prompts == 16 * n_shards
    return runs.open_run(place / "large")


def with_random_pos(
    pairs: Any, images: list[dict[str, Any]], random: np.random.Generator
) -> tuple[Any, list[dict[str, Any]]]:
    """Return the pairs and images of a shard with a random part of speech for every word of a prompt."""
    places = np.arange(len(images)) // SETTINGS["seeds"]  # of the prompts
    drawn = random.choice(["NOUN", "ADJ", "DET", "ADP"], (places[-1] + 1, 80))
    rows = places[pairs["image"] - pairs["image"].min()]
    words = {role: pairs[f"{role}_index"] for role in ("head", "dependent")}
    changed = pairs.assign(**{f"{role}_pos": drawn[rows, index] for role, index in words.items()})
    parses = []
    for place, image in zip(places, images, strict=True):
        sentence = json.loads(image["sentence"])
        for token in sentence["tokens"]:
            token["pos"] = str(drawn[place, token["index"]])
        parses.append({**image, "sentence": json.dumps(sentence)})
    return changed, parses


def summarize_in_new_process(path: Path) -> dict[str, float]:
    """Measure the time and the peak memory of a summary, in a process that does nothing else."""
    code = (
        "import sys, time; from daam_syntax import runs; run = runs.open_run(sys.argv[1]); "
        "start = time.process_time(), time.perf_counter(); table = run.summarize(); "
        "seconds = time.process_time() - start[0], time.perf_counter() - start[1]; "
        # Not getrusage: that counts what the process was before it became this one.
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM')); "
        "print(*seconds, int(peak.split()[1]) * 1024, table['n_pairs'].sum())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    processor, seconds, peak, _ = done.stdout.split()
    return {
        "processor_seconds": float(processor),
        "seconds": float(seconds),
        "peak_bytes": int(peak),
    }


def pairs(n_pairs: int = 1_000_000) -> dict[str, Any]:
    """Measure the summary of one million stored pairs, and of a tenth of them."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    one_thread()
    for kind in ("one structure", "own structures"):
        for n in (n_pairs // 10, n_pairs):
            with tempfile.TemporaryDirectory() as place:
                run = write_pairs(Path(place), n, one_structure=kind == "one structure")
                stored = sum(record.files["pairs"].n_rows for record in run.records)
                found.setdefault(kind, {})[stored] = summarize_in_new_process(run.path)
    return {"stored_pairs": found}


def main() -> None:
    """Run the parts that are asked for, all if none."""
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "disk": disk,
        "batching": batching,
        "workers": workers,
        "open": open_folder,
        "check": check,
        "pairs": pairs,
        "memory": lambda: memory((100, 2000)),
        "start": start,
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
